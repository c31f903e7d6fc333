"""``mlvgm purify FOLDER --out DIR``: just purify images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlvgm.cli import options

if TYPE_CHECKING:
    from mlvgm.plugins.load import Resolved


def purify(
    folder: Annotated[Path, typer.Argument(help="Folder of images.")],
    out: Annotated[Path, typer.Option(help="Folder for the purified images; made if missing, must be empty.")],
    generator: options.Generator = None,
    purifier: options.Purifier = None,
    encoder: options.Encoder = None,
    settings: Annotated[list[str] | None, options.assignments("purifier.noise=4")] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=options.LARGEST_SEED,
            help="Replayable noise; fresh entropy if not given.",
            rich_help_panel="Compute",
        ),
    ] = None,
    device: options.Device = "cpu",
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Purify every image of a folder once; file names are kept, purified images are PNG."""
    import os

    from mlvgm.cli.output import emit_json, say
    from mlvgm.cli.progress import progress_bar
    from mlvgm.configuration.build import build_part, check_device, part_from
    from mlvgm.configuration.settings import part, refuse_others
    from mlvgm.errors import InputError
    from mlvgm.files import check_apart, check_empty
    from mlvgm_robust.purify.config import COMPONENTS, DEFAULT_NAMES
    from mlvgm_robust.purify.recipes import recipe_settings, resolved_component
    from mlvgm_robust.purify.resolve import collect

    if not folder.is_dir():
        raise InputError(f"expected a folder of images, '{folder}' is not a folder")
    check_apart(folder, out)
    check_empty(out)
    flags = {"generator.name": generator, "encoder.name": encoder, "purifier.name": purifier}
    given = collect(assignments=settings or (), flags=flags, environ=os.environ)
    chosen = recipe_settings(given)
    cleaning = resolved_component("purifier", part(chosen, "purifier"))
    generates = bool(cleaning.component.capabilities.get("needs_generator"))
    # A generator says what size images must have.
    groups = ("generator", "encoder", "purifier", *(() if generates else ("data",)))
    refuse_others(given, groups, what="purifying")
    wanted = ("purifier", *(("generator",) if generates else ()), *(("encoder",) if part(chosen, "encoder") else ()))
    parts = {name: part_from(COMPONENTS[name], part(chosen, name), default=DEFAULT_NAMES[name]) for name in wanted}
    warning = None
    if generates:
        what = resolved_component("generator", part(chosen, "generator"))
        warning = _likeness(what, parts["generator"].options.get("weights"))
    if warning and not quiet:
        say(f"warning: {warning}")
    check_device(device)

    from mlvgm.plugins.load import build
    from mlvgm_robust.folder.purify import purify_folder
    from mlvgm_robust.purify.study import lacks_encoder

    read = {key: setting.value for key, setting in part(given, "data").items() if setting.source == "--set"}
    read["path"] = str(folder)
    needs = {}
    if generates:
        model = build_part("generators", parts["generator"]).to(device)
        if part(chosen, "encoder") or lacks_encoder(cleaning, model):
            say(resolved_component("encoder", part(chosen, "encoder")).component.summary)
            finds = part_from("encoders", part(chosen, "encoder"), default=DEFAULT_NAMES["encoder"])
            model = build_part("encoders", finds, generator=model)
        needs = {"generator": model}
        shape = model.encoder_image
        read |= {"height": shape.height, "width": shape.width, "channels": shape.channels}
    cleaner = build_part("purifiers", parts["purifier"], **needs).to(device)
    data = build("datasets", "image-folder", read)
    if not generates and data.grey:
        data = build("datasets", "image-folder", read | {"channels": 1})
    with progress_bar("purifying", shown=not quiet) as update:
        done = purify_folder(cleaner, data, out=out, seed=seed, device=device, progress=update)
    if json_output:
        plain = {"images": done.images, "altered": done.altered, "left_out": done.left_out, "sheet": str(done.sheet)}
        emit_json({"schema": 1, "out": str(out), "seed": seed, "warning": warning, **plain})
    say(f"{done.images} purified images in {out}; before and after: {done.sheet}")
    if done.altered:
        say("before they were purified: " + ", ".join(f"{count} {words}" for words, count in done.altered.items()))
    if done.left_out:
        say(
            f"{done.left_out} other files were left out: not images that are read here, or in folders train, validation"
        )


def _likeness(generator: Resolved, weights: str | None) -> str:
    """What whoever purifies images of another kind has to know."""
    summaries = {shipped.name: shipped.summary for shipped in generator.component.weights}
    of_what = f" ({summaries[weights]})" if weights in summaries else ""
    which = f"{generator.entry.name} '{weights}'" if weights else generator.entry.name
    return f"whatever an image shows, {which} makes of it something like the images it was trained on{of_what}"
