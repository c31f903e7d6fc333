"""``mlvgm train KIND NAME``: train a component with the plugin's own recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlvgm.cli import options


def register(app: typer.Typer) -> None:
    app.command("train")(train)


def train(
    kind: Annotated[str, typer.Argument(help="What to train: generator, classifier, …")],
    name: Annotated[str | None, typer.Argument(help="Which one, e.g. nvae.")] = None,
    generator: Annotated[str | None, typer.Option(help="Same as NAME for generators.")] = None,
    classifier: Annotated[str | None, typer.Option(help="Same as NAME for classifiers.")] = None,
    data: Annotated[str, typer.Option(help="Data set.", rich_help_panel="Data")] = "fashion-mnist",
    out: Annotated[
        Path, typer.Option(help="Folder for checkpoints, weights and card.", rich_help_panel="Output")
    ] = Path("trained"),
    settings: Annotated[list[str] | None, options.assignments("train.steps=100 or data.data_dir=DIR")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.", rich_help_panel="Compute")] = 0,
    device: options.Device = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint in OUT.")] = False,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train, write weights and a card, and print how to use them."""
    import os

    from mlvgm.cli.output import emit_json, progress_bar, say
    from mlvgm.errors import ConfigError
    from mlvgm.pipelines import train as pipeline
    from mlvgm.runs.build import build_training, check_device
    from mlvgm.runs.resolve import collect

    chosen_name = name or generator or classifier
    if chosen_name is None:
        raise ConfigError(
            f"train what {kind}?", hint=f"mlvgm train {kind} NAME; see `mlvgm plugins list --kind trainers`"
        )
    chosen = collect(assignments=settings or (), flags={"data.name": data}, file=None, environ=os.environ)
    check_device(device)
    trainable, dataset = build_training(kind, chosen_name, chosen)
    with progress_bar(f"training {chosen_name}", shown=not quiet) as update:
        trained = pipeline.train(
            trainable,
            dataset,
            folder=out,
            seed=seed,
            device=device,
            resume=resume,
            progress=lambda step, steps, metrics: update(
                step, steps, " ".join(f"{key} {value:.4g}" for key, value in metrics.items())
            ),
        )
    if json_output:
        emit_json({"weights": str(trained.weights), "card": str(trained.card), "metrics": dict(trained.metrics)})
    use = " ".join(f"--set {setting}" for setting in trained.use)
    say(f"weights: {trained.weights}\ncard: {trained.card}\nuse them with: {use}")
