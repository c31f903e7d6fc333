"""Training: any plugin's Trainable on any data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mlvgm.errors import InputError
from mlvgm.files import check_writable
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.train import Trainable, TrainContext, Trained


def train(
    trainable: Trainable,
    data: Dataset,
    *,
    folder: Path,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda step, steps, metrics: None,
) -> Trained:
    """Train a component into ``folder``.

    Args:
        trainable: what is trained, with its configuration.
        data: its train split is used.
        folder: where checkpoints, weights and the card go; made if missing.
        seed: seed of everything random.
        device: torch device.
        resume: go on from the newest checkpoint in ``folder``.
        progress: called with (step, steps, metrics).

    Raises:
        InputError: ``data`` is only a sample of test images, or ``folder`` is not writable, or in use and ``resume`` is
            not set.
    """
    if data.info.sample:
        raise InputError(
            f"data '{data.info.name}' is only a bundled sample of test images",
            hint="run `make data`, or add --set data.source=full",
        )
    check_writable(folder)
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise InputError(f"folder '{folder}' is not empty", hint="add --resume, or choose another with --out")
    folder.mkdir(parents=True, exist_ok=True)
    context = TrainContext(folder=folder, seed=seed, device=device, resume=resume, progress=progress)
    return trainable.train(data, context=context)
