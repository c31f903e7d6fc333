"""Figures in the published metric, which runs of ``--protocol published`` leave in ``published.json``."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from mlvgm.errors import InputError
from mlvgm.protocols.job import StoredRun
from mlvgm.statistics import Estimate


@dataclass(frozen=True)
class PublishedRow:
    """One defence under one attack in the metric of arXiv 2412.03453.

    Args:
        defence: its label.
        attack: its label.
        clean: accuracy on the given images.
        distances: L2 distance of each image: 0 misclassified clean, 100 the attack failed.
        robust: share of images with a larger distance, by L2 bound.
    """

    defence: str
    attack: str
    clean: float
    distances: tuple[float, ...]
    robust: dict[float, Estimate]


def published_rows(run: StoredRun) -> list[PublishedRow]:
    """The figures of a run; none if it had no published attack, or is not finished.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return TypeAdapter(list[PublishedRow]).validate_python(run.read_json_list("published.json"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        path = run.path / "published.json"
        raise InputError(f"'{path}' is damaged: {where}: {first['msg']}", hint="start a new run") from None
