"""Checkpoints of NVlabs/stylegan3: pickles, and their state dicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.container import Container, Converted
from mlvgm_stylegan.stylegan2.loaders.persistence import network_of
from mlvgm_stylegan.stylegan3.architecture import StyleGAN3Architecture, plan

FORMAT = "mlvgm-stylegan3/1"

_LAYER = re.compile(r"synthesis\.L(\d+)_(\d+)_(\d+)\.")
# Our name of each of the published constructor's options that tensors do not tell.
_OPTIONS = {
    "num_critical": "critical_layers",
    "first_cutoff": "first_cutoff",
    "first_stopband": "first_stopband",
    "last_stopband_rel": "last_stopband_rel",
    "margin_size": "margin",
    "output_scale": "output_scale",
    "filter_size": "filter_size",
    "lrelu_upsampling": "activation_upsampling",
    "conv_clamp": "clamp",
}


def convert(container: Container) -> Converted | None:
    """Weights of this project from a StyleGAN3 checkpoint, None for other families.

    Sizes come from tensors and layer names; frequencies from the constructor's arguments in the pickle or in
    ``container.options``, else the published defaults.

    Raises:
        InputError: it is a StyleGAN3, but incomplete or of inconsistent options.
    """
    state, arguments = network_of(container)
    if "synthesis.input.freqs" not in state:
        return None
    try:
        architecture = _architecture(state, arguments)
        tensors = {ours: state[theirs].float() for theirs, ours in _names(state, architecture).items()}
    except (KeyError, ValueError, IndexError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(
            f"{container.path}: incomplete or unsupported StyleGAN3 checkpoint: {reason}",
            hint="give its constructor arguments with --config",
        ) from error
    return Converted(FORMAT, architecture.model_dump_json(), tensors, "NVlabs/stylegan3")


def _layers(state: Mapping[str, Tensor]) -> list[tuple[str, int]]:
    """Name and size of each layer, coarse → fine."""
    found = {int(match[1]): (match[0], int(match[2])) for match in map(_LAYER.match, state) if match}
    return [found[number] for number in range(len(found))]


def _architecture(state: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> StyleGAN3Architecture:
    flat = {**arguments, **arguments.get("synthesis_kwargs", {})}
    layers = _layers(state)
    weights = [state[f"{name}weight"] for name, _ in layers]
    fully_connected = sum(re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in state)
    classes = state["mapping.embed.weight"].shape[1] if "mapping.embed.weight" in state else 0
    w_dim = len(state["mapping.w_avg"])
    z_dim = state["mapping.fc0.weight"].shape[1] - (state["mapping.embed.weight"].shape[0] if classes else 0)
    architecture = StyleGAN3Architecture(
        z_dim=z_dim,
        w_dim=w_dim,
        classes=classes,
        mapping_layers=fully_connected,
        mapping_learning_rate=arguments.get("mapping_kwargs", {}).get("lr_multiplier", 0.01),
        resolution=layers[-1][1],
        channels=(len(state["synthesis.input.weight"]), *(len(weight) for weight in weights)),
        kernel_size=weights[0].shape[2],
        radial=any(state.get(f"{name}down_filter", weights[0][0, 0, 0]).ndim == 2 for name, _ in layers),
        **{ours: flat[theirs] for theirs, ours in _OPTIONS.items() if theirs in flat},
    )
    for (name, size), step in zip(layers, plan(architecture), strict=True):
        taps = {side: _taps(state, f"{name}{side}_filter") for side in ("up", "down")}
        if (size, taps) != (step.size, {"up": step.up_taps, "down": step.down_taps}):
            raise ValueError(f"layer {name[10:-1]} has other sizes or filters than its options say")
    return architecture


def _taps(state: Mapping[str, Tensor], name: str) -> int:
    return len(state[name]) if name in state else 1


def _names(state: Mapping[str, Tensor], architecture: StyleGAN3Architecture) -> dict[str, str]:
    """Published name → ours."""
    names = {
        "mapping.w_avg": "mapping.average",
        "synthesis.input.weight": "synthesis.input.weight",
        "synthesis.input.transform": "synthesis.input.transform",
        "synthesis.input.freqs": "synthesis.input.frequencies",
        "synthesis.input.phases": "synthesis.input.phases",
        "synthesis.input.affine.weight": "synthesis.input.affine.weight",
        "synthesis.input.affine.bias": "synthesis.input.affine.bias",
    }
    for part in ("weight", "bias"):
        if architecture.classes:
            names[f"mapping.embed.{part}"] = f"mapping.embed.{part}"
        for number in range(architecture.mapping_layers):
            names[f"mapping.fc{number}.{part}"] = f"mapping.layers.{number}.{part}"
    parts = {name: name for name in ("weight", "bias", "affine.weight", "affine.bias", "up_filter", "down_filter")}
    for number, (prefix, _) in enumerate(_layers(state)):
        for theirs, ours in {**parts, "magnitude_ema": "magnitude"}.items():
            if f"{prefix}{theirs}" in state or "filter" not in theirs:
                names[f"{prefix}{theirs}"] = f"synthesis.layers.{number}.{ours}"
    return names
