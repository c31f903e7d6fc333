"""Doctor: imports and makes every plugin, one at a time, and looks at what runs need."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlvgm.errors import MlvgmError, PluginError
from mlvgm.plugins.check import Check
from mlvgm.plugins.describe import described
from mlvgm.plugins.descriptors import Component, JobComponent, KindComponent
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.hooks import Hooks
from mlvgm.plugins.imports import MissingExtra, import_target
from mlvgm.plugins.index import HOOKS, Index
from mlvgm.plugins.kinds import option_group
from mlvgm.plugins.load import Resolved, built, command, config_class, configured, converter, factory, job, presets

if TYPE_CHECKING:
    from mlvgm.protocols.data import DataInfo

# What others are made with comes first.
_FIRST = ("datasets", "generators")
_STATUSES = ("ok", "note", "warning", "problem")


def examine(index: Index) -> tuple[Check, ...]:
    """Everything worth knowing about this installation; nothing a plugin does stops it."""
    hooks = Hooks(index)
    parts = _Parts()
    plugins = _made(index, None, parts)
    return (*_environment(), *_told(hooks), *index.check(), *hooks.checks(), *plugins, *map(_source, parts.data))


def check_plugins(index: Index, kind: str | None = None) -> tuple[Check, ...]:
    """What the index says, and whether each plugin of ``kind`` works; all kinds and hooks by default."""
    hooks = Hooks(index).checks() if kind in (None, HOOKS) else ()
    return (*index.check(), *hooks, *_made(index, kind, _Parts()))


@dataclass
class _Parts:
    """What was made, for those whose factories want it."""

    data: list[DataInfo] = field(default_factory=list)
    generators: list[Any] = field(default_factory=list)


def _made(index: Index, kind: str | None, parts: _Parts) -> list[Check]:
    """A check of each component of ``kind``, in the order of the index."""
    entries = [entry for entry in index.entries() if entry.kind != HOOKS]
    entries.sort(key=lambda entry: entry.kind not in _FIRST)
    wanted = [entry for entry in entries if kind is None or entry.kind in (kind, *_FIRST)]
    found = {id(entry): _check(entry, parts) for entry in wanted}
    return [found[id(entry)] for entry in index.entries(kind) if id(entry) in found]


def _check(entry: Entry, parts: _Parts) -> Check:
    name = f"{entry.kind}/{entry.name}"
    try:
        found = described(entry)
        if not isinstance(found, Component):
            return _brought(entry, found)
        resolved = Resolved(entry, found)
        presets(resolved)
        factory(resolved)
        if resolved.component.converter is not None:
            converter(resolved)
        missing = [weights.name for weights in resolved.component.weights if not _is_there(weights)]
        if missing:
            return Check(name, "problem", f"its weights '{missing[0]}' are missing; install {entry.provider} again")
        return _trial(resolved, name, parts)
    except MissingExtra as error:
        return Check(name, "note", f"{entry.provider}; optional, {error.hint}")
    except MlvgmError as error:
        return Check(name, "problem", " ".join(str(error).split()))


def _brought(entry: Entry, found: object) -> Check:
    """Whether what a job, a command or a kind names is there.

    Raises:
        PluginError: it is not.
    """
    if not isinstance(found, KindComponent):
        command(entry)
        if isinstance(found, JobComponent) and found.job:
            job(entry.qualified)
    elif found.protocol is not None:
        import_target(entry, found.protocol)
    return Check(f"{entry.kind}/{entry.name}", "ok", entry.provider)


def _trial(resolved: Resolved, name: str, parts: _Parts) -> Check:
    """Whether a component is made with its defaults, where it has them.

    Raises:
        PluginError: its factory fails or makes something else.
    """
    entry = resolved.entry
    if entry.kind == "trainers":
        return Check(name, "ok", f"{entry.provider}; not tried, it is made for a training")
    required = [name for name, field in config_class(resolved).model_fields.items() if field.is_required()]
    if required:
        group = option_group(entry.kind, entry.name)
        return Check(name, "ok", f"{entry.provider}; not tried, it needs {group}.{required[0]}")
    refusal: MlvgmError | None = None
    for given in _given(resolved, parts):
        try:
            made = built(resolved, configured(resolved, {}), **given)
        except PluginError:
            raise
        except MlvgmError as error:  # what it needs is not here, or not what was tried
            refusal = error
            continue
        if entry.kind == "datasets":
            parts.data.append(made.info)
        elif entry.kind == "generators":
            parts.generators.append(made)
        return Check(name, "ok", entry.provider)
    reason = "" if refusal is None else f": {' '.join(str(refusal).split())}"
    return Check(name, "note", f"{entry.provider}; could not be tried here{reason}")


def _given(resolved: Resolved, parts: _Parts) -> Iterator[dict[str, Any]]:
    """What a component may be made with; the first that fits is enough."""
    kind, capabilities = resolved.entry.kind, resolved.component.capabilities
    if kind == "classifiers":
        yield from ({"data": info} for info in parts.data)
    elif kind == "encoders" or (kind == "purifiers" and capabilities.get("needs_generator")):
        # Those that encode themselves serve any purifier.
        encoding = [one for one in parts.generators if getattr(one, "encode", None) is not None]
        yield from ({"generator": one} for one in (*encoding, *parts.generators))
    else:
        yield {}


def _is_there(weights: Any) -> bool:
    from mlvgm.weights.shipped import size_of

    return size_of(weights) is not None


def _told(hooks: Hooks) -> list[Check]:
    """What plugins have to say, those that answer with something else among them."""
    found: list[Check] = []
    for name, reply in hooks.replies("mlvgm_doctor_checks"):
        checks = reply if isinstance(reply, (list, tuple)) else [reply]
        for check in checks:
            if isinstance(check, Check) and check.status in _STATUSES:
                found.append(check)
            else:
                found.append(Check(f"hooks/{name}", "problem", f"mlvgm_doctor_checks: expected a Check, got {check!r}"))
    return found


def _source(info: DataInfo) -> Check:
    """Where a data set that needs no argument finds its files."""
    return Check(f"data of {info.name}", "warning" if info.sample else "ok", info.source)


def _environment() -> list[Check]:
    """What core itself has to say."""
    import torch

    devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]
    if torch.backends.mps.is_available():
        devices.append("mps")
    threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} processors"
    return [
        Check("python", "ok", platform.python_version()),
        Check("torch", "ok", f"{torch.__version__}, {', '.join(devices)}, {threads}"),
    ]
