"""State dicts of NVlabs/stylegan2-ada-pytorch, which NVlabs/stylegan3 also writes for StyleGAN2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture

LAYOUT = "NVlabs/stylegan2-ada-pytorch"

State = dict[str, Tensor]


def recognises(state: Mapping[str, object]) -> bool:
    """``state`` has this layout."""
    return "synthesis.b4.const" in state and "mapping.fc0.weight" in state


def convert(state: Mapping[str, Tensor], options: Mapping[str, Any]) -> tuple[StyleGAN2Architecture, State]:
    """Architecture and tensors under this package's names.

    Args:
        state: sizes and kind of network come from it.
        options: ``conv_clamp`` (none), ``lr_multiplier`` (0.01) and ``activation``, flat or below ``synthesis_kwargs``
            and ``mapping_kwargs``; others are not needed.

    Raises:
        KeyError, ValueError: tensors are missing, superfluous or of an unsupported kind.
    """
    rest = dict(state)
    architecture = _architecture(rest, flattened(options))
    ours: State = {"mapping.average": rest.pop("mapping.w_avg"), "synthesis.constant": rest.pop("synthesis.b4.const")}
    for number in range(architecture.mapping_layers):
        ours |= _take(rest, f"mapping.fc{number}", f"mapping.layers.{number}")
    if architecture.classes:
        ours |= _take(rest, "mapping.embed", "mapping.embed")
    for number, side in enumerate(architecture.resolutions):
        block, here = f"synthesis.b{side}", f"synthesis.blocks.{number}"
        for theirs, name in (("conv0", "up"), ("conv1", "layer"), ("torgb", "to_image")):
            if f"{block}.{theirs}.weight" in rest:
                ours |= _take_layer(rest, f"{block}.{theirs}", f"{here}.{name}")
        if f"{block}.skip.weight" in rest:
            ours[f"{here}.skip"] = rest.pop(f"{block}.skip.weight")
    superfluous = [name for name in rest if not name.endswith("resample_filter")]
    if superfluous:
        raise ValueError(f"{len(superfluous)} unknown tensors, the first is {superfluous[0]}")
    return architecture, {name: tensor.float() for name, tensor in ours.items()}


def flattened(options: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments of the generator without their nesting."""
    flat = {name: value for name, value in options.items() if not isinstance(value, Mapping)}
    for part in ("generator", "mapping_kwargs", "synthesis_kwargs", "block_kwargs", "layer_kwargs"):
        if isinstance(options.get(part), Mapping):
            flat |= flattened(options[part])
    return flat


def _architecture(state: State, options: Mapping[str, Any]) -> StyleGAN2Architecture:
    if options.get("activation", "lrelu") != "lrelu":
        raise ValueError(f"activation '{options['activation']}' is not supported, only lrelu")
    sides = sorted(
        int(match[1]) for match in (re.fullmatch(r"synthesis\.b(\d+)\.conv1\.weight", k) for k in state) if match
    )
    if sides != [4 * 2**i for i in range(len(sides))]:
        raise ValueError(f"blocks of resolution {sides}")
    last = state[f"synthesis.b{sides[-1]}.torgb.weight"]
    embed = state.get("mapping.embed.weight")
    first, average = state["mapping.fc0.weight"], state["mapping.w_avg"]
    layers = sum(re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in state)
    output = "resnet" if any(name.endswith(".skip.weight") for name in state) else "orig"
    return StyleGAN2Architecture(
        z_dim=first.shape[1] - (0 if embed is None else embed.shape[0]),
        w_dim=len(average),
        channels=tuple(state[f"synthesis.b{side}.conv1.weight"].shape[0] for side in sides),
        image_channels=last.shape[0],
        mapping_layers=layers,
        mapping_width=first.shape[0] if layers > 1 else None,
        mapping_learning_rate=float(options.get("lr_multiplier", 0.01)),
        classes=0 if embed is None else embed.shape[1],
        embedding_dim=None if embed is None else embed.shape[0],
        output="skip" if "synthesis.b4.torgb.weight" in state else output,
        resample_filter=_taps(state, options),
        noise="synthesis.b4.conv1.noise_const" in state,
        conv_clamp=options.get("conv_clamp"),
    )


def _taps(state: State, options: Mapping[str, Any]) -> Any:
    stored = state.get("synthesis.b4.resample_filter")
    taps = options.get("resample_filter", [1, 3, 3, 1]) if stored is None else stored.tolist()
    return [1.0] if taps is None else taps


def _take(state: State, theirs: str, ours: str) -> State:
    return {f"{ours}.{part}": state.pop(f"{theirs}.{part}") for part in ("weight", "bias")}


def _take_layer(state: State, theirs: str, ours: str) -> State:
    taken = _take(state, f"{theirs}.affine", f"{ours}.convolution.affine")
    taken[f"{ours}.convolution.weight"] = state.pop(f"{theirs}.weight")
    taken[f"{ours}.bias"] = state.pop(f"{theirs}.bias")
    if f"{theirs}.noise_const" in state:
        taken[f"{ours}.noise"] = state.pop(f"{theirs}.noise_const")
        taken[f"{ours}.noise_strength"] = state.pop(f"{theirs}.noise_strength").reshape(())
    return taken
