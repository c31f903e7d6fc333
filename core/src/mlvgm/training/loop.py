"""The loop of a training: numbered steps, processor time, checkpoints, resume, a log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from mlvgm.errors import CheckFailed, InputError
from mlvgm.protocols.train import Training
from mlvgm.training.checkpoint import load_checkpoint, save_checkpoint
from mlvgm.training.identity import identity
from mlvgm.training.log import forget_after, write_figures
from mlvgm.training.processes import average_figures
from mlvgm.training.session import Session

Progress = Callable[[int, int, Mapping[str, float]], None]


def run_steps(training: Training, session: Session, *, resume: bool, progress: Progress) -> float:
    """Do every step, writing ``checkpoint.pt`` and ``metrics.jsonl`` into the session's folder.

    Args:
        training: begun.
        session: what it was given.
        resume: go on from the folder's checkpoint, if there is one.
        progress: called with (step, steps, figures) after each step.

    Returns:
        processor seconds, those before a resume included.

    Raises:
        InputError: the checkpoint is unreadable, belongs to another training, or is of a later step than the last.
        CheckFailed: a figure became infinite or NaN.
    """
    folder, steps, file = session.folder, session.config.steps, session.folder / "checkpoint.pt"
    whole = identity(session)
    done, before = 0, 0.0
    if resume and file.exists():
        stored = load_checkpoint(file, identity=whole)
        done, before = stored["done"], stored["seconds"]
        if done > steps:
            message = f"the checkpoint in '{folder}' is of step {done}, beyond {steps}"
            raise InputError(message, hint="raise train.steps, or train into another folder")
        for name, part in training.parts.items():
            part.load_state_dict(stored["parts"][name])
    session.workers.wait()  # the first to finish a step writes a checkpoint
    if session.workers.leads:
        forget_after(folder, done)
    started = saved = time.process_time()
    for number in range(done, steps):
        figures = training.step(number)
        if session.workers.count > 1:
            figures = average_figures(figures)
        if not all(map(math.isfinite, figures.values())):
            raise CheckFailed(f"training diverged at step {number + 1}", hint="lower the learning rate")
        now = time.process_time()
        if session.workers.leads:
            write_figures(folder, number + 1, figures, seconds=before + now - started)
            if now - saved >= session.config.checkpoint_every or number + 1 == steps:
                parts = {name: part.state_dict() for name, part in training.parts.items()}
                state = {"done": number + 1, "seconds": before + now - started, "parts": parts}
                save_checkpoint(file, state, identity=whole)
                saved = now
        progress(number + 1, steps, figures)
    return before + time.process_time() - started
