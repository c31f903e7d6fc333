"""``mlvgm run alphas``: choose how much of each latent a purifier replaces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlvgm.cli import options

if TYPE_CHECKING:
    from mlvgm_robust.alphas.config import AlphasConfig


def alphas(
    method: Annotated[str | None, options.component("alphas", "How vectors are found.")] = None,
    generator: options.Generator = None,
    attack: Annotated[str | None, options.component("attacks", "Attack that makes the images; default fgsm.")] = None,
    purifier: Annotated[str | None, options.component("purifiers", "Purifier whose alphas are chosen.")] = None,
    encoder: options.Encoder = None,
    classifier: options.Classifier = None,
    data: Annotated[
        str | None, options.component("datasets", "Data set; its training images are used.", "Data")
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", "-n", min=1, help="Adversarial images to find.", rich_help_panel="Data")
    ] = None,
    evaluations: Annotated[int | None, typer.Option(min=1, help="Vectors to try.", rich_help_panel="Compute")] = None,
    seed: options.Seed = None,
    device: options.ConfiguredDevice = None,
    threads: options.Threads = None,
    settings: Annotated[list[str] | None, options.assignments("search.weight=0.5 or attack.eps=0.5")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run directory to make; an interrupted one goes on.", rich_help_panel="Output"),
    ] = None,
    dry_run: options.DryRun = False,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Choose alphas on adversarial images that fool pure reconstruction, and judge them on others."""
    import os

    from mlvgm.cli.output import emit_json, print_plan, say
    from mlvgm.configuration.build import build_part, check_device
    from mlvgm.configuration.threads import default_threads
    from mlvgm.files import check_empty, check_writable
    from mlvgm.full_data import NEVER_ON_TEST, check_full
    from mlvgm_robust.alphas.config import alphas_config
    from mlvgm_robust.purify.resolve import collect

    flags = {
        "method.name": method,
        "generator.name": generator,
        "attack.name": attack,
        "purifier.name": purifier,
        "encoder.name": encoder,
        "classifier.name": classifier,
        "data.name": data,
        "search.images": images,
        "method.evaluations": evaluations,
        "seed": seed,
        "device": device,
        "threads": threads,
    }
    chosen = collect(assignments=settings or (), flags=flags, environ=os.environ)
    if out is None or (out / "config.yaml").is_file():  # one that was interrupted goes on
        check_writable(out or Path("runs"))
    else:
        check_empty(out)
    config = alphas_config(chosen, threads=default_threads(os.environ))
    if not quiet:
        print_plan(_plan(config))
    full = build_part("datasets", config.study.data)
    if not dry_run:
        check_full(full, why=NEVER_ON_TEST)
    check_device(config.study.device)
    if dry_run:
        if json_output:
            emit_json({"config": config.plain()})
        if full.info.sample:
            say("warning: only a sample of test images is here; without training images the run itself is refused")
        say("dry run: nothing was computed")
        return
    _run(config, out=out, json_output=json_output, quiet=quiet)


def _run(config: AlphasConfig, *, out: Path | None, json_output: bool, quiet: bool) -> None:
    from mlvgm.cli.output import emit_json, json_ready, say
    from mlvgm.cli.progress import progress_bar
    from mlvgm.cli.typed import command_line
    from mlvgm.runs.rundir import environment
    from mlvgm_robust.alphas.build import build_alphas, open_run
    from mlvgm_robust.alphas.figure import write_figure
    from mlvgm_robust.alphas.search import execute_alphas

    config, study, built = build_alphas(config)
    run = open_run(
        config,
        out,
        environment=environment(device=config.study.device, threads=config.study.threads, command=command_line()),
    )
    try:
        with progress_bar("choosing alphas", shown=not quiet) as update:
            result = execute_alphas(
                config,
                study,
                built,
                run,
                report=lambda stage, done, total, message: update(done, total, f"{stage}: {message}"),
            )
    except KeyboardInterrupt:
        say(f"interrupted; every evaluation is safe (the same command with --out {run.path} goes on)")
        raise
    with run.keeping_records():
        figure = write_figure(run, result)
    if json_output:
        emit_json(json_ready(result | {"run": str(run.path), "config": config.plain()}))
    else:
        _print(result)
    say(_small_print(result))
    say(f"run directory: {run.path}" + (f" (figure: {figure})" if figure else ""))


def _plan(config: AlphasConfig) -> dict[str, str]:
    search, study = config.search, config.study
    row, attack = study.rows[0], study.attacks[0].attack
    options = ", ".join(f"{key} {value}" for key, value in attack.options.items())
    images = f"{search.images} images of {study.data.name} {search.split}"
    leaders = f"of the {search.top} leaders the best on fresh draws"
    return {
        "method": f"{config.method.name}, at most {config.method.options.get('evaluations', '?')} evaluations",
        "defence": f"{row.purifier.name}, {row.generator.name if row.generator else 'no generator'}, "
        f"{study.classifier.name}; {study.votes} votes",
        "set": f"{images} that {attack.name} ({options}) fools at α = 0",
        "maximised": "accuracy on the set"
        + (f" ({1 - search.weight:g}) and on clean images ({search.weight:g})" if search.weight else ""),
        "choice": leaders if search.choice == "fresh" else "the highest observation, as published",
        "judged on": f"{search.held_out} images of {search.held_out_split}"
        + (f", {search.adaptive} of them attacked anew" if search.adaptive else ""),
    }


def _print(result: dict[str, Any]) -> None:
    from mlvgm.cli.layout import Column
    from mlvgm.cli.output import print_table
    from mlvgm.statistics import Estimate

    heads = {
        "transferred": "attack on α = 0,\ntransferred",
        "clean": "clean",
        "adaptive": "attack on\nthese alphas",
    }
    rows = result["rows"]
    columns = [Column("alphas", [row["label"] for row in rows], words=True)]
    for name, head in heads.items():
        cells = ["" if row[name] is None else Estimate(**row[name]).percent() for row in rows]
        columns.append(Column(head, cells))
    print_table("accuracy in % on held-out images with 95 % intervals", columns)
    print(result["use"])


def _small_print(result: dict[str, Any]) -> str:
    made, chosen = result["sets"]["search"], result["chosen"]
    lines = [
        f"set: {made['kept']} images of {made['tried']} attacked; {made['dropped']} dropped on fresh draws; "
        f"{made['kept_in_eight_bits']} would be left if stored in eight bits",
        f"{result['evaluations']} evaluations; chosen: {chosen['origin']}, observed {chosen['observed']:.3f}"
        + ("" if chosen["fresh"] is None else f", {chosen['fresh']:.3f} on fresh draws"),
    ]
    if result["monotonicity"]:
        r = result["monotonicity"]["correlation"]
        lines.append(
            f"rising alphas and accuracy correlate with {r['value']:.2f} [{r['low']:.2f}, {r['high']:.2f}] "
            f"over {len(result['monotonicity']['rho'])} vectors"
        )
    lines.append("The set is made against α = 0, which therefore fails on it by construction: compare the last column.")
    return "\n".join(lines)
