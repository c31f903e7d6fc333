"""Configuration, run directories and records."""
