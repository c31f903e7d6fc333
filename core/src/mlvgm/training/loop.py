"""The loop of a training: numbered steps, processor time, checkpoints, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from mlvgm.errors import CheckFailed
from mlvgm.protocols.train import TrainContext
from mlvgm.weights.checkpoint import load_checkpoint, save_checkpoint


class Stateful(Protocol):
    """A network, an optimiser, or whatever else has a state that steps change."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


def run_steps(
    step: Callable[[int], Mapping[str, float]],
    *,
    steps: int,
    parts: Mapping[str, Stateful],
    context: TrainContext,
    identity: Mapping[str, object],
    every: float = 30.0,
) -> float:
    """Call ``step(0)`` … ``step(steps − 1)``, writing ``checkpoint.pt`` into the folder now and then.

    Where each step is a function of its number and of the states of ``parts``, a training that was killed and resumed
    ends with the same weights as one that was not.

    Args:
        step: one step; returns figures for the progress display.
        steps: how many.
        parts: everything that steps change.
        context: folder, progress, and whether to go on from the folder's checkpoint.
        identity: what makes this training this training; seed and number of steps are added.
        every: processor seconds between checkpoints; one always follows the last step.

    Returns:
        processor seconds, those before a resume included.

    Raises:
        InputError: the checkpoint is unreadable, or belongs to another training.
        CheckFailed: a figure became infinite or NaN.
    """
    file = context.folder / "checkpoint.pt"
    whole = {"seed": context.seed, "steps": steps, **identity}
    done, before = 0, 0.0
    if context.resume and file.exists():
        stored = load_checkpoint(file, identity=whole)
        for name, part in parts.items():
            part.load_state_dict(stored[name])
        done, before = stored["done"], stored["seconds"]
    started = saved = time.process_time()
    for number in range(done, steps):
        metrics = step(number)
        if not all(map(math.isfinite, metrics.values())):
            raise CheckFailed(f"training diverged at step {number + 1}", hint="lower the learning rate")
        now = time.process_time()
        if now - saved >= every or number + 1 == steps:
            state = {name: part.state_dict() for name, part in parts.items()}
            save_checkpoint(file, {**state, "done": number + 1, "seconds": before + now - started}, identity=whole)
            saved = now
        context.progress(number + 1, steps, metrics)
    return before + time.process_time() - started


def warm_cosine(step: int, *, steps: int, warmup: int) -> float:
    """Factor on the learning rate: a linear rise over ``warmup`` steps, then a cosine to 0.

    >>> [round(warm_cosine(step, steps=6, warmup=2), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
