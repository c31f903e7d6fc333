"""Run directories: configuration, environment, records, images and status of one run."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlvgm.errors import InputError
from mlvgm.files import check_writable, is_unfinished, reason, stopping_without_loss, write_bytes, write_text
from mlvgm.plugins.index import CORE, Index
from mlvgm.runs import records
from mlvgm.runs.lock import LOCK, is_locked, locked

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.data import DataInfo

State = Literal["created", "running", "finished", "stopped", "failed"]
_STATUS = "status.json"
# What there is before the configuration, which comes last: a folder with it is a run, one without has no records.
_START = {"images", LOCK, _STATUS, "environment.json", "plan.json", "inputs.json", "data.json"}
_RESTORE = "restore the file, or start a new run"


@dataclass(frozen=True)
class RunDirectory:
    """One run on disk.

    ``config.yaml`` (resolved, re-runnable), ``inputs.json`` (hashes of configuration and weights), ``plan.json``,
    ``environment.json`` (versions, and what was typed), ``data.json`` (names of the classes), ``records.jsonl`` (one
    line a finished unit; ``records-N.jsonl`` of a further worker N), ``images/UNIT.safetensors``
    (docs/reference/shards.md), ``status.json``, ``metrics.json``, ``report.html`` and ``figures/``. Files are replaced
    atomically; records are appended and synced.

    Args:
        path: the directory.
        worker: number of this process among those that work on the run.
    """

    path: Path
    worker: int = 0

    @property
    def records(self) -> Path:
        return self.path / ("records.jsonl" if self.worker == 0 else f"records-{self.worker}.jsonl")

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def images(self) -> Path:
        return self.path / "images"

    @classmethod
    def create(
        cls,
        path: Path | None,
        *,
        name: str,
        config: str,
        environment: Mapping[str, Any],
        documents: Mapping[str, object] | None = None,
    ) -> RunDirectory:
        """Make the directory, ``runs/<UTC>-<name>-<hash>`` by default, with everything a run begins with.

        A process killed meanwhile leaves a folder that :meth:`create` takes as if it were empty.

        Args:
            path: the folder, which may exist if it is empty.
            name: part of the default folder's name.
            config: contents of ``config.yaml``.
            environment: contents of ``environment.json``.
            documents: contents of other JSON files, by name.

        Raises:
            InputError: the place is not writable, or holds something already.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        mark = hashlib.sha256(f"{config}{stamp}{os.getpid()}".encode()).hexdigest()[:8]
        begun = {"begun": datetime.now(UTC).isoformat(timespec="seconds")}
        folder = path or Path("runs") / f"{stamp}-{name}-{mark}"
        run = cls(folder)
        run.check_free()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                run.images.mkdir(exist_ok=True)
                run.set_status("created")
                for file, content in {"environment.json": {**environment, **begun}, **(documents or {})}.items():
                    run.write_json(file, content)
                run.write_config(config)
        except OSError as error:  # nothing is computed yet, so nothing is left
            with suppress(OSError):
                if not run.config.exists():
                    shutil.rmtree(folder)
            raise InputError(f"cannot write to output folder '{folder}': {reason(error)}") from None
        return run

    @classmethod
    def open(cls, path: Path, *, worker: int = 0) -> RunDirectory:
        """An existing run.

        Raises:
            InputError: there is none.
        """
        run = cls(path, worker)
        try:
            if run.config.is_file():
                return run
            begun = not run.never_began or not any(path.iterdir())
        except OSError as error:
            raise InputError(f"cannot read run '{path}': {reason(error)}") from None
        if begun:
            raise InputError(f"'{path}' is not a run directory (no config.yaml)", hint="see `mlvgm runs list`")
        raise InputError(
            f"'{path}' was killed before its run began, and holds no results",
            hint=f"start it again with `--out {path}`, or remove it",
        )

    def check_free(self) -> None:
        """Refuse a place where no run can be made.

        Raises:
            InputError: it is not writable, or holds something already.
        """
        check_writable(self.path)
        if self.path.exists() and not self.never_began:
            hint = "choose another, or `mlvgm runs resume` it"
            raise InputError(f"output folder '{self.path}' is not empty", hint=hint)

    @property
    def never_began(self) -> bool:
        """Whether this is a folder without more than what a killed :meth:`create` leaves."""
        return (
            self.path.is_dir()
            and all(path.name in _START or is_unfinished(path) for path in self.path.iterdir())
            and not (self.images.exists() and any(self.images.iterdir()))
        )

    def refuse_in_use(self) -> None:
        """Refuse to go on where another command is at work; cheap, and before anything is loaded.

        Raises:
            InputError: one is.
        """
        with locked(self.path):
            pass

    def write_config(self, text: str) -> None:
        write_text(self.config, text)

    def write_json(self, name: str, value: object) -> None:
        write_text(self.path / name, json.dumps(value, indent=1, sort_keys=True) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """The contents of a JSON file of the run, empty if it was never written.

        Raises:
            InputError: it is damaged.
        """
        value = self._read_json(name, {})
        if isinstance(value, dict):
            return value
        raise InputError(f"'{self.path / name}' is damaged: no JSON object", hint=_RESTORE)

    def read_json_list(self, name: str) -> list[Any]:
        """The same of a file that holds a list."""
        value = self._read_json(name, [])
        if isinstance(value, list):
            return value
        raise InputError(f"'{self.path / name}' is damaged: no JSON list", hint=_RESTORE)

    def _read_json(self, name: str, missing: object) -> Any:
        path = self.path / name
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return missing
        except OSError as error:
            raise InputError(f"cannot read '{path}': {error.strerror}", hint=_RESTORE) from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"'{path}' is damaged: {error}", hint=_RESTORE) from None

    def set_status(self, state: State, **more: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.write_json(_STATUS, {"state": state, "time": now, "host": platform.node(), **more})

    @property
    def state(self) -> str:
        """What the run says of itself; ``dead`` if it says ``running`` and its process has ended without a word.

        Raises:
            InputError: it cannot be read.
        """
        status = self.read_json(_STATUS)
        state = str(status.get("state", "unknown"))
        # Another machine's locks may not be seen here.
        here = status.get("host", platform.node()) == platform.node()
        return "dead" if state == "running" and here and not is_locked(self.path) else state

    def shard(self, unit: str) -> Path:
        """File of a unit's images."""
        return self.images / f"{unit}.safetensors"

    def write_images(self, unit: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> str:
        """Images of a unit, lossless; a unit's record is written only after them.

        Returns:
            SHA-256 of the file, which the record keeps.
        """
        from mlvgm.tensors_file import as_bytes

        content = as_bytes(tensors, metadata)
        self.images.mkdir(exist_ok=True)
        write_bytes(self.shard(unit), content)
        return hashlib.sha256(content).hexdigest()

    def read_images(self, unit: str) -> dict[str, Tensor]:
        """Images of a finished unit.

        Raises:
            InputError: the file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.shard(unit)
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"cannot read images '{path}': {error}", hint="restore the file") from None

    def owns(self, path: Path) -> bool:
        """Whether a file is one of those that make up the run, which nothing else may replace."""
        here, place = Path(os.path.realpath(self.path)), Path(os.path.realpath(path))
        written = place.suffix in (".json", ".jsonl", ".safetensors") or place.name == LOCK
        return place in (here, here / "config.yaml", here / "images") or (here in place.parents and written)

    def append(self, record: Mapping[str, Any]) -> None:
        records.append(self.records, record)

    def finished(self, *, problem: Callable[[Mapping[str, Any]], str] = lambda record: "") -> dict[str, dict[str, Any]]:
        """Finished records by unit; if a unit stands twice, the first one counts.

        Args:
            problem: what is wrong with a record, in words; empty if nothing is.

        Raises:
            InputError: a line is not a record.
        """
        done: dict[str, dict[str, Any]] = {}
        for path in sorted(self.path.glob("records*.jsonl")):
            for record in records.read(path, problem=problem):
                done.setdefault(record["unit"], record)
        return done

    @contextmanager
    def keeping_records(self, go_on: str = "") -> Iterator[None]:
        """Turn a full disk, or a file that cannot be read or written, into one message; what is recorded stays.

        Args:
            go_on: how to go on, in words; by `mlvgm runs resume` unless given.

        Raises:
            Stopped: that happened.
        """
        safe = f"every finished unit is safe in '{self.path}'"
        with stopping_without_loss(safe, go_on=go_on or f"`mlvgm runs resume {self.path}` goes on"):
            yield


def environment(*, device: str, threads: int, command: str = "") -> dict[str, Any]:
    """What the numbers of a run depend on: versions, plugin distributions, device and threads; and what was typed."""
    entries = Index.installed().entries()
    names = ("torch", "numpy", "safetensors", *sorted({name for entry in entries for name in entry.libraries()}))
    plugins = {entry.distribution: entry.version for entry in entries}
    plugins |= {name: version for name in ("mlvgm", CORE) if (version := _version(name))}
    versions = {name: _version(name) for name in names}
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "versions": {name: version for name, version in versions.items() if version},
        "plugins": dict(sorted(plugins.items())),
        "device": device,
        "threads": threads,
        "command": command,
    }


def of_data(info: DataInfo) -> dict[str, Any]:
    """What a run keeps of its data set, so that it can be read without it."""
    return {"name": info.name, "classes": list(info.label_names), "source": info.source, "licence": info.licence}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
