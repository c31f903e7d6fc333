"""Variables of the TensorFlow code bases NVlabs/stylegan2 and NVlabs/stylegan2-ada, as a PyTorch state dict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from mlvgm.weights.container import Container, tensors_of
from mlvgm.weights.unpickle import Record

LAYOUT = "NVlabs/stylegan2-ada (TensorFlow)"

State = dict[str, Tensor]

_BLOCK = re.compile(r"synthesis/(\d+)x\d+/(\w+)/(\w+)")
_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}


def variables_of(container: Container) -> tuple[State, dict[str, Any]]:
    """Variables and static arguments of the generator in ``container``.

    A pickle is the tuple (G, D, Gs) of networks, of which Gs, the average of G over training, is taken, or one of them.
    """
    content = container.content
    if isinstance(content, tuple | list) and content:
        content = content[-1]
    if not isinstance(content, Record):
        return tensors_of(content), dict(container.options)
    static = content.state.get("static_kwargs")
    return dict(_variables(content, "")), {**(static if isinstance(static, Mapping) else {}), **container.options}


def recognises(variables: Mapping[str, object]) -> bool:
    """``variables`` has this layout."""
    return "synthesis/4x4/Const/const" in variables and "mapping/Dense0/weight" in variables


def convert(variables: Mapping[str, Tensor], static: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
    """The state dict and the constructor arguments that :mod:`~mlvgm_stylegan.stylegan2.loaders.ada` reads.

    Raises:
        KeyError, ValueError: variables are missing or of an unsupported kind.
    """
    state: State = {}
    for name, value in variables.items():
        renamed = _renamed(name, value)
        if renamed is None:
            raise ValueError(f"variable {name} is not known")
        state |= renamed
    names = {"mapping_lrmul": "lr_multiplier", "resample_kernel": "resample_filter", "nonlinearity": "activation"}
    return state, {names.get(name, name): value for name, value in static.items()}


def _renamed(name: str, value: Tensor) -> State | None:
    if name == "dlatent_avg":
        return {"mapping.w_avg": value}
    # Bookkeeping of training.
    if name == "lod":
        return {}
    if name == "synthesis/4x4/Const/const":
        return {"synthesis.b4.const": value[0]}
    if match := re.fullmatch(r"mapping/(Dense(\d+)|LabelEmbed)/(weight|bias)", name):
        layer = f"fc{match[2]}" if match[2] else "embed"
        return {f"mapping.{layer}.{match[3]}": value.T if match[3] == "weight" else value}
    if match := re.fullmatch(r"synthesis/noise(\d+)", name):
        return {f"{_noise_layer(int(match[1]))}.noise_const": value[0, 0]}
    match = _BLOCK.fullmatch(name)
    return None if match is None else _of_layer(match[1], match[2], match[3], value)


def _of_layer(side: str, layer: str, variable: str, value: Tensor) -> State | None:
    if (layer, variable) == ("Skip", "weight"):
        return {f"synthesis.b{side}.skip.weight": _kernel(value, flip=True)}
    if layer not in _LAYERS:
        return None
    ours = f"synthesis.b{side}.{_LAYERS[layer]}"
    match variable:
        case "weight":
            return {f"{ours}.weight": _kernel(value, flip=layer == "Conv0_up")}
        case "bias":
            return {f"{ours}.bias": value}
        case "mod_weight":
            return {f"{ours}.affine.weight": value.T}
        case "mod_bias":
            return {f"{ours}.affine.bias": value + 1}
        case "noise_strength":
            return {f"{ours}.noise_strength": value.reshape(())}
    return None


def _noise_layer(number: int) -> str:
    """Noise 0 is of 4×4, whose only convolution is conv1; then each resolution has one for conv0 and one for conv1."""
    return f"synthesis.b{2 ** ((number + 5) // 2)}.conv{(number + 1) % 2}"


def _kernel(value: Tensor, *, flip: bool) -> Tensor:
    """(height, width, in, out) → (out, in, height, width)."""
    kernel = value.permute(3, 2, 0, 1)
    return kernel.flip((2, 3)) if flip else kernel


def _variables(network: Record, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in network.state.get("variables") or ():
        if isinstance(name, str) and isinstance(value, Tensor):
            yield f"{prefix}{name}", value
    components = network.state.get("components")
    for name, component in components.items() if isinstance(components, Mapping) else ():
        if isinstance(component, Record):
            yield from _variables(component, f"{prefix}{name}/")
