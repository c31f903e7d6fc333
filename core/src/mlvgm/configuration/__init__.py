"""From what a user said to a checked configuration, and from that to built components."""
