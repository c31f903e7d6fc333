"""``mlvgm purify FOLDER --out DIR``: just purify images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlvgm.cli import options


def register(app: typer.Typer) -> None:
    app.command("purify")(purify)


def purify(
    folder: Annotated[Path, typer.Argument(help="Folder of images.")],
    out: Annotated[Path, typer.Option(help="Folder for the purified images; made if missing, must be empty.")],
    generator: options.Generator = None,
    purifier: options.Purifier = None,
    encoder: options.Encoder = None,
    settings: Annotated[list[str] | None, options.assignments("purifier.noise=4")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Replayable noise; fresh entropy if not given.", rich_help_panel="Compute")
    ] = None,
    device: options.Device = "cpu",
    quiet: options.Quiet = False,
) -> None:
    """Purify every image of a folder once; file names are kept, purified images are PNG."""
    import os

    from mlvgm.cli.output import progress_bar, say
    from mlvgm.pipelines.folder import purify_folder
    from mlvgm.plugins.load import build
    from mlvgm.runs.build import lacks_encoder
    from mlvgm.runs.parts import build_part, check_device
    from mlvgm.runs.recipes import recipe_settings, resolved_component
    from mlvgm.runs.resolve import collect
    from mlvgm.runs.settings import part, refuse_others

    flags = {"generator.name": generator, "encoder.name": encoder, "purifier.name": purifier}
    given = collect(assignments=settings or (), flags=flags, file=None, environ=os.environ)
    refuse_others(given, ("generator", "encoder", "purifier"), what="purifying")
    check_device(device)
    chosen = recipe_settings(given)
    model = build_part("generator", chosen).to(device)
    if part(chosen, "encoder") or lacks_encoder(resolved_component("purifier", part(chosen, "purifier")), model):
        say(resolved_component("encoder", part(chosen, "encoder")).component.summary)
        model = build_part("encoder", chosen, generator=model)
    cleaner = build_part("purifier", chosen, generator=model).to(device)
    shape = model.encoder_image
    options = {"path": str(folder), "height": shape.height, "width": shape.width, "channels": shape.channels}
    data = build("datasets", "image-folder", options)
    with progress_bar("purifying", shown=not quiet) as update:
        count = purify_folder(cleaner, data, out=out, seed=seed, device=device, progress=update)
    say(f"{count} purified images in {out}")
