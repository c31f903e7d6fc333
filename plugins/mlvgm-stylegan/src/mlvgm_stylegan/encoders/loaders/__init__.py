"""Readers of the files that e4e and Style-Transformer are published in."""
