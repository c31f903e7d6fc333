"""StyleGAN3 (arXiv 2106.12423), translation (T) and rotation (R) equivariant."""
