"""``mlvgm run score``: score stored adversarial examples without attacking."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlvgm.cli import options

if TYPE_CHECKING:
    from mlvgm_robust.score.rescore import ScoreRow


def score(
    stored: Annotated[
        Path, typer.Argument(help="Run directory, folder of safetensors shards, or one shard.", metavar="RUN_OR_FOLDER")
    ],
    generator: options.Generator = None,
    purifier: options.Purifier = None,
    encoder: options.Encoder = None,
    classifier: options.Classifier = None,
    data: Annotated[
        str | None, options.component("datasets", "Data set whose images the shards' are like.", "Data")
    ] = None,
    norm: Annotated[
        str | None, typer.Option(help="Norm of perturbations, for shards that do not say.", rich_help_panel="Data")
    ] = None,
    eps: Annotated[
        float | None, typer.Option(min=0, help="Their largest size, likewise.", rich_help_panel="Data")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=options.LARGEST_SEED,
            help="Seed of the decisions' noise; the run's by default.",
            rich_help_panel="Compute",
        ),
    ] = None,
    device: options.ConfiguredDevice = None,
    threads: options.Threads = None,
    settings: Annotated[list[str] | None, options.assignments("votes=32")] = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score stored adversarial examples without attacking: on the defences they were made against, or on another.

    The same seed gives the decisions on record. Examples outside box or ball are refused and do not count as
    robust. Shards of a run that are missing, damaged or exchanged are named and left out. Either ends with exit code 1.
    """
    import dataclasses
    import math
    import os

    from mlvgm.cli.output import emit_json, json_ready, say
    from mlvgm.cli.progress import progress_bar
    from mlvgm.configuration.build import check_device
    from mlvgm.configuration.threads import default_threads
    from mlvgm.errors import CheckFailed, ConfigError, InputError
    from mlvgm_robust.purify.resolve import check_given, collect

    if norm not in (None, "Linf", "L2", "L1"):
        raise ConfigError(f"--norm: expected Linf, L2 or L1, came '{norm}'")
    if eps is not None and not math.isfinite(eps):
        raise ConfigError(f"--eps: expected a finite number, came {eps}")
    if eps is not None and norm is None:
        raise ConfigError("--eps has no meaning without --norm", hint="add --norm L2, Linf or L1")
    flags = {
        "generator.name": generator,
        "purifier.name": purifier,
        "encoder.name": encoder,
        "classifier.name": classifier,
        "data.name": data,
        "seed": seed,
        "device": device,
        "threads": threads,
    }
    chosen = collect(assignments=settings or (), flags=flags, environ=os.environ)
    if not stored.exists():
        raise InputError(f"no such folder or shard: '{stored}'", hint="see `mlvgm runs list`")
    check_given(chosen)

    from mlvgm_robust.score.stored import score_config, score_stored
    from mlvgm_robust.score.stored import stored as read

    found = read(stored, norm=norm, eps=eps)
    for problem in found.problems:
        say(f"left out: {problem}")
    config, own = score_config(chosen, found.config, threads=default_threads(os.environ))
    check_device(config.device)
    with progress_bar("scoring", shown=not quiet) as update:
        rows = score_stored(found, config, own=own, progress=update)
    if json_output:
        plain = [dataclasses.asdict(row) for row in rows]
        scored = {"schema": 1, "stored": str(stored), "seed": config.seed, "rows": plain}
        emit_json(json_ready(scored | {"problems": list(found.problems)}))
    elif rows:
        _print(rows, seed=config.seed)
    refused = sum(row.refused for row in rows)
    failures = [f"{refused} adversarial images lie outside box or ball, now or when made: no robustness shown"] * bool(
        refused
    )
    if found.problems:
        units = len(found.problems) + len(found.shards)
        failures.append(f"{len(found.problems)} of {units} shards are missing, damaged or exchanged, and were left out")
    if failures:
        raise CheckFailed("; ".join(failures))


def _print(rows: list[ScoreRow], *, seed: int) -> None:
    from mlvgm.cli.layout import Column
    from mlvgm.cli.output import print_table, tell

    compared = any(row.changed is not None for row in rows)
    elsewhere = any(row.label != row.made_against for row in rows)
    balls = ["" if row.norm is None or row.eps is None else f", {row.norm} ≤ {row.eps:.4g}" for row in rows]
    columns = [
        Column("defence", [row.label for row in rows], words=True),
        *([Column("made against", [row.made_against or "unknown" for row in rows], words=True)] if elsewhere else []),
        Column("attack", [row.attack or "unknown" for row in rows], words=True),
        Column("checked", [f"box{ball}" for ball in balls], words=True, always=False),
        Column("images", [str(row.images) for row in rows]),
        Column("clean\nvotes", [row.clean.percent() for row in rows], always=not elsewhere),
        Column("robust\nvotes", [row.robust.percent() for row in rows]),
        Column("robust\nsingle draw", [row.robust_single.percent() for row in rows], always=False),
        Column("refused", [str(row.refused) for row in rows], always=any(row.refused for row in rows)),
    ]
    if compared:
        changed = ["" if row.changed is None else str(row.changed) for row in rows]
        columns.append(Column("changed", changed, always=any(row.changed for row in rows)))
    print_table(f"stored examples, accuracy in % with 95 % intervals, seed {seed}", columns)
    if compared:
        tell("changed: decisions that differ from those on record; none under the run's own seed")
