"""``mlvgm run``: studies, the main job ``purify`` first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlvgm.cli import alphas, mix, options, score

if TYPE_CHECKING:
    from mlvgm.plugins.hooks import Hooks
    from mlvgm.runs.config import PurifyConfig, ResolvedConfig
    from mlvgm.runs.pace import Progress
    from mlvgm.runs.rundir import RunDirectory
    from mlvgm.runs.workers import Workers

EPILOG = (
    "Examples: `mlvgm run purify --generator nvae --attack autoattack` · "
    "`mlvgm run purify --attack apgd-ce --set attack.eps=0.5 -n 256` · "
    "`mlvgm run purify --budget rigorous --json > result.json`"
)


def register(app: typer.Typer) -> None:
    run = typer.Typer(help="Run a study.", no_args_is_help=True)
    run.command("purify", epilog=EPILOG)(purify)
    run.command("mix", epilog=mix.EPILOG)(mix.mix)
    run.command("alphas", epilog=alphas.EPILOG)(alphas.alphas)
    run.command("score", epilog=score.EPILOG)(score.score)
    app.add_typer(run, name="run")


def purify(
    generator: options.Generator = None,
    attack: Annotated[
        list[str] | None, options.component("attacks", "Attack, NAME or NAME:ARGUMENT; may be repeated.")
    ] = None,
    purifier: Annotated[str | None, options.component("purifiers", "Purifier of the first row.")] = None,
    encoder: options.Encoder = None,
    classifier: options.Classifier = None,
    data: options.Data = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", help="First N images; partial below the budget's.", rich_help_panel="Data"),
    ] = None,
    budget: options.Budget = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="published: the paper's evaluation; rigorous: that budget, then an audit; smoke: tiny.",
            rich_help_panel="Compute",
        ),
    ] = None,
    seed: options.Seed = None,
    device: options.ConfiguredDevice = None,
    threads: options.Threads = None,
    settings: Annotated[list[str] | None, options.assignments("attack.eps=0.5")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of options.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory to make.", rich_help_panel="Output")] = None,
    fail_under: Annotated[
        float | None, typer.Option(help="Exit 1 if the first row's worst case is lower.", rich_help_panel="Output")
    ] = None,
    dry_run: options.DryRun = False,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Attack a classifier behind purifiers and baselines, on the same images, and say how much each defends."""
    import os

    from mlvgm.runs.resolve import collect

    flags = {
        "generator.name": generator,
        "attack.name": attack,
        "purifier.name": purifier,
        "encoder.name": encoder,
        "classifier.name": classifier,
        "data.name": data,
        "limit": limit,
        "budget": budget,
        "protocol": protocol,
        "seed": seed,
        "device": device,
        "threads": threads,
        "fail_under": fail_under,
    }
    chosen = collect(assignments=settings or (), flags=flags, file=config, environ=os.environ)
    prepare_and_run(chosen, out=out, dry_run=dry_run, json_output=json_output, quiet=quiet)


def prepare_and_run(chosen: Any, *, out: Path | None, dry_run: bool, json_output: bool, quiet: bool) -> None:
    """Check everything that costs nothing, print the plan, load and check the rest, make the run directory, run.

    Under ``torchrun`` together with its other processes. Torch is imported when the options have been found right.
    """
    import os

    from mlvgm.cli.output import emit_json, print_plan, say
    from mlvgm.files import check_writable
    from mlvgm.plugins.hooks import listening
    from mlvgm.runs.parts import build_data, check_attacks, check_device
    from mlvgm.runs.plan import purify_plan
    from mlvgm.runs.resolve import resolve
    from mlvgm.runs.rundir import RunDirectory
    from mlvgm.runs.threads import default_threads
    from mlvgm.runs.workers import announced, joined

    shown = announced(os.environ).leads and not quiet
    if out is None:
        check_writable(Path("runs"))
    else:
        RunDirectory(out).check_free()
    hooks = listening(os.environ)
    resolved = resolve(chosen, threads=default_threads(os.environ))
    before = purify_plan(resolved.config)
    if shown:
        print_plan(before)
    data, samples = build_data(resolved.config)
    plan = purify_plan(resolved.config, data=data.info, images=len(samples))
    if shown:
        print_plan({title: text for title, text in plan.items() if before.get(title) != text})
    check_device(resolved.config.device)
    check_attacks(resolved.config)
    if not dry_run:
        with joined(os.environ) as workers:
            _load_and_run(resolved, plan, workers, hooks=hooks, out=out, json_output=json_output, quiet=quiet)
    elif announced(os.environ).leads:
        if json_output:
            config = resolved.config.model_dump(mode="json")
            emit_json({"plan": plan, "config": config, "sources": dict(resolved.sources)})
        say("dry run: nothing was computed")


