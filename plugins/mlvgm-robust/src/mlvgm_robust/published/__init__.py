"""The published evaluation of arXiv 2412.03453, step for step, with a switch for each of its documented bugs."""
