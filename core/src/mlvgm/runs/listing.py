"""The runs in a folder, each in short; a damaged one is named and hides no other. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlvgm.errors import InputError, MlvgmError
from mlvgm.files import reason
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.stored import job_name, read_config


@dataclass(frozen=True)
class Listed:
    """A run in short.

    Args:
        run: its folder.
        begun: when, as ``YYYY-MM-DD HH:MM`` UTC; empty if unknown.
        state: of :attr:`RunDirectory.state`; ``damaged``, or ``never began`` for what a killed start has left.
        units: how many are finished.
        headline: the result of a finished run in a few words.
        command: what was typed, or what kind of run it is if that is unknown.
        problem: what is damaged, or what to do; empty if nothing.
    """

    run: str
    begun: str = ""
    state: str = "damaged"
    units: int = 0
    headline: str = ""
    command: str = ""
    problem: str = ""


def list_runs(folder: Path) -> list[Listed]:
    """All runs in a folder, by name.

    Raises:
        InputError: there is no such folder.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise InputError(f"cannot read folder '{folder}': {reason(error)}") from None
    return [one for path in inside if (one := listed(path)) is not None]


def listed(path: Path) -> Listed | None:
    """The run in a folder in short; None if it holds none.

    A run is read as far as it can be.
    """
    run = RunDirectory(path)
    try:
        if not run.config.is_file():
            if run.never_began:
                hint = f"may be removed, or begun with `--out {path}`"
                return Listed(str(path), state="never began", problem=hint) if any(path.iterdir()) else None
            if not any(path.glob("records*.jsonl")):
                return None
            return Listed(str(path), problem=f"'{run.config}' is missing")
    except OSError as error:
        return Listed(str(path), problem=reason(error))
    found: dict[str, object] = {}
    problems: list[str] = []
    for read in (_kind, _start, _units, _state, _result):
        try:
            found |= read(run)
        except MlvgmError as error:
            problems.append(error.message)
        except OSError as error:
            problems.append(reason(error))
    if problems:
        found |= {"state": "damaged", "problem": "; ".join(problems)}
    return Listed(str(path), **found)  # type: ignore[arg-type]


def _kind(run: RunDirectory) -> dict[str, object]:
    read_config(run)
    return {"command": f"mlvgm run {job_name(run)} …"}


def _start(run: RunDirectory) -> dict[str, object]:
    start = run.read_json("environment.json")
    # Runs of earlier versions say only when they last changed.
    begun = str(start.get("begun") or run.read_json("status.json").get("time", ""))
    found: dict[str, object] = {"begun": begun[:16].replace("T", " ")}
    return found | ({"command": str(start["command"])} if start.get("command") else {})


def _units(run: RunDirectory) -> dict[str, object]:
    job, _ = read_config(run)
    return {"units": len(run.finished(problem=job.problem))}


def _state(run: RunDirectory) -> dict[str, object]:
    return {"state": run.state}


def _result(run: RunDirectory) -> dict[str, object]:
    if run.state != "finished":
        return {}
    job, _ = read_config(run)
    try:
        return {"headline": job.headline(run.read_json("metrics.json"))}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise InputError(f"'{run.path / 'metrics.json'}' is damaged") from None
