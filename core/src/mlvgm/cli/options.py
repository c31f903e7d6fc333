"""Options that several commands have, each with one help; nothing heavy is imported for them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mlvgm.cli import completion


def component(kind: str, help: str, panel: str = "Components") -> Any:
    """A Typer option that takes a component of ``kind`` and completes its names."""
    return typer.Option(help=help, rich_help_panel=panel, autocompletion=completion.names(kind))


def assignments(example: str) -> Any:
    """The Typer option ``--set``; ``example`` is one that the command understands."""
    return typer.Option("--set", "-s", help=f"KEY=VALUE for any option, e.g. {example}.")


Generator = Annotated[str | None, component("generators", "Generator behind the purifier.")]
Encoder = Annotated[
    str | None, component("encoders", "Finds latents where the generator has no encoder, or in its place.")
]
Purifier = Annotated[str | None, component("purifiers", "Purifier.")]
Classifier = Annotated[str | None, component("classifiers", "Classifier: NAME, NAME:ARGUMENT or module:attribute.")]
Data = Annotated[str | None, component("datasets", "Data set.", "Data")]

Budget = Annotated[str | None, typer.Option(help="Preset: demo, standard or rigorous.", rich_help_panel="Compute")]
LARGEST_SEED = 2**63 - 1
_SEED = typer.Option(min=0, max=LARGEST_SEED, help="Seed of everything random.", rich_help_panel="Compute")
Seed = Annotated[int | None, _SEED]
FixedSeed = Annotated[int, _SEED]
Threads = Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads.", rich_help_panel="Compute")]
Workers = Annotated[
    str | None,
    typer.Option(
        help="Processes that share the work, one thread each; auto: one a core.",
        rich_help_panel="Compute",
        metavar="N|auto",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="First N images.", rich_help_panel="Data")]
_DEVICE = typer.Option(help="Torch device.", rich_help_panel="Compute")
Device = Annotated[str, _DEVICE]
ConfiguredDevice = Annotated[str | None, _DEVICE]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan, load no weights.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.", rich_help_panel="Output")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Neither plan nor progress.", rich_help_panel="Output")]
