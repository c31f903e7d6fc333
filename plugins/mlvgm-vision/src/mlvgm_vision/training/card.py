"""The model card of a trained FashionCNN."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel
from torch import Tensor

from mlvgm.protocols.data import DataInfo
from mlvgm.weights import card


def write_card(
    weights: Path, config: BaseModel, *, data: DataInfo, seed: int, metrics: Mapping[str, float], test: Tensor
) -> Path:
    """Write ``<weights>.md`` beside the weights: how they were made and what they are worth.

    Args:
        weights: the safetensors file.
        config: of the training; options that differ from the defaults are part of the command.
        data: what it was trained on.
        seed: of the training.
        metrics: final figures.
        test: confusion matrix of the test split, (K, K).
    """
    return card.write_card(
        weights,
        title="fashion-cnn",
        summary="A small residual classifier (space-to-depth stem, two stride-2 blocks) of "
        f"{data.image.height}×{data.image.width} images.",
        command=card.training_command("classifier", "fashion-cnn", config, data=data, seed=seed),
        data=data,
        split="train",
        seed=seed,
        seconds=metrics["CPU seconds"],
        findings=(
            "Validation accuracy (last part of the training set, not trained on): "
            f"{metrics['validation accuracy']:.2%}",
            f"Test accuracy, all {int(test.sum()):,} images: **{metrics['test accuracy']:.2%}** (95 % Wilson interval "
            f"{metrics['test accuracy, low']:.2%} to {metrics['test accuracy, high']:.2%})",
        ),
        details=(
            "Options: " + ", ".join(f"{name} {value}" for name, value in config.model_dump().items()) + ".",
            "",
            "## Accuracy of each class on the test split",
            "",
            "| class | right | mostly taken for |",
            "| --- | --- | --- |",
            *(
                _row(label, counts, number, data.label_names)
                for number, (label, counts) in enumerate(zip(data.label_names, test.tolist(), strict=True))
            ),
            "",
            "It is trained on clean images only and is not robust: small adversarial perturbations change most "
            "answers.",
        ),
    )


def _row(label: str, counts: list[int], number: int, names: tuple[str, ...]) -> str:
    total = sum(counts)
    wrong = [count if other != number else -1 for other, count in enumerate(counts)]
    worst = max(range(len(wrong)), key=wrong.__getitem__)
    taken = f"{names[worst]} ({wrong[worst] / total:.1%})" if wrong[worst] > 0 else "–"
    return f"| {label} | {counts[number] / total:.1%} | {taken} |" if total else f"| {label} | – | – |"
