"""Purifiers, one a file."""
