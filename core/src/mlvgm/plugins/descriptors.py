"""Descriptors: what a plugin offers, known without importing torch.

An entry point in a group ``mlvgm.<kind>`` names a :class:`Component`. The heavy parts are strings, imported when they
are needed: the factory when the component is built, the configuration when options are shown or checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

API_VERSION = (1, 0)

Access = Literal["gradient", "score", "label", "classifier"]


@dataclass(frozen=True)
class Weights:
    """Weights that ship with a plugin.

    Args:
        name: what ``--set generator.weights=NAME`` takes.
        file: resource inside the plugin's package, ``"package:path/file.safetensors"``.
        sha256: of the file.
        licence: of the weights, SPDX.
        summary: one line: data, setting, headline figure.
        note: said wherever numbers of a defence with these weights appear.
    """

    name: str
    file: str
    sha256: str
    licence: str
    summary: str
    note: str = ""


@dataclass(frozen=True)
class Recipe:
    """A named way of using a generator in a job: the options that make it, and how it relates to the papers.

    Args:
        label: row in tables, while these options are what the run resolves to; weights are named beside it.
        options: dotted options (``"generator.weights"``, ``"purifier.alphas"``) and their values.
        note: said wherever its numbers appear, as long as the label stands.
    """

    label: str
    options: Mapping[str, object]
    note: str = ""


@dataclass(frozen=True)
class Component:
    """One thing a user can name.

    Args:
        summary: one line.
        factory: ``"module:attribute"`` of a callable ``factory(config, **parts) -> component``; the parts of each kind
            are in ``docs/reference/plugins.md`` (a purifier gets ``generator=``, a classifier ``data=``).
        config: ``"module:attribute"`` of its frozen pydantic model. The model may have ``BUDGETS``, a class variable
            that maps a budget preset to field values.
        capabilities: what it can do, in plain values, for plans and refusals.
        weights: weights that ship with it.
        recipes: generators only: ways of using it, by the name of the job, the default first.
        converter: ``"module:attribute"`` of ``convert(container) -> Converted | None``, which turns other code bases'
            checkpoints into weights of this component and returns None for those of other families
            (:mod:`mlvgm.weights.container`).
        trainer: name of the trainer that makes its weights, for ``mlvgm train KIND NAME``.
        argument: name of the configuration field that gets what follows the colon in ``NAME:ARGUMENT``.
        api: protocol version it was written against.
    """

    summary: str
    factory: str
    config: str
    capabilities: Mapping[str, str | int | bool] = field(default_factory=dict)
    weights: tuple[Weights, ...] = ()
    recipes: Mapping[str, tuple[Recipe, ...]] = field(default_factory=dict)
    converter: str | None = None
    trainer: str | None = None
    argument: str | None = None
    api: tuple[int, int] = API_VERSION


@dataclass(frozen=True)
class JobComponent:
    """A kind of study: ``mlvgm run NAME``.

    Args:
        summary: one line.
        job: ``"module:attribute"`` of a class or function without arguments that makes a
            :class:`mlvgm.protocols.job.Job`. Neither its module nor what it does before ``load`` should import torch.
            Empty: the command is the whole of it, without a run directory.
        command: ``"module:function"`` of a Typer function with the job's own options, which returns the settings they
            stand for, by dotted key; options that every job has are added. Its module imports neither torch nor
            pydantic.
        epilog: examples, below the command's help.
        api: protocol version it was written against.
    """

    summary: str
    job: str
    command: str
    epilog: str = ""
    api: tuple[int, int] = API_VERSION


@dataclass(frozen=True)
class CommandComponent:
    """A whole command: ``mlvgm NAME``.

    Args:
        summary: one line.
        command: ``"module:function"`` of a Typer function; its module imports neither torch nor pydantic.
        epilog: examples, below the command's help.
        api: protocol version it was written against.
    """

    summary: str
    command: str
    epilog: str = ""
    api: tuple[int, int] = API_VERSION


@dataclass(frozen=True)
class KindComponent:
    """A kind of plugins that a plugin brings; the entry's name is the group's, without ``mlvgm.``.

    Args:
        summary: one line.
        protocol: ``"module:attribute"`` of the protocol that what factories of this kind make has to satisfy.
        options: what dotted options of such a component begin with; ``{name}`` stands for its name. The singular of the
            kind by default.
        api: protocol version it was written against.
    """

    summary: str
    protocol: str | None = None
    options: str = ""
    api: tuple[int, int] = API_VERSION


Descriptor = Component | JobComponent | CommandComponent | KindComponent
