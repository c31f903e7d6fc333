"""Checkpoints of other code bases: which one wrote them, and its tensors under this project's names."""
