"""Run directories: configuration, environment, records, images and status of one run."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlvgm.errors import InputError, Stopped
from mlvgm.files import disk_is_full, write_bytes, write_text
from mlvgm.runs import records

if TYPE_CHECKING:
    from torch import Tensor

State = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class RunDirectory:
    """One run on disk.

    ``config.yaml`` (resolved, re-runnable), ``inputs.json`` (hashes of configuration and weights),
    ``environment.json``, ``records.jsonl`` (one line a finished unit; ``records-N.jsonl`` of a further worker N),
    ``images/UNIT.safetensors`` (docs/reference/shards.md), ``status.json``, ``metrics.json``, ``report.html`` and
    ``figures/``. Files are replaced atomically; records are appended and synced.

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

    @classmethod
    def create(cls, path: Path | None, *, name: str, config: str, environment: Mapping[str, Any]) -> RunDirectory:
        """Make the directory, ``runs/<UTC>-<name>-<hash>`` by default, and write configuration and environment.

        Raises:
            InputError: the place is not writable, or holds something already.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        mark = hashlib.sha256(f"{config}{stamp}{os.getpid()}".encode()).hexdigest()[:8]
        folder = path or Path("runs") / f"{stamp}-{name}-{mark}"
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"output folder '{folder}' is not empty", hint="choose another, or `mlvgm runs resume` it")
        try:
            (folder / "images").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to output folder '{folder}': {error.strerror}") from None
        run = cls(folder)
        try:
            run.write_config(config)
            run.write_json("environment.json", environment)
            run.set_status("running")
        except OSError as error:  # nothing is computed yet, so nothing is left
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(f"cannot write to output folder '{folder}': {error.strerror}") from None
        return run

    @classmethod
    def open(cls, path: Path, *, worker: int = 0) -> RunDirectory:
        """An existing run.

        Raises:
            InputError: there is none.
        """
        run = cls(path, worker)
        if not run.config.is_file():
            raise InputError(f"'{path}' is not a run directory (no config.yaml)", hint="see `mlvgm runs list`")
        return run

    def write_config(self, text: str) -> None:
        write_text(self.config, text)

    def write_json(self, name: str, value: object) -> None:
        write_text(self.path / name, json.dumps(value, indent=1, sort_keys=True) + "\n")

    def read_json(self, name: str) -> Any:
        """The contents of a JSON file of the run, empty if it was never written.

        Raises:
            InputError: it is damaged.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text()) if path.is_file() else {}
        except ValueError as error:
            raise InputError(f"'{path}' is damaged: {error}", hint="restore it, or start a new run") from None

    def set_status(self, state: State, **more: object) -> None:
        self.write_json(
            "status.json", {"state": state, "time": datetime.now(UTC).isoformat(timespec="seconds"), **more}
        )

    @property
    def state(self) -> str:
        return str(self.read_json("status.json").get("state", "unknown"))

    def write_images(self, unit: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
        """Images of a unit, lossless; a unit's record is written only after them."""
        from safetensors.torch import save

        content = save({k: v.contiguous() for k, v in tensors.items()}, dict(metadata or {}))
        write_bytes(self.path / "images" / f"{unit}.safetensors", content)

    def read_images(self, unit: str) -> dict[str, Tensor]:
        """Images of a finished unit.

        Raises:
            InputError: the file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.path / "images" / f"{unit}.safetensors"
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"cannot read images '{path}': {error}", hint="restore the file") from None

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
    def keeping_records(self) -> Iterator[None]:
        """Turn a full disk into one message; what is recorded stays, and the run can be resumed."""
        try:
            yield
        except OSError as error:
            if disk_is_full(error):
                raise Stopped(
                    f"the disk is full; every finished unit is safe in '{self.path}'",
                    hint=f"free some space, then `mlvgm runs resume {self.path}`",
                ) from None
            raise


def environment(*, device: str, threads: int) -> dict[str, Any]:
    """What the numbers of a run depend on: versions, plugin distributions, device and threads."""
    names = ("torch", "numpy", "timm", "torchvision", "safetensors")
    mlvgm = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"].startswith("mlvgm")}
    versions = {name: _version(name) for name in names}
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "versions": {name: version for name, version in versions.items() if version},
        "plugins": dict(sorted(mlvgm.items())),
        "device": device,
        "threads": threads,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
