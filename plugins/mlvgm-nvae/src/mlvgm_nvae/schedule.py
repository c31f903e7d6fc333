"""Schedule of training: the weight of each latent's KL."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mlvgm_nvae.architecture import NVAEArchitecture


def kl_weights(
    progress: float, *, start: Sequence[float], end: Sequence[float], warmup: float, architecture: NVAEArchitecture
) -> Tensor:
    """Weight of each latent's KL, (latents,): linear from ``start`` to ``end`` (by scale) over the first ``warmup``.

    Args:
        progress: share of the training that is done, in [0, 1].
        start: one for each scale, coarse → fine.
        end: likewise.
        warmup: share of the training the change takes; 0 uses ``end`` from the beginning.
        architecture: which latent is at which scale.
    """
    done = 1.0 if warmup == 0 else min(progress / warmup, 1.0)
    by_scale = [first + done * (last - first) for first, last in zip(start, end, strict=True)]
    return torch.tensor([by_scale[scale] for scale in architecture.scale_of_latent])
