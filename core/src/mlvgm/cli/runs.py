"""``mlvgm runs list | show | resume``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlvgm.cli import options

if TYPE_CHECKING:
    from mlvgm.runs.config import ResolvedConfig
    from mlvgm.runs.workers import Workers


def register(app: typer.Typer) -> None:
    runs = typer.Typer(help="Past and interrupted runs.", no_args_is_help=True)
    runs.command("list")(list_runs)
    runs.command("show")(show)
    runs.command("resume")(resume)
    app.add_typer(runs, name="runs")


def list_runs(
    folder: Annotated[Path | None, typer.Argument(help="Folder that holds run directories; default runs.")] = None,
    json_output: options.Json = False,
) -> None:
    """Runs in a folder: when, state, finished units, accuracies of the first row, and the command.

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
        accuracies = ""
        if run.clean is not None and run.robust is not None:
            accuracies = f", clean {100 * run.clean:.1f} %, robust {100 * run.robust:.1f} %"
        print(run.run)
        print(f"  {run.begun or 'unknown':<16}  {run.state}, {run.units} units{accuracies}")
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
    from mlvgm.cli.output import emit_json, json_ready, print_results
    from mlvgm.runs.config import load_config
    from mlvgm.runs.results import finished_units, results
    from mlvgm.runs.rundir import RunDirectory

    directory = RunDirectory.open(run)
    config = load_config(directory.config)
    result = results(config, finished_units(directory))
    if json_output:
        emit_json(json_ready(result | {"run": str(run), "state": directory.state}))
        return
    if result["rows"]:
        print_results(result)
    else:
        print("no finished unit yet")
    print(f"state: {directory.state}")


def resume(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML file that adds defences, attacks or images to those of the run.")
    ] = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Finish an interrupted run, or let one grow; its decisions are those of an uninterrupted one."""
    import os

    from mlvgm.runs.workers import joined

    with joined(os.environ) as workers:
        _resume(run, workers, file=config, json_output=json_output, quiet=quiet)


def _resume(run: Path, workers: Workers, *, file: Path | None, json_output: bool, quiet: bool) -> None:
    import os

    from mlvgm.cli.output import say
    from mlvgm.cli.run import finish
    from mlvgm.plugins.hooks import listening
    from mlvgm.runs.build import build_study
    from mlvgm.runs.config import load_config
    from mlvgm.runs.execute import all_units, check_samples
    from mlvgm.runs.inputs import check_unchanged, file_hashes
    from mlvgm.runs.plan import purify_plan
    from mlvgm.runs.results import finished_units
    from mlvgm.runs.rundir import RunDirectory, environment, of_data

    directory = RunDirectory.open(run, worker=workers.rank)
    if workers.leads:
        directory.refuse_in_use()
    hooks = listening(os.environ)
    config = load_config(directory.config)
    grown = None if file is None else _grown(file, threads=config.threads)
    config = config if grown is None else grown.config
    done = finished_units(directory)
    check_unchanged(directory.read_json("inputs.json"), done, config)
    before = directory.read_json("environment.json")
    now = environment(device=config.device, threads=config.threads)
    for key in ("versions", "plugins", "python"):
        if workers.leads and before.get(key) not in (None, now[key]):
            say(f"warning: {key} differ from when the run began; decisions may differ too")
    lost = [unit for unit in done if not directory.shard(unit).is_file()]
    if lost and workers.leads:
        say(f"warning: the images of {len(lost)} finished units are missing, '{lost[0]}' first; their figures stand")
    study = build_study(config)
    check_samples(all_units(config, study.samples), done)  # before its configuration is replaced
    if workers.leads:
        with directory.keeping_records():
            # The configuration first: files that only the old one lacks are no change, whenever this is interrupted.
            if grown is not None:
                directory.write_config(grown.to_yaml())
            directory.write_json("inputs.json", file_hashes(config))
            directory.write_json("data.json", of_data(study.data.info))
            plan = purify_plan(
                config,
                data=study.data.info,
                images=len(study.samples),
                loaded=True,
                classifiers=study.classifiers,
            )
            directory.write_json("plan.json", plan)
    finish(study, config, directory, hooks=hooks, workers=workers, json_output=json_output, quiet=quiet)


def _grown(file: Path, *, threads: int) -> ResolvedConfig:
    """The configuration of a file, with as many threads as the run has had."""
    import os

    from mlvgm.runs.build import build_generators, without_encoder
    from mlvgm.runs.resolve import collect, resolve, with_default_encoder

    resolved = resolve(collect(assignments=(), flags={}, file=file, environ=os.environ), threads=threads)
    return with_default_encoder(resolved, without_encoder(resolved.config, build_generators(resolved.config)))
