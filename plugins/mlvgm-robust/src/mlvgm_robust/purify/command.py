"""``mlvgm run purify``: its own options."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mlvgm.cli import options


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
    protocol: Annotated[
        str | None,
        typer.Option(
            help="published: the paper's evaluation; rigorous: that budget, then an audit; smoke: tiny.",
            rich_help_panel="Compute",
        ),
    ] = None,
    settings: Annotated[list[str] | None, options.assignments("attack.eps=0.5")] = None,
    fail_under: Annotated[
        float | None, typer.Option(help="Exit 1 if the first row's worst case is lower.", rich_help_panel="Output")
    ] = None,
) -> dict[str, Any]:
    """Attack a classifier behind purifiers and baselines, on the same images, and say how much each defends."""
    return {
        "generator.name": generator,
        "attack.name": attack,
        "purifier.name": purifier,
        "encoder.name": encoder,
        "classifier.name": classifier,
        "data.name": data,
        "limit": limit,
        "protocol": protocol,
    }
