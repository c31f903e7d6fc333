"""Trainings: what steps change, one step, and what is left behind. Loop, checkpoints, log and card are core's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Stateful(Protocol):
    """A network, an optimiser, or whatever else has a state that steps change."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Made:
    """What a finished training says of the weights that it has saved, for card and terminal.

    Args:
        title: heading of the card.
        summary: what the model is, and what sets it apart.
        use: ``KEY=VALUE`` settings that use the weights.
        metrics: final figures.
        findings: one line each; figures with what they were measured on.
        details: Markdown lines below all that.
    """

    title: str
    summary: str
    use: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    findings: Sequence[str] = ()
    details: Sequence[str] = ()


class Training(Protocol):
    """A training that has begun: its factory ``factory(config, session)`` builds networks and optimisers.

    ``config`` is a :class:`mlvgm.training.config.TrainingConfig`, ``session`` a
    :class:`mlvgm.training.session.Session`. Each step is a function of its number and of the states of ``parts``, so
    that a training that was killed and resumed ends with the same weights as one that was not.
    """

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Everything that steps change, by name; checkpoints have their states."""
        ...

    def step(self, number: int) -> Mapping[str, float]:
        """Do step ``number``, from 0; returns its figures, the same names in every step or fewer."""
        ...

    def finish(self) -> Made:
        """Save the weights as ``session.weights`` and measure them; only one process is asked to.

        Raises:
            InputError: a file cannot be written.
        """
        ...


@dataclass(frozen=True)
class Trained:
    """What a training leaves behind.

    Args:
        weights: the safetensors file.
        card: the Markdown card beside it.
        log: the figures of each step, a line each.
        metrics: final figures.
        use: ``KEY=VALUE`` settings that use these weights.
    """

    weights: Path
    card: Path
    log: Path
    metrics: Mapping[str, float] = field(default_factory=dict)
    use: tuple[str, ...] = ()
