"""``mlvgm train KIND NAME``: train a component with the plugin's own recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mlvgm.cli import options

EPILOG = (
    "Example: `mlvgm train generator NAME --budget demo --out folder`. `mlvgm train generator` lists what there is; "
    "`mlvgm plugins info trainers/generators-NAME` shows the train.* options of one. Several processes of `torchrun` "
    "share each batch."
)


def register(app: typer.Typer, words: Sequence[str] = ()) -> None:
    app.command("train", epilog=EPILOG)(train)


def train(
    kind: Annotated[str, typer.Argument(help="What to train: generator, encoder, classifier or purifier.")],
    name: Annotated[str | None, typer.Argument(help="Which one, without it, an error lists them.")] = None,
    generator: Annotated[str | None, typer.Option(help="Same as NAME for generators.")] = None,
    classifier: Annotated[str | None, typer.Option(help="Same as NAME for classifiers.")] = None,
    data: options.Data = None,
    out: Annotated[
        Path, typer.Option(help="Folder for checkpoints, weights and card.", rich_help_panel="Output")
    ] = Path("trained"),
    budget: options.Budget = None,
    settings: Annotated[list[str] | None, options.assignments("train.steps=100 or data.data_dir=DIR")] = None,
    seed: options.FixedSeed = 0,
    device: options.Device = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint in OUT.")] = False,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train, write weights, card and metrics.jsonl, and print how to use the weights."""
    import os

    from mlvgm.cli.output import emit_json, say
    from mlvgm.cli.progress import progress_bar
    from mlvgm.configuration.build import build_part, check_device, part_from
    from mlvgm.configuration.resolve import collect
    from mlvgm.configuration.settings import nest, part, refuse_others
    from mlvgm.full_data import NEVER_TRAINED_ON, check_full
    from mlvgm.runs.workers import announced, joined
    from mlvgm.training.folder import check_folder
    from mlvgm.training.trainers import choose

    announced(os.environ)
    check_folder(out, resume=resume)
    flags = {"data.name": data}
    given = collect(assignments=settings or (), flags=flags, file=None, environ=os.environ, parts=("data",))
    refuse_others(given, ("data", "train"), what="training")
    chosen = choose(
        kind,
        name or generator or classifier,
        nest({key: setting.value for key, setting in part(given, "train").items()}),
        budget=budget,
    )
    usual = chosen.trainer.component.capabilities.get("data")
    images = part_from("datasets", part(given, "data"), default=None if usual is None else str(usual))
    check_device(device)
    dataset = build_part("datasets", images)
    check_full(dataset, why=NEVER_TRAINED_ON)
    from mlvgm.training import run  # imports torch

    with joined(os.environ) as workers:
        with progress_bar(f"training {chosen.name}", shown=workers.leads and not quiet) as update:
            trained = run.train(
                chosen,
                dataset,
                folder=out,
                seed=seed,
                device=device,
                resume=resume,
                workers=workers,
                data_options={key: setting.value for key, setting in part(given, "data").items()},
                progress=lambda step, steps, figures: update(
                    step, steps, " ".join(f"{key} {value:.4g}" for key, value in figures.items())
                ),
            )
        if not workers.leads:
            return
    if json_output:
        files = {"weights": str(trained.weights), "card": str(trained.card), "log": str(trained.log)}
        emit_json({**files, "metrics": dict(trained.metrics), "use": list(trained.use)})
    use = " ".join(f"--set {setting}" for setting in trained.use)
    say(f"weights: {trained.weights}\ncard: {trained.card}\nuse them with: {use}")
