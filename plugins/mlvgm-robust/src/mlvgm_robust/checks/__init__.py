"""Soundness checks, one a file."""
