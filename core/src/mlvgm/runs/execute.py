"""Executing a run of any job: units that have no record yet, each recorded as soon as it is finished."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from typing import Any

import torch

from mlvgm.configuration.config import RunConfig
from mlvgm.configuration.files import has_changed
from mlvgm.errors import PluginError, Stopped
from mlvgm.plugins.blame import blamed
from mlvgm.plugins.hooks import Hooks
from mlvgm.protocols.job import Context, Job, Record, Result, Unit
from mlvgm.runs.pace import Progress
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.stored import finished
from mlvgm.runs.work import at_work
from mlvgm.runs.workers import Workers

See = Callable[[Progress], None]


def check_fits(job: Job[Any, Any], config: RunConfig, study: Any, done: Mapping[str, Record]) -> None:
    """Refuse finished units that would not go with those that are left.

    Raises:
        InputError: there is one.
    """
    misfit = job.misfit(config, study, done)
    if misfit:
        raise has_changed(misfit, config.run)


def execute(
    job: Job[Any, Any],
    config: RunConfig,
    study: Any,
    run: RunDirectory,
    *,
    hooks: Hooks,
    workers: Workers | None = None,
    progress: See = lambda progress: None,
) -> Result:
    """Do what is not done yet and return the result; its values are also written to ``metrics.json``.

    Interrupted at any moment, calling it again ends with the same result: what a unit finds depends on the
    configuration and the unit only, and one without a complete record is done anew.

    Args:
        job: kind of study.
        config: resolved configuration.
        study: what the job has loaded for it.
        run: where records go.
        hooks: told about units by the process that did them, about the run by the first.
        workers: the processes that share the units; this one alone by default.
        progress: told what is going on.

    Raises:
        InputError: records are not of this configuration.
        Stopped: SIGTERM or SIGHUP, a file could not be written, or a plugin failed; finished units are safe.
        PluginError: a plugin failed before a unit was finished.
    """
    torch.set_num_threads(config.threads)
    workers = workers or Workers()

    def tell(event: str, **arguments: Any) -> None:
        if workers.leads:
            hooks.tell(event, run=run, **arguments)

    try:
        with at_work(run, leads=workers.leads, go_on=f"`mlvgm runs resume {run.path}` goes on"):
            # What is left has to be agreed on: another worker may be recording already.
            done = workers.agree(finished(job, config, run))
            check_fits(job, config, study, done)
            tell("mlvgm_run_started", config=config)
            while todo := [unit for unit in job.wave(config, study, done) if unit.name not in done]:
                _do(
                    job,
                    config,
                    study,
                    run,
                    workers.share(todo),
                    done,
                    hooks=hooks,
                    alone=workers.count == 1,
                    see=progress,
                )
                workers.wait()
                done = workers.agree(finished(job, config, run))
                lost = [unit.name for unit in todo if unit.name not in done]
                if lost:
                    text = f"unit '{lost[0]}' was another process's, which has not done it; finished units are safe"
                    raise Stopped(text, hint=f"`mlvgm runs resume {run.path}` goes on")
            result = job.result(config, done)
            if workers.leads:
                run.write_json("metrics.json", result.values)
    except (Stopped, KeyboardInterrupt):
        raise
    except BaseException as error:
        tell("mlvgm_run_failed", error=error)
        raise
    tell("mlvgm_run_finished", result=result.values)
    return result


def _do(
    job: Job[Any, Any],
    config: RunConfig,
    study: Any,
    run: RunDirectory,
    todo: list[Unit],
    done: Mapping[str, Record],
    *,
    hooks: Hooks,
    alone: bool,
    see: See,
) -> None:
    """Do units one after the other and record each."""
    for number, unit in enumerate(todo):
        now = Progress(todo, number)

        def say(words: str) -> None:
            nonlocal now
            now = replace(now, words=words)
            see(now)

        def watch(effort: Callable[[], int]) -> None:
            nonlocal now
            now = replace(now, effort=effort)
            see(now)

        see(now)
        with _naming_plugins(run):
            outcome = job.run(unit, config, study, Context(say, watch, run.path))
        record = {**outcome.record, "unit": unit.name}
        if unit.configuration:
            record["configuration"] = unit.configuration
        if outcome.tensors:
            record["shard"] = run.write_images(unit.name, outcome.tensors, outcome.metadata)
        run.append(record)
        hooks.tell("mlvgm_unit_done", run=run, record=record)
        done = {**done, unit.name: record} if alone else finished(job, config, run)
        see(Progress(todo, number + 1, news=job.news(config, study, done, unit)))


@contextmanager
def _naming_plugins(run: RunDirectory) -> Iterator[None]:
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
