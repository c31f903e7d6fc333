"""Ways to choose alphas, one a file."""
