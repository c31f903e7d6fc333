"""Defences of others that ours are compared with, each with its training."""
