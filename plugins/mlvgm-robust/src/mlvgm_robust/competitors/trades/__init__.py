"""TRADES: adversarial training of the classifier itself (arXiv 1901.08573)."""
