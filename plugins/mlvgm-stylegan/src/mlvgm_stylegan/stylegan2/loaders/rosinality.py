"""State dicts of rosinality/stylegan2-pytorch, also as decoders of e4e and Style-Transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mlvgm.noise import Keys, normal
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.mapping import MappingNetwork

LAYOUT = "rosinality/stylegan2-pytorch"

State = dict[str, Tensor]

# Noise images beyond this are not drawn for files that lack them: no such network was ever published.
_LARGEST = 2048


def recognises(state: Mapping[str, object]) -> bool:
    """``state`` has this layout."""
    return "input.input" in state and "conv1.conv.modulation.weight" in state


def convert(
    state: Mapping[str, Tensor], options: Mapping[str, Any], *, average: Tensor | None
) -> tuple[StyleGAN2Architecture, State]:
    """Architecture and tensors under this package's names.

    Args:
        state: without prefix; all sizes come from it. Old files have no noise images; theirs are drawn, always
            the same.
        options: ``lr_mlp`` (0.01).
        average: the mean style, (w_dim,) or (1, w_dim), or one a layer, of which the mean is taken (all are equal
            in the public files); None where the file has none: the mean of 4096 styles that are always the same.

    Raises:
        KeyError, ValueError: tensors are missing, superfluous or of an unsupported kind.
    """
    rest = dict(state)
    architecture = _architecture(rest, options)
    ours: State = {"synthesis.constant": rest.pop("input.input")[0]}
    for number in range(architecture.mapping_layers):
        for part in ("weight", "bias"):
            ours[f"mapping.layers.{number}.{part}"] = rest.pop(f"style.{number + 1}.{part}")
    for layer, (theirs, here) in enumerate(_layers(architecture)):
        ours |= _take_convolution(rest, f"{theirs}.conv", f"{here}.convolution", demodulated=True)
        ours[f"{here}.bias"] = rest.pop(f"{theirs}.activate.bias")
        ours[f"{here}.noise_strength"] = rest.pop(f"{theirs}.noise.weight").reshape(())
        ours[f"{here}.noise"] = _noise(rest, layer, side=architecture.layer_resolutions[layer])
    for block in range(len(architecture.channels)):
        theirs, here = f"to_rgbs.{block - 1}" if block else "to_rgb1", f"synthesis.blocks.{block}.to_image"
        ours |= _take_convolution(rest, f"{theirs}.conv", f"{here}.convolution", demodulated=False)
        ours[f"{here}.bias"] = rest.pop(f"{theirs}.bias").flatten()
    superfluous = [name for name in rest if not name.endswith((".blur.kernel", ".upsample.kernel"))]
    if superfluous:
        raise ValueError(f"{len(superfluous)} unknown tensors, the first is {superfluous[0]}")
    ours = {name: tensor.float() for name, tensor in ours.items()}
    ours["mapping.average"] = _mean_style(ours, architecture) if average is None else _one_style(average)
    return architecture, ours


def _architecture(state: State, options: Mapping[str, Any]) -> StyleGAN2Architecture:
    constant, first = state["input.input"], state["style.1.weight"]
    layers = _count(state, "style.{}.weight", start=1)
    channels = [state["conv1.conv.weight"].shape[1]]
    channels += [state[f"convs.{2 * i}.conv.weight"].shape[1] for i in range(_count(state, "to_rgbs.{}.bias"))]
    if constant.shape[1:] != (channels[0], 4, 4):
        raise ValueError(f"the constant input is {tuple(constant.shape)}, expected (1, {channels[0]}, 4, 4)")
    return StyleGAN2Architecture(
        z_dim=first.shape[1],
        w_dim=state["conv1.conv.modulation.weight"].shape[1],
        channels=tuple(channels),
        image_channels=state["to_rgb1.bias"].numel(),
        mapping_layers=layers,
        mapping_width=first.shape[0],
        mapping_learning_rate=float(options.get("lr_mlp", 0.01)),
        resample_filter=_taps(state, options),
    )


def _taps(state: State, options: Mapping[str, Any]) -> Any:
    stored = state.get("convs.0.conv.blur.kernel")
    return options.get("blur_kernel", [1, 3, 3, 1]) if stored is None else stored.tolist()


def _count(state: State, name: str, *, start: int = 0) -> int:
    number = start
    while name.format(number) in state:
        number += 1
    return number - start


def _layers(architecture: StyleGAN2Architecture) -> list[tuple[str, str]]:
    """Their name and ours of each convolution with noise, in order."""
    names = [("conv1", "synthesis.blocks.0.layer")]
    for block in range(1, len(architecture.channels)):
        names.append((f"convs.{2 * block - 2}", f"synthesis.blocks.{block}.up"))
        names.append((f"convs.{2 * block - 1}", f"synthesis.blocks.{block}.layer"))
    return names


def _take_convolution(state: State, theirs: str, ours: str, *, demodulated: bool) -> State:
    weight = state.pop(f"{theirs}.weight")[0]
    if demodulated:
        # They demodulate weights scaled by 1 / sqrt(fan-in), we the stored ones; only the 1e-8 in the norm can tell.
        weight = weight * (weight[0].numel() ** -0.5)
    affine = {f"{ours}.affine.{part}": state.pop(f"{theirs}.modulation.{part}") for part in ("weight", "bias")}
    return {f"{ours}.weight": weight, **affine}


def _noise(state: State, layer: int, *, side: int) -> Tensor:
    stored = state.pop(f"noises.noise_{layer}", None)
    if stored is not None:
        return stored[0, 0]
    if side > _LARGEST:
        raise ValueError(f"no noise image of {side} pixels")
    return normal(Keys.of(seed=0, purpose="rosinality", samples=[0]), f"noise{layer}", (side, side))[0]


def _one_style(average: Tensor) -> Tensor:
    return average.float().reshape(-1, average.shape[-1]).mean(0)


@torch.no_grad()
def _mean_style(tensors: State, architecture: StyleGAN2Architecture) -> Tensor:
    network = MappingNetwork(architecture)
    prefix = "mapping.layers."
    network.layers.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    z = normal(Keys.of(seed=0, purpose="rosinality", samples=range(4096)), "z", (architecture.z_dim,))
    result: Tensor = network(z).mean(0)
    return result
