"""VDVAE, the very deep VAE (arXiv 2011.10650)."""
