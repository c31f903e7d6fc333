"""``mlvgm run mix``: the coarse-to-fine picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlvgm.cli import options

if TYPE_CHECKING:
    from mlvgm_vision.mix.mix import Mixed

_PARTS = {"generator": "generators", "encoder": "encoders", "data": "datasets"}
_DEFAULTS = {"generator": "nvae", "encoder": "inversion", "data": "fashion-mnist"}
_SPLITS = ("train", "validation", "test")


def mix(
    generator: Annotated[str | None, options.component("generators", "Generator whose latents are exchanged.")] = None,
    encoder: Annotated[
        str | None,
        options.component("encoders", "Finds latents of images in place of the generator's own encoder."),
    ] = None,
    data: Annotated[
        str | None, options.component("datasets", "Encode images of this data set; default: mix samples.", "Data")
    ] = None,
    split: Annotated[str, typer.Option(help="Split the images come from.", rich_help_panel="Data")] = "test",
    pairs: Annotated[int, typer.Option("--pairs", "-n", min=1, max=1000, help="Pairs of images, one a row.")] = 6,
    columns: Annotated[int, typer.Option(min=1, max=1000, help="Most mixtures in a row, evenly spaced.")] = 16,
    seed: options.FixedSeed = 0,
    device: options.Device = "cpu",
    settings: Annotated[list[str] | None, options.assignments("generator.temperature=0.7")] = None,
    out: Annotated[Path, typer.Option(help="PNG file to write.", rich_help_panel="Output")] = Path("mix.png"),
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw pairs of images with the first latents of A, then more and more of them, taken from B.

    Without --data, A and B are samples, and their base noise is exchanged; with --data, A and B are images 0 and 1,
    2 and 3, … of the split, and the latents the encoder finds in them are exchanged.
    """
    import os

    from mlvgm.cli.output import emit_json, say
    from mlvgm.cli.progress import progress_bar
    from mlvgm.configuration.build import build_part, check_device, part_from
    from mlvgm.configuration.resolve import collect
    from mlvgm.configuration.settings import part, refuse_others
    from mlvgm.errors import ConfigError, unknown
    from mlvgm.files import check_writable

    flags = {"generator.name": generator, "encoder.name": encoder, "data.name": data}
    chosen = collect(assignments=settings or (), flags=flags, file=None, environ=os.environ, parts=_PARTS)
    refuse_others(chosen, ("generator", "encoder", "data"), what="mixing")
    asked = {key.split(".")[0] for key, setting in chosen.items() if not setting.source.startswith("$")}
    if "encoder" in asked and "data" not in asked:
        raise ConfigError("samples have no use for an encoder", hint="give the images to encode with --data")
    if split not in _SPLITS:
        raise unknown("split", split, _SPLITS)
    if out.suffix.lower() != ".png":
        raise ConfigError(f"expected a PNG file, came --out {out}", hint="for example --out mix.png")
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder", hint=f"for example --out {out / 'mix.png'}")
    check_writable(out.parent)
    parts = {
        name: part_from(_PARTS[name], part(chosen, name), default=_DEFAULTS.get(name)) for name in {"generator"} | asked
    }
    check_device(device)

    from mlvgm.pictures import write_grid
    from mlvgm_vision.mix.mix import mix_images, mix_samples, spread

    images = _pairs(build_part("datasets", parts["data"]), split, pairs) if "data" in asked else None
    model = build_part("generators", parts["generator"]).to(device)
    if images is not None and "encoder" in parts:
        model = build_part("encoders", parts["encoder"], generator=model)
    latents = [latent.name for latent in model.latents]
    with progress_bar("mixing", shown=not quiet) as update:
        if images is None:
            prefixes = spread(1, len(latents), columns)
            mixed = mix_samples(model, pairs=pairs, seed=seed, prefixes=prefixes, progress=update)
        else:
            first, second = images[0::2].to(device), images[1::2].to(device)
            prefixes = spread(0, len(latents), columns)
            mixed = mix_images(model, first, second, prefixes=prefixes, progress=update)
    write_grid(out, mixed.images, titles=mixed.titles)
    if json_output:
        emit_json({"file": str(out), "pairs": pairs, "latents": latents, "mixtures": _figures(mixed)})
    else:
        _print(mixed)
    say(f"picture: {out} (A, then A with these latents of B, then B)")


def _pairs(data: Any, split: Any, pairs: int) -> Any:
    """The first 2 · ``pairs`` images of a split."""
    from mlvgm.errors import ConfigError, unknown
    from mlvgm.reading import read

    if split not in ("train", "validation", "test"):
        raise unknown("split", split, ("train", "validation", "test"))
    if data.size(split) < 2 * pairs:
        raise ConfigError(
            f"{pairs} pairs need {2 * pairs} images, split '{split}' of data '{data.info.name}' has {data.size(split)}",
            hint="ask for fewer with -n",
        )
    return read(data, split, range(2 * pairs))[0]


def _figures(mixed: Mixed) -> list[dict[str, object]]:
    return [
        {"exchanged": count, "change": change, "left": left}
        for count, change, left in zip(mixed.prefixes, mixed.changes, mixed.left, strict=True)
    ]


def _print(mixed: Mixed) -> None:
    from mlvgm.cli.layout import Column
    from mlvgm.cli.output import print_table

    columns = [
        Column("latents of B", mixed.titles[1:][: len(mixed.changes)]),
        Column("from the column before", [f"{change:.5f}" for change in mixed.changes]),
        Column("from B", [f"{left:.5f}" for left in mixed.left]),
    ]
    print_table("mean squared difference of pixels", columns)
