"""Encoders for generators that have none, one a file."""
