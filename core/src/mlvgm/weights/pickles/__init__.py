"""Reading pickles without executing them: the machine, what it admits, and PyTorch's two file formats."""
