"""Encoders for BigGAN: from an image to its chunks of z and the embedding of its class."""
