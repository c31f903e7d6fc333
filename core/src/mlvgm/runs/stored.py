"""A run on disk with the job it is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlvgm.configuration.config import RunConfig
from mlvgm.configuration.settings import from_file, nest
from mlvgm.errors import ConfigError, InputError, MlvgmError
from mlvgm.plugins.load import job as load_job
from mlvgm.plugins.options import validate
from mlvgm.protocols.job import Job, Record
from mlvgm.runs.rundir import RunDirectory


@dataclass(frozen=True)
class Stored:
    """A run, read back.

    Args:
        run: its directory.
        job: what kind of study it is.
        config: its configuration.
        records: its finished units, by name.
    """

    run: RunDirectory
    job: Job[Any, Any]
    config: Any
    records: Mapping[str, Record]


def stored(path: Path) -> Stored:
    """Read a run back.

    Raises:
        InputError: it is none, or something in it is damaged.
        PluginError: its job is not installed.
    """
    run = RunDirectory.open(path)
    job, config = read_config(run)
    return Stored(run, job, config, finished(job, config, run))


def job_name(run: RunDirectory) -> str:
    """The name of the job that a run is of.

    Raises:
        InputError: its configuration does not say so.
    """
    settings = from_file(run.config)
    if "run" not in settings:
        raise InputError(f"'{run.config}' is not a run's config.yaml: it names no job", hint="restore it, `run: JOB`")
    return str(settings["run"].value)


def read_config(run: RunDirectory) -> tuple[Job[Any, Any], Any]:
    """The job of a run, and its configuration as it was written.

    Raises:
        InputError: the file is missing or no mapping.
        ConfigError: it is no configuration of such a run.
        PluginError: the job is not installed.
    """
    settings, name = from_file(run.config), job_name(run)
    job = load_job(name)
    try:
        tree = nest({key: setting.value for key, setting in settings.items()})
        return job, validate(job.config, tree, prefix="run")
    except MlvgmError as error:
        raise ConfigError(
            f"'{run.config}' is not a run's config.yaml: {error}",
            hint=f"restore it; options of your own go to `mlvgm run {name} --config FILE`",
        ) from error


def finished(job: Job[Any, Any], config: RunConfig, run: RunDirectory) -> dict[str, dict[str, Any]]:
    """Records of the finished units of a run, by unit.

    Raises:
        InputError: a line is not such a record, or they cannot be of one run.
    """
    done = run.finished(problem=job.problem)
    wrong = job.contradiction(config, done)
    if wrong:
        raise InputError(f"records of run '{run.path}' are not of one run: {wrong}", hint="restore its records*.jsonl")
    return done
