"""The contracts plugins fulfil, one protocol a file. Structural: implement the methods, inherit nothing."""
