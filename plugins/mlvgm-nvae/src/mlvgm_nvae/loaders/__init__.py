"""Readers of the checkpoints that the two public code bases write."""
