"""``mlvgm runs list | show | resume``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    runs = typer.Typer(help="Past and interrupted runs.", no_args_is_help=True)
    runs.command("list")(list_runs)
    runs.command("show")(show)
    runs.command("resume")(resume)
    app.add_typer(runs, name="runs")


def list_runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds run directories.")] = Path("runs"),
    json_output: Annotated[bool, typer.Option("--json", help="One object on stdout.")] = False,
) -> None:
    """Runs in a folder: state, finished units, attack."""
    from mlvgm.cli.output import emit_json
    from mlvgm.runs.rundir import RunDirectory

    runs = [RunDirectory(path.parent) for path in sorted(folder.glob("*/config.yaml"))]
    listed = [{"run": str(run.path), "state": run.state, "units": len(run.finished())} for run in runs]
    if json_output:
        emit_json({"runs": listed})
        return
    for item in listed:
        print(f"{item['state']:<9} {item['units']:>4} units  {item['run']}")
    if not listed:
        print(f"no runs in '{folder}'")


def show(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    json_output: Annotated[bool, typer.Option("--json", help="One object on stdout.")] = False,
) -> None:
    """Results of a run so far, finished or not."""
    from mlvgm.cli.output import emit_json, json_ready, print_results
    from mlvgm.runs.config import load_config
    from mlvgm.runs.execute import results, row_results
    from mlvgm.runs.rundir import RunDirectory

    directory = RunDirectory.open(run)
    config = load_config(directory.config)
    result = results(config, directory.finished())
    if json_output:
        emit_json(json_ready(result | {"run": str(run), "state": directory.state}))
        return
    print_results(row_results(result))
    print(f"state: {directory.state}")


def resume(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    json_output: Annotated[bool, typer.Option("--json", help="One object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Finish an interrupted run; its decisions are those of an uninterrupted one."""
    from mlvgm.cli.output import say
    from mlvgm.cli.run import finish
    from mlvgm.runs.build import build_study
    from mlvgm.runs.config import load_config
    from mlvgm.runs.inputs import check_unchanged
    from mlvgm.runs.rundir import RunDirectory, environment

    directory = RunDirectory.open(run)
    config = load_config(directory.config)
    check_unchanged(directory.read_json("inputs.json"), config)
    before = directory.read_json("environment.json")
    now = environment(device=config.device, threads=config.threads)
    for key in ("versions", "plugins", "python"):
        if before.get(key) not in (None, now[key]):
            say(f"warning: {key} differ from when the run began; decisions may differ too")
    finish(build_study(config), config, directory, json_output=json_output, quiet=quiet)
