"""Weights on disk: the project's own files, other people's checkpoints, training checkpoints and model cards."""
