"""``mlvgm runs list | show | resume | diff | delete``: runs of any job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlvgm.cli import options

if TYPE_CHECKING:
    from mlvgm.runs.workers import Workers


def register(app: typer.Typer, words: Sequence[str] = ()) -> None:
    runs = typer.Typer(help="Past and interrupted runs.", no_args_is_help=True)
    runs.command("list")(list_runs)
    runs.command("show")(show)
    runs.command("resume")(resume)
    runs.command("diff")(diff)
    runs.command("delete")(delete)
    app.add_typer(runs, name="runs")


def list_runs(
    folder: Annotated[Path | None, typer.Argument(help="Folder that holds run directories; default runs.")] = None,
    json_output: options.Json = False,
) -> None:
    """Runs in a folder: when, state, finished units, the result in short, and the command.

    A run whose process has ended without a word is `dead`; `mlvgm runs resume` goes on with it.
    """
    import dataclasses

    from mlvgm.cli.output import emit_json
    from mlvgm.runs import listing

    place = folder or Path("runs")
    runs = [] if folder is None and not place.exists() else listing.list_runs(place)
    if json_output:
        emit_json({"schema": 1, "runs": [dataclasses.asdict(run) for run in runs]})
        return
    for run in runs:
        headline = f", {run.headline}" if run.headline else ""
        print(run.run)
        print(f"  {run.begun or 'unknown':<16}  {run.state}, {run.units} units{headline}")
        for more in (run.command, run.problem):
            if more:
                print(f"  {more}")
    if not runs:
        print(f"no runs in '{place}'")


def show(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    json_output: options.Json = False,
) -> None:
    """Results of a run so far, finished or not."""
    from mlvgm.cli.output import emit_json, json_ready, print_result
    from mlvgm.runs.stored import stored

    found = stored(run)
    result = found.job.result(found.config, found.records)
    if json_output:
        emit_json(json_ready({**result.values, "run": str(run), "state": found.run.state}))
        return
    if found.records:
        print_result(result)
    else:
        print("no finished unit yet")
    print(f"state: {found.run.state}")


def diff(
    first: Annotated[Path, typer.Argument(help="Run directory.")],
    second: Annotated[Path, typer.Argument(help="Another.")],
    json_output: options.Json = False,
) -> None:
    """What differs between two runs: options, versions, files, and whether units of the same name found the same."""
    from mlvgm.cli.output import emit_json, print_columns
    from mlvgm.runs.difference import difference

    found = difference(first, second)
    if json_output:
        emit_json(
            {"schema": 1, "differences": [{"what": what, "first": one, "second": two} for what, one, two in found]}
        )
    elif found:
        print_columns([("", first.name, second.name), *found])
    else:
        print("no difference")


def delete(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a run that nobody works on, with all its results."""
    import shutil

    from mlvgm.runs.rundir import RunDirectory

    directory = RunDirectory.open(run)
    directory.refuse_in_use()
    if not yes:
        typer.confirm(f"remove '{run}' with {len(directory.finished())} finished units?", abort=True, err=True)
    shutil.rmtree(run)
    print(f"removed '{run}'")


def resume(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML file that adds to what the run does, such as attacks or images.")
    ] = None,
    workers: options.Workers = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Finish an interrupted run, or let one grow; its decisions are those of an uninterrupted one."""
    import os

    from mlvgm.cli.typed import arguments
    from mlvgm.configuration.threads import shares
    from mlvgm.runs.rundir import RunDirectory
    from mlvgm.runs.stored import stored
    from mlvgm.runs.workers import announced, helped

    found = stored(run)
    if announced(os.environ).leads:
        RunDirectory.open(run).refuse_in_use()
    count, _ = shares(workers or ("auto" if found.config.threads == 1 else "1"), {}, os.environ)
    with helped(os.environ, count, arguments()) as group:
        _resume(run, group, file=config, json=json_output, quiet=quiet)


def _resume(run: Path, workers: Workers, *, file: Path | None, json: bool, quiet: bool) -> None:
    import os

    from mlvgm.cli.output import say
    from mlvgm.cli.run import finish
    from mlvgm.configuration.config import ResolvedConfig
    from mlvgm.configuration.files import check_unchanged, file_hashes
    from mlvgm.configuration.resolve import collect
    from mlvgm.plugins.hooks import listening
    from mlvgm.runs.execute import check_fits
    from mlvgm.runs.rundir import RunDirectory, environment
    from mlvgm.runs.stored import stored

    directory = RunDirectory.open(run, worker=workers.rank)
    hooks = listening(os.environ)
    found = stored(run)
    job, resolved = found.job, ResolvedConfig(found.config, {})
    if file is not None:
        chosen = collect(assignments=(), flags={}, file=file, environ=os.environ, parts=job.groups)
        resolved = job.resolve(chosen, threads=found.config.threads)
    check_unchanged(directory.read_json("inputs.json"), resolved.config)
    before = directory.read_json("environment.json")
    now = environment(device=resolved.config.device, threads=resolved.config.threads)
    for key in ("versions", "plugins", "python"):
        if workers.leads and _differ(before.get(key), now[key]):
            say(f"warning: {key} differ from when the run began; decisions may differ too")
    lost = [name for name, one in found.records.items() if "shard" in one and not directory.shard(name).is_file()]
    if lost and workers.leads:
        say(f"warning: the images of {len(lost)} finished units are missing, '{lost[0]}' first; their figures stand")
    resolved, study = job.load(resolved)
    config = resolved.config
    check_fits(job, config, study, found.records)  # before its configuration is replaced
    if workers.leads:
        with directory.keeping_records():
            # The configuration first: files that only the old one lacks are no change, whenever this is interrupted.
            if file is not None:
                directory.write_config(resolved.to_yaml())
            directory.write_json("inputs.json", file_hashes(config))
            directory.write_json("plan.json", job.plan(config, study))
            for name, content in job.documents(config, study).items():
                directory.write_json(name, content)
    finish(job, config, study, directory, hooks=hooks, workers=workers, json=json, quiet=quiet)


def _differ(before: Any, now: Any) -> bool:
    """Whether something has another version now; what only one of the two names says nothing."""
    if isinstance(before, dict) and isinstance(now, dict):
        return any(before[name] != now[name] for name in before.keys() & now.keys())
    return before not in (None, now)
