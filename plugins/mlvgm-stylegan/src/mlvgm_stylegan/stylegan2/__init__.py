"""StyleGAN2 (arXiv 1912.04958): the network, its generator, and checkpoints of other code bases."""
