"""Losses attacks maximise: ``loss(logits (n, K), *arguments) -> (n,)``, larger the worse the classifier does.

With few classes the ratios lose their meaning (their denominators need a third and a fourth logit); the margin, their
numerator, takes their place. Attacks step along normalised gradients, so its scale does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 1e-12


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−log softmax(z)_y."""
    return F.cross_entropy(logits, labels, reduction="none")


def targeted_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """log softmax(z)_t."""
    return -F.cross_entropy(logits, targets, reduction="none")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """max_{i≠y} z_i − z_y: above 0 exactly where the prediction is wrong."""
    own = logits.gather(1, labels[:, None])
    return (logits.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True) - own).squeeze(1)


def targeted_margin(logits: Tensor, targets: Tensor) -> Tensor:
    """z_t − max_{i≠t} z_i: above 0 exactly where the target is predicted."""
    return -margin(logits, targets)


def difference(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """z_t − z_y: the boundary between two classes is where it is 0."""
    return (logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None])).squeeze(1)


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio −(z_y − max_{i≠y} z_i) / (z_π1 − z_π3), arXiv 2003.01690; the margin for K = 2.

    π orders the logits from the largest down. The ratio does not change when logits are shifted or scaled.
    """
    if logits.shape[1] < 3:
        return margin(logits, labels)
    largest = logits.topk(3, dim=1).values
    return margin(logits, labels) / (largest[:, 0] - largest[:, 2] + _TINY)


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Targeted ratio −(z_y − z_t) / (z_π1 − (z_π3 + z_π4) / 2), arXiv 2003.01690; z_t − z_y for K < 4."""
    if logits.shape[1] < 4:
        return difference(logits, labels, targets)
    largest = logits.topk(4, dim=1).values
    scale = largest[:, 0] - (largest[:, 2] + largest[:, 3]) / 2
    return difference(logits, labels, targets) / (scale + _TINY)
