"""A-VAE: a variational auto-encoder with a styled decoder, trained against a critic."""
