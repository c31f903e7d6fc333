"""Executing a purification run: units that have no record yet, each recorded as soon as it is finished."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from mlvgm.errors import InputError, PluginError, Stopped
from mlvgm.pipelines.purify import Unit, run_unit, summarise, units
from mlvgm.pipelines.shards import shard_metadata
from mlvgm.plugins.blame import blamed
from mlvgm.plugins.hooks import Hooks
from mlvgm.runs.build import Study
from mlvgm.runs.config import PurifyConfig
from mlvgm.runs.inputs import unit_configurations
from mlvgm.runs.pace import Progress
from mlvgm.runs.results import finished_units, results
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.work import at_work
from mlvgm.runs.workers import Workers


def all_units(config: PurifyConfig, samples: tuple[int, ...]) -> list[Unit]:
    """Every unit of a run, in the order they are done."""
    attacked = config.attacked()
    return [
        unit
        for attack in config.attacks
        for unit in units({attack.label: attacked[attack.label]}, samples[: attack.limit], block=config.block)
    ]


def execute(
    study: Study,
    config: PurifyConfig,
    run: RunDirectory,
    *,
    hooks: Hooks,
    workers: Workers | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Do what is not done yet and return the results as plain values (also written to ``metrics.json``).

    Interrupted at any moment, calling it again ends with the same per-image decisions: a unit's outcome depends on the
    configuration and its sample ids only, and a unit without a complete record is done anew.

    Args:
        study: components of ``config``.
        config: resolved configuration.
        run: where records go.
        hooks: told about started and finished runs and units.
        workers: the processes that share the units; this one alone by default.
        progress: told what is going on.

    Raises:
        InputError: records are of other samples than those the data have now.
        Stopped: SIGTERM or SIGHUP, a file could not be written, or a plugin failed; finished units are safe.
        PluginError: a plugin failed before a unit was finished.
    """
    torch.set_num_threads(config.threads)
    workers = workers or Workers()
    everything = all_units(config, study.samples)
    configurations = unit_configurations(config)
    try:
        with at_work(run, leads=workers.leads, go_on=f"`mlvgm runs resume {run.path}` goes on"):
            # What is left has to be agreed on: another worker may be recording already.
            done = workers.agree(finished_units(run))
            check_samples(everything, done)
            todo = workers.share([unit for unit in everything if unit.name not in done])
            hooks.tell("mlvgm_run_started", run=run, config=config)
            whole = _whole(everything, done)
            for number, unit in enumerate(todo):
                now = Progress(todo, number, "attacking")
                progress(now)
                with naming_plugins(run):
                    record, images = run_unit(
                        unit,
                        defence=study.defences[unit.label],
                        attack=study.attacks[unit.attack],
                        data=study.data,
                        split=config.split,
                        protocol=study.protocol,
                        device=config.device,
                        progress=partial(_say, progress, now),
                        counts=now.counts,
                    )
                header = shard_metadata(record, seed=config.seed, split=config.split)
                digest = run.write_images(unit.name, images, header)
                run.append(record | {"configuration": configurations[unit.label, unit.attack], "shard": digest})
                hooks.tell("mlvgm_unit_done", run=run, record=record)
                done = {**done, unit.name: record} if workers.count == 1 else finished_units(run)
                rows = [key for key in _whole(everything, done) if key not in whole]
                whole += rows
                of_rows = ([r for r in done.values() if (r["defence"], r["attack"]) == key] for key in rows)
                progress(Progress(todo, number + 1, rows=tuple(map(summarise, of_rows))))
            workers.wait()
            result = results(config, finished_units(run))
            if workers.leads:
                run.write_json("metrics.json", result)
    except (Stopped, KeyboardInterrupt):
        raise
    except BaseException as error:
        hooks.tell("mlvgm_run_failed", run=run, error=error)
        raise
    hooks.tell("mlvgm_run_finished", run=run, result=result)
    return result


@contextmanager
def naming_plugins(run: RunDirectory) -> Iterator[None]:
    """Turn what a plugin's code raises inside into an error that names it; what it prints goes to stderr.

    Raises:
        Stopped: the run has finished units, so it can go on when the plugin is mended.
        PluginError: it has none.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        blame = error if isinstance(error, PluginError) else blamed(error)
        if blame is None:
            raise
        if not run.finished():
            raise blame from (None if blame is error else error)
        text = f"{blame.message}; finished units are safe"
        raise Stopped(text, hint=f"`mlvgm runs resume {run.path}` goes on once it is mended") from error


def _say(progress: Callable[[Progress], None], now: Progress, message: str) -> None:
    progress(replace(now, message=message))


def _whole(everything: list[Unit], done: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each (defence, attack) whose units are all done."""
    open_ = {(unit.label, unit.attack) for unit in everything if unit.name not in done}
    return [key for key in dict.fromkeys((unit.label, unit.attack) for unit in everything) if key not in open_]


def check_samples(everything: list[Unit], done: dict[str, dict[str, Any]]) -> None:
    """Refuse records of other samples than the units of a run have now.

    Raises:
        InputError: there is one.
    """
    expected = {unit.name: list(unit.samples) for unit in everything}
    for name, record in done.items():
        if record["samples"] != expected.get(name):
            raise InputError(
                f"record '{name}' is not of the samples this run has now",
                hint="data or configuration have changed since it began; start a new run. One grows by whole units of "
                "`block` images only",
            )
