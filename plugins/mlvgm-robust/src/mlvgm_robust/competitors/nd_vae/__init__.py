"""ND-VAE: a hierarchical variational auto-encoder, trained from attacked images to clean ones."""