def _load_and_run(
    resolved: ResolvedConfig,
    announced: Mapping[str, str],
    workers: Workers,
    *,
    hooks: Hooks,
    out: Path | None,
    json_output: bool,
    quiet: bool,
) -> None:
    from mlvgm.cli.output import print_plan
    from mlvgm.cli.typed import command_line
    from mlvgm.runs.build import build_generators, build_study, without_encoder
    from mlvgm.runs.inputs import file_hashes
    from mlvgm.runs.plan import purify_plan
    from mlvgm.runs.resolve import with_default_encoder
    from mlvgm.runs.rundir import RunDirectory, environment, of_data

    generators = build_generators(resolved.config)
    # Only weights tell whether there is an encoder.
    resolved = with_default_encoder(resolved, without_encoder(resolved.config, generators))
    study = build_study(resolved.config, generators)
    plan = purify_plan(
        resolved.config,
        data=study.data.info,
        images=len(study.samples),
        loaded=True,
        classifiers=study.classifiers,
    )
    if workers.leads and not quiet:
        print_plan({title: text for title, text in plan.items() if announced.get(title) != text})
    inputs = file_hashes(resolved.config)
    path = None
    if workers.leads:
        made = environment(device=resolved.config.device, threads=resolved.config.threads, command=command_line())
        run = RunDirectory.create(
            out,
            name=_run_name(resolved),
            config=resolved.to_yaml(),
            environment=made,
            documents={"plan.json": plan, "inputs.json": inputs, "data.json": of_data(study.data.info)},
        )
        path = run.path
    run = RunDirectory(workers.agree(path), workers.rank)
    finish(study, resolved.config, run, hooks=hooks, workers=workers, json_output=json_output, quiet=quiet)


def _run_name(resolved: ResolvedConfig) -> str:
    row = resolved.config.rows[0]
    attacks = resolved.config.attacks
    parts = [(row.generator or row.purifier).name, attacks[0].attack.name]
    if len(attacks) > 1:
        parts.append(f"and-{len(attacks) - 1}")
    return "purify-" + "-".join(part.replace(":", "-").replace("/", "-") for part in parts)


@contextmanager
def _watching(*, shown: bool, several: bool) -> Iterator[Callable[[Progress], None]]:
    """Show how far a run is, also within a unit, and the numbers of each row as soon as it is whole."""
    from mlvgm.cli.output import say
    from mlvgm.cli.progress import progress_bar
    from mlvgm.runs.pace import Pace

    pace, latest = Pace(), [""]

    def look() -> None:
        if (now := pace.progress) is not None:
            spent = f"{now.counts.forwards:,} passes, " if now.counts.forwards else ""
            update(now.done + pace.fraction, len(now.todo), spent + latest[0], left=pace.left)

    def see(now: Progress) -> None:
        pace.see(now)
        if now.done < len(now.todo):
            unit = now.todo[now.done]
            latest[0] = f"{unit.label}, {unit.attack}: {now.message}"
        for row in now.rows if shown else ():
            name = f"{row.label}, {row.attack}" if several else row.label
            say(f"{name}: clean {row.clean.percent()}, robust {row.robust.percent()}")
        look()

    with progress_bar("attacking", shown=shown, look=look) as update:
        yield see


def finish(
    study: Any,
    config: Any,
    run: RunDirectory,
    *,
    hooks: Hooks,
    workers: Workers,
    json_output: bool,
    quiet: bool,
) -> None:
    """Run what is not done, then print results and say where everything is."""
    from mlvgm.cli.output import emit_json, json_ready, print_results, say
    from mlvgm.errors import CheckFailed, InputError
    from mlvgm.runs.execute import execute
    from mlvgm.runs.metrics import worst_robust
    from mlvgm.runs.plan import small_print
    from mlvgm.runs.report import write_report

    try:
        with _watching(shown=workers.leads and not quiet, several=len(config.attacks) > 1) as progress:
            result = execute(study, config, run, hooks=hooks, workers=workers, progress=progress)
    except KeyboardInterrupt:
        say(f"interrupted; finished units are safe (`mlvgm runs resume {run.path}` goes on)")
        raise
    if not workers.leads:
        return
    if json_output:
        emit_json(json_ready(result | {"run": str(run.path), "config": config.model_dump(mode="json")}))
    else:
        print_results(result)
    say(small_print(config, len(study.samples)))
    report = None
    with run.keeping_records():  # after the results, which nothing that happens to the figures may hide
        try:
            report = write_report(run, config, result)
        except InputError as error:
            say(f"no report: {error}")
    say(f"run directory: {run.path}" + (f" (figures and tables: {report})" if report else ""))
    if config.protocol == "rigorous":
        _audit(config, run, quiet=quiet)
    first = config.rows[0].label
    if config.fail_under is not None and (robust := worst_robust(result, first)) < config.fail_under:
        raise CheckFailed(f"robust accuracy {robust:.3f} of '{first}' is below {config.fail_under}")


def _audit(config: PurifyConfig, run: RunDirectory, *, quiet: bool) -> None:
    """Audit the first attacked defence under its first attack; the card is in the run's folder ``audit``."""
    from mlvgm.audit.evaluation import evaluation_of
    from mlvgm.cli.audit import examine
    from mlvgm.cli.output import say

    with run.keeping_records():
        examine(
            evaluation_of(config),
            {},
            out=run.path / "audit",
            quiet=quiet,
            show=lambda verdict, plain: say(verdict.sentence),
        )
