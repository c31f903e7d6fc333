"""The hinge loss of adversarial training (arXiv 1705.02894, 1802.05957), which BigGAN uses (arXiv 1809.11096)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """E[max(0, 1 − D(real))] + E[max(0, 1 + D(generated))].

    >>> import torch
    >>> discriminator_loss(torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])).item()
    0.75
    """
    return F.relu(1 - real).mean() + F.relu(1 + generated).mean()


def generator_loss(generated: Tensor) -> Tensor:
    """−E[D(generated)]."""
    return -generated.mean()
