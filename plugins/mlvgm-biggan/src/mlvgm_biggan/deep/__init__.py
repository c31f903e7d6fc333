"""BigGAN-deep (arXiv 1809.11096, appendix B): network, generator, checkpoints."""
