"""A training from its first step to weights, log and card."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from mlvgm.errors import ConfigError
from mlvgm.files import remove_unfinished, stopping_without_loss
from mlvgm.full_data import NEVER_TRAINED_ON, check_full
from mlvgm.plugins.load import built
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.train import Trained, Training
from mlvgm.runs.lock import locked
from mlvgm.runs.work import stopping_on_signals
from mlvgm.runs.workers import Workers
from mlvgm.training.card import write_card
from mlvgm.training.folder import check_folder
from mlvgm.training.log import NAME, draw_figures
from mlvgm.training.loop import Progress, run_steps
from mlvgm.training.session import Session
from mlvgm.training.trainers import Chosen

_GO_ON, _SAFE = "the same command with --resume goes on", "the last checkpoint is safe"


def train(
    chosen: Chosen,
    data: Dataset,
    *,
    folder: Path,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    workers: Workers | None = None,
    data_options: Mapping[str, object] | None = None,
    progress: Progress = lambda step, steps, figures: None,
) -> Trained:
    """Train into ``folder``: weights, card, ``metrics.jsonl`` and checkpoint.

    Example:
        >>> chosen = choose("classifier", "fashion-cnn", {"steps": 100})              # doctest: +SKIP
        >>> train(chosen, data, folder=Path("trained")).metrics                       # doctest: +SKIP

    Args:
        chosen: what is trained, with its configuration.
        data: its train split is used.
        folder: made if missing.
        seed: seed of everything random.
        device: torch device.
        resume: go on from the checkpoint in ``folder``.
        workers: this process among those that share each batch; the only one by default.
        data_options: what ``data`` was made with, its ``name`` included, for the command in the card.
        progress: called with (step, steps, figures).

    Raises:
        InputError: ``data`` is only a sample of test images, or does not fit what is trained; ``folder`` is not
            writable, in use, or not empty and ``resume`` is not set, or empty and it is, or its checkpoint is of
            another training.
        ConfigError: several processes cannot share the training.
        CheckFailed: it diverged.
        Stopped: SIGTERM or SIGHUP came, or a file could not be written.
    """
    workers = Workers() if workers is None else workers
    check_full(data, why=NEVER_TRAINED_ON)
    check_folder(folder, resume=resume)
    if workers.count > 1 and not chosen.trainer.component.capabilities.get("processes"):
        message = f"training {chosen.kind} {chosen.name} takes one process, came {workers.count}"
        raise ConfigError(message, hint="start it without torchrun")
    session = Session(chosen.kind, chosen.name, chosen.config, data, folder, seed, device, workers)
    session.rows(chosen.config.batch)
    training: Training = built(chosen.trainer, chosen.config, session=session)
    workers.wait()  # nobody looks whether the folder is empty any more
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) if workers.leads else nullcontext(), stopping_without_loss(_SAFE, go_on=_GO_ON):
        if workers.leads:
            remove_unfinished(folder)
        with stopping_on_signals(_GO_ON, kept=_SAFE):
            seconds = run_steps(training, session, resume=resume, progress=progress)
            trained = _finish(training, session, seconds, data_options or {}) if workers.leads else None
            return workers.agree(trained)  # type: ignore[no-any-return]


def _finish(training: Training, session: Session, seconds: float, data_options: Mapping[str, object]) -> Trained:
    made = training.finish()
    figure = draw_figures(session.folder)
    card = write_card(session, made, seconds=seconds, figure=figure, data_options=data_options)
    metrics = {**made.metrics, "cpu_seconds": seconds}
    return Trained(session.weights, card, session.folder / NAME, metrics, made.use)
