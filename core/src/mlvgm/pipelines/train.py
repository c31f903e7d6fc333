"""Training: any plugin's Trainable on any data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mlvgm.errors import InputError
from mlvgm.files import check_writable
from mlvgm.pipelines.full_data import NEVER_TRAINED_ON, check_full
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
            not set, or empty and it is.
    """
    check_full(data, why=NEVER_TRAINED_ON)
    check_folder(folder, resume=resume)
    folder.mkdir(parents=True, exist_ok=True)
    context = TrainContext(folder=folder, seed=seed, device=device, resume=resume, progress=progress)
    return trainable.train(data, context=context)


def check_folder(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that a training cannot begin in, or go on in.

    Raises:
        InputError: it is not writable, or in use and ``resume`` is not set, or ``resume`` is and it has nothing.
    """
    check_writable(folder)
    used = folder.exists() and any(folder.iterdir())
    if used and not resume:
        raise InputError(f"folder '{folder}' is not empty", hint="add --resume, or choose another with --out")
    if resume and not used:
        raise InputError(
            f"there is nothing to resume in '{folder}'", hint="name the folder with --out, or drop --resume"
        )
