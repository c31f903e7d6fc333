"""Official e4e files (omertov/encoder4editing)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlvgm_stylegan.encoders.agreement import style_mismatch
from mlvgm_stylegan.encoders.e4e import E4EArchitecture, halvings
from mlvgm_stylegan.encoders.loaders.irse import State, numbers, take_pyramid
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture

LAYOUT = "omertov/encoder4editing"


def recognises(encoder: Mapping[str, object]) -> bool:
    """``encoder`` has this layout."""
    return "styles.0.linear.weight" in encoder


def convert(
    state: State, options: Mapping[str, Any], *, generator: StyleGAN2Architecture
) -> tuple[E4EArchitecture, State]:
    """Architecture, inferred from names and shapes, and tensors under this package's names.

    Args:
        state: the encoder's tensors; those that are used are taken from it.
        options: ``input_resolution`` and ``dataset_type`` (size of the images; else from the depth of the style
            blocks), ``face_pool`` (else that size), ``stage_units``; ``coarse_ind`` and ``middle_ind`` are checked.
        generator: for which it finds styles.

    Raises:
        KeyError, ValueError: tensors are missing, or of an unknown kind.
    """
    kind = options.get("encoder_type", "Encoder4Editing")
    if kind != "Encoder4Editing":
        raise ValueError(f"encoder_type '{kind}' is not supported, only Encoder4Editing")
    body, pyramid = take_pyramid(state, units=options.get("stage_units"))
    depths = [len(numbers(state, f"styles.{style}.convs")) for style in numbers(state, "styles")]
    height, width = _size(options, side=16 * 2 ** depths[0])
    levels = [depth - halvings(max(height, width), 0) for depth in depths]
    if levels != sorted(levels) or not set(levels) <= {0, 1, 2}:
        raise ValueError(f"style blocks of {depths} convolutions are not for images of {height} × {width}")
    _check_indices(levels, options)
    # The cars of the reference have encoders of 18 styles for generators of 16: the last two are of no use.
    used = levels[: generator.num_ws]
    a = E4EArchitecture(
        image=(body.channels, height, width),
        body=body,
        styles=(used.count(0), used.count(1), used.count(2)),
        w_dim=state["styles.0.linear.weight"].shape[0],
        face_pool=options.get("face_pool", max(height, width)),
    )
    problem = style_mismatch(styles=len(used), w_dim=a.w_dim, channels=body.channels, generator=generator)
    if problem is not None:
        raise ValueError(f"the encoder {problem}")
    ours = {f"pyramid.{name}": tensor for name, tensor in pyramid.items()}
    return a, ours | _take_styles(state, depths, used=len(used))


def _size(options: Mapping[str, Any], *, side: int) -> tuple[int, int]:
    cars = "cars" in str(options.get("dataset_type"))
    given = options.get("input_resolution", (side * 3 // 4, side) if cars else side)
    height, width = given if isinstance(given, list | tuple) else (given, given)
    return int(height), int(width)


def _check_indices(levels: list[int], options: Mapping[str, Any]) -> None:
    for name, level in (("coarse_ind", 1), ("middle_ind", 2)):
        first = sum(found < level for found in levels)
        given = options.get(name)
        if given is not None and first != min(given, len(levels)):
            raise ValueError(f"{name} is {given}, but by their depth style {first} is the first of its features")


def _take_styles(state: State, depths: list[int], *, used: int) -> State:
    ours: State = {}
    for style, depth in enumerate(depths):
        theirs = f"styles.{style}"
        names = [f"{layer}.{part}" for layer in range(0, 2 * depth, 2) for part in ("weight", "bias")]
        taken = {name: state.pop(f"{theirs}.convs.{name}") for name in names}
        weight = state.pop(f"{theirs}.linear.weight")
        # Equalised: the stored weight is scaled by 1 / sqrt(fan-in) when it is used.
        taken[f"{2 * depth + 1}.weight"] = weight / weight.shape[1] ** 0.5
        taken[f"{2 * depth + 1}.bias"] = state.pop(f"{theirs}.linear.bias")
        if style < used:
            ours |= {f"styles.{style}.{name}": tensor for name, tensor in taken.items()}
    return ours
