"""``mlvgm train KIND NAME``: train a component with the plugin's own recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlvgm.cli import options

EPILOG = (
    "Examples: `mlvgm train generator nvae` · `mlvgm train purifier a-vae --out my-a-vae`. "
    "`mlvgm plugins list --kind trainers` lists what can be trained, as KINDs-NAME; "
    "`mlvgm plugins info trainers/KINDs-NAME`, e.g. trainers/purifiers-a-vae, shows the train.* options of one."
)


def register(app: typer.Typer) -> None:
    app.command("train", epilog=EPILOG)(train)


def train(
    kind: Annotated[str, typer.Argument(help="What to train: generator, encoder, classifier or purifier.")],
    name: Annotated[str | None, typer.Argument(help="Which one, e.g. nvae; without it, an error lists them.")] = None,
    generator: Annotated[str | None, typer.Option(help="Same as NAME for generators.")] = None,
    classifier: Annotated[str | None, typer.Option(help="Same as NAME for classifiers.")] = None,
    data: Annotated[str, typer.Option(help="Data set.", rich_help_panel="Data")] = "fashion-mnist",
    out: Annotated[
        Path, typer.Option(help="Folder for checkpoints, weights and card.", rich_help_panel="Output")
    ] = Path("trained"),
    settings: Annotated[list[str] | None, options.assignments("train.steps=100 or data.data_dir=DIR")] = None,
    seed: options.FixedSeed = 0,
    device: options.Device = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint in OUT.")] = False,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train, write weights and a card, and print how to use them."""
    import os

    from mlvgm.cli.output import emit_json, say
    from mlvgm.cli.progress import progress_bar
    from mlvgm.pipelines import train as pipeline
    from mlvgm.pipelines.full_data import NEVER_TRAINED_ON, check_full
    from mlvgm.plugins.load import built
    from mlvgm.runs.parts import build_part, check_device, check_part, check_training
    from mlvgm.runs.resolve import collect

    chosen_name = _check(kind, name or generator or classifier)
    chosen = collect(assignments=settings or (), flags={"data.name": data}, file=None, environ=os.environ)
    pipeline.check_folder(out, resume=resume)
    trainer, configuration = check_training(kind, chosen_name, chosen)
    check_part("data", chosen)
    check_device(device)
    dataset = build_part("data", chosen)
    check_full(dataset, why=NEVER_TRAINED_ON)
    trainable = built(trainer, configuration)
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


def _check(kind: str, name: str | None) -> str:
    """The name, which is that of something of the kind that can be trained; trainers are called KINDs-NAME.

    Raises:
        ConfigError: the kind is unknown, or there is no name.
        PluginError: nothing of the kind has the name.
    """
    import difflib

    from mlvgm.errors import ConfigError, PluginError, unknown
    from mlvgm.plugins.index import Index, noun

    known: dict[str, list[str]] = {}
    for entry in Index.installed().entries("trainers"):
        kinds, _, one = entry.name.partition("-")
        known.setdefault(noun(kinds), []).append(one)
    kind = noun(kind)
    if kind not in known:
        raise unknown("kind of component to train", kind, known)
    commands = " or ".join(f"`mlvgm train {kind} {one}`" for one in known[kind])
    if name is None:
        raise ConfigError(f"train what {kind}?", hint=commands)
    if name.partition("?")[0] not in known[kind]:
        near = [f"`mlvgm train {kind} {one}`" for one in difflib.get_close_matches(name, known[kind], n=1)]
        hint = f"did you mean {near[0]}? known: {', '.join(known[kind])}" if near else commands
        raise PluginError(f"no {kind} '{name}' that can be trained", hint=hint)
    return name
