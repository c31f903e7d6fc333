"""Official Style-Transformer files (sapphire497/style-transformer)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mlvgm.weights.arguments import option, require
from mlvgm_stylegan.encoders.agreement import style_mismatch
from mlvgm_stylegan.encoders.loaders.irse import State, take_pyramid
from mlvgm_stylegan.encoders.style_transformer import StyleTransformerArchitecture
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture

LAYOUT = "sapphire497/style-transformer"

_LAYERS = ("coarse", "medium", "fine")


def recognises(encoder: Mapping[str, object]) -> bool:
    """``encoder`` has this layout."""
    return "z" in encoder and "transformerlayer_coarse.linear1.weight" in encoder


def convert(
    state: State,
    options: Mapping[str, Any],
    *,
    generator: StyleGAN2Architecture,
    style: Callable[[Tensor], Tensor],
    path: Path,
) -> tuple[StyleTransformerArchitecture, State]:
    """Architecture, inferred from names and shapes, and tensors under this package's names.

    Args:
        state: the encoder's tensors; those that are used are taken from it.
        options: ``nhead``, which is required; ``image_size`` (128), ``input_resolution`` (256), ``face_pool``,
            ``stage_units``; ``dataset_type`` without cars has no margins, and images of the input resolution.
        generator: for which it finds styles.
        style: its mapping network, z (n, z_dim) ↦ w (n, w_dim). The queries are stored as z, read as w.
        path: of the file, for messages.

    Raises:
        InputError: nothing says the number of attention heads.
        KeyError, ValueError: tensors are missing, or of an unknown kind.
    """
    require(options, ("nhead",), path=path, published="the code of the original has nhead 4")
    if options.get("learn_in_w"):
        raise ValueError("learn_in_w, one style for all layers, is not supported")
    body, pyramid = take_pyramid(state, units=options.get("stage_units"))
    resolution = int(options.get("input_resolution", 256))
    cars = "cars" in str(options.get("dataset_type", "cars"))
    side = int(options.get("image_size", resolution // 2 if cars else resolution))
    z = state.pop("z")
    a = StyleTransformerArchitecture(
        image=(body.channels, side, side),
        resolution=resolution,
        margin=resolution // 8 if cars else 0,
        body=body,
        queries=z.shape[1],
        heads=option(options, "nhead"),
        feed_forward=state["transformerlayer_coarse.linear1.weight"].shape[0],
        face_pool=options.get("face_pool", resolution),
    )
    problem = style_mismatch(styles=a.queries, w_dim=a.w_dim, channels=body.channels, generator=generator)
    if problem is not None:
        raise ValueError(f"the encoder {problem}")
    ours = {f"pyramid.{name}": tensor for name, tensor in pyramid.items()}
    for number, name in enumerate(_LAYERS):
        start = f"transformerlayer_{name}."
        for key in [key for key in state if key.startswith(start)]:
            ours[f"layers.{number}.{key.removeprefix(start)}"] = state.pop(key)
    return a, {**ours, "queries": style(z[0])}
