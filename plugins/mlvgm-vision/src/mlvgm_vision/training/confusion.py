"""Confusion matrices of a classifier over a whole split."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlvgm.protocols.data import Dataset, Split

_BATCH = 500


def confusion(network: nn.Module, data: Dataset, split: Split, *, device: str = "cpu") -> Tensor:
    """Counts of (true class, predicted class) in evaluation mode; the network's mode is restored.

    Shape:
        output: (K, K) int64.
    """
    classes, size = data.info.classes, data.size(split)
    counts = torch.zeros(classes * classes, dtype=torch.int64)
    training = network.training
    network.eval()
    with torch.no_grad():
        for start in range(0, size, _BATCH):
            images, labels = data.batch(split, range(start, min(start + _BATCH, size)))
            predicted = network(images.to(device)).argmax(1).cpu()
            counts += torch.bincount(labels * classes + predicted, minlength=classes * classes)
    network.train(training)
    return counts.reshape(classes, classes)


def accuracy(counts: Tensor) -> float:
    """Share of right answers in a confusion matrix; NaN where it is empty."""
    return float(counts.diagonal().sum() / counts.sum())
