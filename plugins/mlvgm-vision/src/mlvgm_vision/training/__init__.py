"""Training of the small classifier that ships."""
