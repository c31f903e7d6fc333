"""Doctor: imports every plugin, one at a time, and looks at what runs need."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable

from mlvgm.errors import MlvgmError
from mlvgm.plugins.check import Check
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.hooks import Hooks
from mlvgm.plugins.hookspecs import hookimpl
from mlvgm.plugins.index import HOOKS, Index, noun
from mlvgm.plugins.load import Resolved, config_class, descriptor, factory
from mlvgm.plugins.options import validate


def examine(index: Index) -> tuple[Check, ...]:
    """Everything worth knowing about this installation; nothing a plugin does stops it."""
    told = Hooks(index, observers=[_Environment()]).tell("mlvgm_doctor_checks")
    return (*(check for checks in told for check in checks), *check_plugins(index), *_data(index.entries("datasets")))


def check_plugins(index: Index, kind: str | None = None) -> tuple[Check, ...]:
    """What the index says, and whether each plugin of ``kind`` imports; all kinds and hooks by default."""
    hooks = Hooks(index).checks() if kind in (None, HOOKS) else ()
    components = (entry for entry in index.entries(kind) if entry.kind != HOOKS)
    return (*index.check(), *hooks, *map(_loads, components))


def _loads(entry: Entry) -> Check:
    name = f"{entry.kind}/{entry.name}"
    try:
        resolved = Resolved(entry, descriptor(entry))
        config_class(resolved)
        factory(resolved)
    except MlvgmError as error:
        return Check(name, "problem", " ".join(str(error).split()))
    return Check(name, "ok", entry.provider)


class _Environment:
    """What core itself has to say; on the same bus as everybody else."""

    @hookimpl
    def mlvgm_doctor_checks(self) -> list[Check]:
        import torch

        devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]
        if torch.backends.mps.is_available():
            devices.append("mps")
        threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} processors"
        return [
            Check("python", "ok", platform.python_version()),
            Check("torch", "ok", f"{torch.__version__}, {', '.join(devices)}, {threads}"),
        ]


def _data(datasets: Iterable[Entry]) -> list[Check]:
    """Where the data sets that need no argument find their files."""
    found = []
    for entry in datasets:
        name = f"data of {entry.name}"
        try:
            resolved = Resolved(entry, descriptor(entry))
            config = config_class(resolved)
            if any(field.is_required() for field in config.model_fields.values()):
                continue
            info = factory(resolved)(validate(config, {}, prefix=noun(entry.kind))).info
        except MlvgmError as error:
            found.append(Check(name, "warning", " ".join(str(error).split())))
        except Exception as error:
            found.append(Check(name, "problem", f"{type(error).__name__}: {error}"))
        else:
            found.append(Check(name, "warning" if info.sample else "ok", info.source))
    return found
