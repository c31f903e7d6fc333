"""Which classes a targeted attack tries, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.attacks.incumbents import Incumbents


def likeliest_rivals(incumbents: Incumbents, images: Tensor, *, count: int) -> Tensor:
    """The classes each image is most easily taken for, likeliest first.

    Args:
        incumbents: the attack's state; with wanted classes, these are the only ones.
        images: (B, C, H, W) the clean images, of which only the standing ones are looked at.
        count: how many; at most K − 1 are given.

    Shape:
        output: (B, min(count, K − 1)) or (B, 1) with wanted classes; rows of broken images are meaningless.
    """
    if incumbents.targets is not None:
        return incumbents.targets[:, None]
    target, rows = incumbents.target, incumbents.standing()
    count = min(count, target.classes - 1)
    rivals = incumbents.labels[:, None].repeat(1, count)
    if len(rows):
        scores = target.defence.vote(target[rows](images[rows], draws=incumbents.context.eot))
        scores = scores.scatter(1, incumbents.labels[rows, None], -torch.inf)
        rivals[rows] = scores.topk(count, dim=1).indices
    return rivals
