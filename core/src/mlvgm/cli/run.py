"""``mlvgm run JOB``: every job with its own options and those that all jobs have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlvgm.cli import options
from mlvgm.cli.plugged import Flags, mount, with_options

if TYPE_CHECKING:
    from mlvgm.plugins.hooks import Hooks
    from mlvgm.protocols.job import Job
    from mlvgm.runs.pace import Progress
    from mlvgm.runs.rundir import RunDirectory
    from mlvgm.runs.workers import Workers


def register(app: typer.Typer, words: Sequence[str] = ()) -> None:
    """Add the verb to ``app``; the first of ``words`` names the job."""
    run = typer.Typer(help="Run a study.", no_args_is_help=True)
    mount(run, "jobs", words[0] if words else None, adapt=_command)
    app.add_typer(run, name="run")


def common(
    budget: options.Budget = None,
    seed: options.Seed = None,
    device: options.ConfiguredDevice = None,
    threads: options.Threads = None,
    workers: options.Workers = None,
    settings: Annotated[list[str] | None, options.assignments("seed=1")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of options.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory to make.", rich_help_panel="Output")] = None,
    fail_under: Annotated[
        float | None, typer.Option(help="Exit 1 if the result is lower.", rich_help_panel="Output")
    ] = None,
    dry_run: options.DryRun = False,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Options that every job has."""


def _command(name: str, own: Callable[..., Flags]) -> Callable[..., None]:
    return with_options(own, common, partial(_start, name))


def _start(name: str, flags: Flags, given: dict[str, Any]) -> None:
    """Check everything that costs nothing, print the plan, load and check the rest, make the run directory, run."""
    import os

    from mlvgm.cli.output import emit_json, print_plan, say
    from mlvgm.cli.typed import arguments
    from mlvgm.configuration.build import check_device
    from mlvgm.configuration.resolve import collect
    from mlvgm.configuration.threads import shares
    from mlvgm.files import check_writable
    from mlvgm.plugins.hooks import listening
    from mlvgm.plugins.load import job as load_job
    from mlvgm.runs.rundir import RunDirectory
    from mlvgm.runs.workers import announced, helped

    job = load_job(name)
    flags = {**{key: given[key] for key in ("budget", "seed", "device", "threads", "fail_under")}, **flags}
    chosen = collect(
        assignments=given["settings"] or (),
        flags=flags,
        file=given["config"],
        environ=os.environ,
        parts=job.groups,
    )
    leads, quiet, out = announced(os.environ).leads, given["quiet"], given["out"]
    if out is None:
        check_writable(Path("runs"))
    else:
        RunDirectory(out).check_free()
    hooks = listening(os.environ)
    count, threads = shares(given["workers"], chosen, os.environ)
    resolved = job.resolve(chosen, threads=threads)
    plan = job.plan(resolved.config, None)
    if leads and not quiet:
        print_plan(plan)
    check_device(resolved.config.device)
    if given["dry_run"]:
        if leads and given["json_output"]:
            config = resolved.config.model_dump(mode="json")
            emit_json({"plan": plan, "config": config, "sources": dict(resolved.sources)})
        if leads:
            say("dry run: nothing was computed")
        return
    with helped(os.environ, count, arguments()) as workers:
        _load_and_run(job, resolved, plan, workers, hooks=hooks, out=out, json=given["json_output"], quiet=quiet)


def _load_and_run(
    job: Job[Any, Any],
    resolved: Any,
    announced: Mapping[str, str],
    workers: Workers,
    *,
    hooks: Hooks,
    out: Path | None,
    json: bool,
    quiet: bool,
) -> None:
    from mlvgm.cli.output import print_plan
    from mlvgm.cli.typed import command_line
    from mlvgm.configuration.files import file_hashes
    from mlvgm.runs.rundir import RunDirectory, environment

    resolved, study = job.load(resolved)
    config = resolved.config
    plan = job.plan(config, study)
    if workers.leads and not quiet:
        print_plan({title: text for title, text in plan.items() if announced.get(title) != text})
    documents = {"plan.json": plan, "inputs.json": file_hashes(config), **job.documents(config, study)}
    path = None
    if workers.leads:
        path = RunDirectory.create(
            out,
            name=job.name(config),
            config=resolved.to_yaml(),
            environment=environment(device=config.device, threads=config.threads, command=command_line()),
            documents=documents,
        ).path
    run = RunDirectory(workers.agree(path), workers.rank)
    finish(job, config, study, run, hooks=hooks, workers=workers, json=json, quiet=quiet)


def finish(
    job: Job[Any, Any],
    config: Any,
    study: Any,
    run: RunDirectory,
    *,
    hooks: Hooks,
    workers: Workers,
    json: bool,
    quiet: bool,
) -> None:
    """Run what is not done, then print results and say where everything is.

    Raises:
        CheckFailed: the result fails a threshold.
    """
    from mlvgm.cli.output import emit_json, json_ready, print_result, say
    from mlvgm.errors import CheckFailed, InputError
    from mlvgm.runs.execute import execute
    from mlvgm.runs.report import write_report

    try:
        with _watching(config.run, shown=workers.leads and not quiet) as progress:
            result = execute(job, config, study, run, hooks=hooks, workers=workers, progress=progress)
    except KeyboardInterrupt:
        say(f"interrupted; finished units are safe (`mlvgm runs resume {run.path}` goes on)")
        raise
    if not workers.leads:
        return
    if json:
        emit_json(json_ready({**result.values, "run": str(run.path), "config": config.model_dump(mode="json")}))
    else:
        print_result(result)
    say(result.small_print)
    report = None
    with run.keeping_records():  # after the results, which nothing that happens to the figures may hide
        try:
            report = write_report(job, run, config)
        except InputError as error:
            say(f"no report: {error}")
    say(f"run directory: {run.path}" + (f" (figures and tables: {report})" if report else ""))
    failed = job.verdict(config, result)
    if failed:
        raise CheckFailed(failed)


@contextmanager
def _watching(title: str, *, shown: bool) -> Iterator[Callable[[Progress], None]]:
    """Show how far a run is, also within a unit, and what has become known with each."""
    from mlvgm.cli.output import say
    from mlvgm.cli.progress import progress_bar
    from mlvgm.runs.pace import Pace

    pace, latest = Pace(), [""]

    def look() -> None:
        if (now := pace.progress) is not None:
            effort = now.effort()
            spent = f"{effort:,} passes, " if effort else ""
            update(now.done + pace.fraction, len(now.todo), spent + latest[0], left=pace.left)

    def see(now: Progress) -> None:
        pace.see(now)
        if now.done < len(now.todo):
            latest[0] = ": ".join(filter(None, (now.todo[now.done].title, now.words)))
        if shown and now.news:
            say(now.news)
        look()

    with progress_bar(title, shown=shown, look=look) as update:
        yield see
