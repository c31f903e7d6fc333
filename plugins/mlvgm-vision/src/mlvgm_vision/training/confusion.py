"""Confusion matrices of a classifier over a whole split."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlvgm.protocols.data import Split
from mlvgm.training.session import Session


@torch.no_grad()
def confusion(network: nn.Module, session: Session, split: Split) -> Tensor:
    """Counts of (true class, predicted class) in evaluation mode; the network's mode is restored.

    Shape:
        output: (K, K) int64.
    """
    classes, training = session.data.info.classes, network.training
    counts = torch.zeros(classes * classes, dtype=torch.int64)
    network.eval()
    for images, labels in session.batches(split, session.data.size(split)):
        cells = labels * classes + network(images).argmax(1)
        counts += torch.bincount(cells, minlength=classes * classes).cpu()
    network.train(training)
    return counts.reshape(classes, classes)


def accuracy(counts: Tensor) -> float:
    """Share of right answers in a confusion matrix; NaN where it is empty."""
    return float(counts.diagonal().sum() / counts.sum())


def by_class(counts: Tensor, names: tuple[str, ...]) -> list[str]:
    """A Markdown table: how often each class is right, and what it is mostly taken for."""
    rows = ["| class | right | mostly taken for |", "| --- | --- | --- |"]
    for number, (name, row) in enumerate(zip(names, counts.tolist(), strict=True)):
        total, right = sum(row), row[number]
        row[number] = -1
        worst = max(range(len(row)), key=row.__getitem__)
        taken = f"{names[worst]} ({row[worst] / total:.1%})" if row[worst] > 0 else "–"
        rows.append(f"| {name} | {right / total:.1%} | {taken} |" if total else f"| {name} | – | – |")
    return rows
