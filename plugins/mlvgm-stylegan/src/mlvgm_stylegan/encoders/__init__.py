"""Encoders of images into W+, the space of one style a layer."""
