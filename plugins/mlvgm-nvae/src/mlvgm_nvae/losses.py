"""The training objective: negative evidence lower bound with weighted or balanced KL (arXiv 2007.03898, appendix A)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlvgm_nvae.architecture import NVAEArchitecture


def balancing_targets(architecture: NVAEArchitecture) -> Tensor:
    """Relative share of the KL each latent should carry, (latents,), the smallest is 1.

    A latent of a scale twice as fine has four times the pixels; the latents of a scale share alike. This is the paper's
    and NVlabs' rule. SerezD/NVAE-from-scratch takes the numbers of groups in reverse order (``kl_alpha``): the same
    where all scales have as many.

    >>> from mlvgm_nvae.architecture import light
    >>> balancing_targets(light()).tolist()
    [1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 24.0, 24.0]
    """
    shares = torch.tensor([4.0**scale / architecture.groups[scale] for scale in architecture.scale_of_latent])
    return shares / shares.min()


def balanced_kl(kl: Tensor, targets: Tensor, *, carried: Tensor | None = None) -> Tensor:
    """Sum over latents of KL, each weighted by how much it carries already, relative to its target; (B,).

    The weights have mean 1 and no gradient. A latent that carries much is penalised more, so others come alive.

    Args:
        kl: (B, latents) in nats.
        targets: :func:`balancing_targets`.
        carried: mean size of each latent's KL over the whole batch, where ``kl`` is of a part of it.
    """
    # The small constant keeps a dead latent's weight positive.
    carried = (kl.abs().mean(0) if carried is None else carried) + 0.01
    weights = carried / targets.to(kl) * carried.sum()
    return (kl * (weights / weights.mean()).detach()).sum(1)


def bits_per_dimension(nats: Tensor, architecture: NVAEArchitecture) -> Tensor:
    """Nats per image to bits per pixel and channel."""
    return nats / (math.prod(architecture.image) * math.log(2))
