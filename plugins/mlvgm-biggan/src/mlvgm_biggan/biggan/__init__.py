"""BigGAN (arXiv 1809.11096) and BigBiGAN (arXiv 1907.02544): network, generator, checkpoints."""
