"""Key layout of SerezD/NVAE-from-scratch: scales and groups by name, 0 is the coarsest scale."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mlvgm_nvae.architecture import Cell, NVAEArchitecture
from mlvgm_nvae.loaders.common import State, below, count, mixture_order, mixtures_of, reorder_head

LAYOUT = "SerezD/NVAE-from-scratch"

_CELL = (
    (re.compile(r"\bresidual\."), "branch."),
    (re.compile(r"\bskip_connection\.conv\b"), "skip.1"),
    (re.compile(r"\blinear_1\b"), "squeeze"),
    (re.compile(r"\blinear_2\b"), "excite"),
    (re.compile(r"\bparametrizations\.weight\.original0$"), "gain"),
    (re.compile(r"\bparametrizations\.weight\.original1$"), "weight"),
)


def recognises(state: State) -> bool:
    """``state`` has this layout."""
    return "const_prior" in state


def convert(state: State, options: Mapping[str, Any], *, path: Path) -> tuple[NVAEArchitecture, dict[str, Tensor]]:
    """Architecture, inferred from names and shapes, and tensors under this package's names.

    Args:
        state: it tells everything.
        options: nothing is taken from them.
        path: of the checkpoint.

    Raises:
        KeyError, ValueError: tensors are missing or of an unknown kind.
    """
    architecture = infer(state)
    converted = {}
    for name, tensor in state.items():
        ours = _rename(name, architecture)
        converted[ours] = tensor.expand_as(state[name[:-4] + "weight"]) if name.endswith(".mask") else tensor
    order = mixture_order(architecture.image[0], architecture.mixtures, mixture_major=True)
    reorder_head(converted, order)
    return architecture, converted


def infer(state: State) -> NVAEArchitecture:
    """The architecture that ``state`` is of."""
    scales = count(state, "encoder_tower.scale_")
    groups = tuple(_samplers(state, scale) for scale in range(scales))
    widths = tuple(_width(state, scale) for scale in range(scales))
    latents = tuple(len(state[f"enc_sampler.sampler_{scale}:0.bias"]) // 2 for scale in range(scales))
    blocks = count(state, "preprocessing_block.block_")
    doublings = count(state, "postprocessing_block.block_")
    stride = 2 ** (blocks + scales - 1)
    _, _, height, width = state["const_prior"].shape
    channels = state["preprocessing_block.init_conv.parametrizations.weight.original1"].shape[1]
    encoder_group = "encoder_tower.scale_0.group_0"
    # The first latent has no cells before it; the last one has, unless it is the first.
    decoder_group = f"decoder_tower.scale_{scales - 1}.group_{groups[-1] - 1}"
    decoder_cells = count(state, f"{decoder_group}.cell_")
    return NVAEArchitecture(
        image=(channels, height * stride, width * stride),
        groups=groups,
        latent_channels=latents,
        encoder_widths=widths,
        decoder_widths=widths,
        preprocess_blocks=blocks,
        preprocess_cells=count(state, "preprocessing_block.block_0.cell_"),
        postprocess_blocks=doublings,
        postprocess_cells=count(state, "postprocessing_block.block_0.cell_"),
        encoder_cells=count(state, f"{encoder_group}.cell_"),
        decoder_cells=max(decoder_cells, 1),
        preprocess_cell=_residual(below(state, "preprocessing_block.block_0.cell_0")),
        encoder_cell=_residual(below(state, f"{encoder_group}.cell_0")),
        decoder_cell=_inverted(below(state, f"{decoder_group}.cell_0")) if decoder_cells else Cell(),
        postprocess_cell=_inverted(below(state, "postprocessing_block.block_0.cell_0")),
        down_skip="strided",
        up_skip_bias=True,
        weight_norm_eps=0.0,
        pairing="ascending",
        sigma_floor=0.0,
        mixtures=mixtures_of(len(state["to_logits.1.bias"]), channels),
        **_flows(state),
    )


def _samplers(state: State, scale: int) -> int:
    return count((name.replace(":", ".") for name in state), f"enc_sampler.sampler_{scale}.")


def _width(state: State, scale: int) -> int:
    return len(state[f"decoder_combiners.combiner_{scale}:0.conv.bias"])


def _residual(cell: State) -> Cell:
    own = [tensor for name, tensor in cell.items() if name.startswith("residual.") and name.endswith(".original1")]
    return Cell(kind="residual", kernels=tuple(tensor.shape[-1] for tensor in own), squeeze_excitation=_has_gate(cell))


def _inverted(cell: State) -> Cell:
    filters = [tensor for _, tensor in _numbered(cell) if tensor.ndim == 4]
    expand, depthwise = filters[0], filters[1]
    return Cell(
        kind="inverted",
        kernels=(depthwise.shape[-1],),
        expansion=expand.shape[0] // expand.shape[1],
        group_width=depthwise.shape[1],
        squeeze_excitation=_has_gate(cell),
    )


def _numbered(cell: State) -> list[tuple[int, Tensor]]:
    found = []
    for name, tensor in cell.items():
        match = re.fullmatch(r"residual\.(\d+)\.weight", name)
        if match:
            found.append((int(match[1]), tensor))
    return sorted(found, key=lambda pair: pair[0])


def _has_gate(cell: State) -> bool:
    return any("linear_1" in name for name in cell)


def _flows(state: State) -> dict[str, object]:
    first = below({name.replace(":", "."): tensor for name, tensor in state.items()}, "nf_cells.nf_0.0")
    if not first:
        return {}
    layers = [below(first, f"0.cell1.layers.{number}") for number in (0, 2, 4)]
    normalised = any("parametrizations" in name for name in layers[0])
    filters = [layer["parametrizations.weight.original1" if normalised else "weight"] for layer in layers]
    hidden, channels = filters[0].shape[:2]
    return {
        "flows": count(first, ""),
        "flow_cell": "raster",
        "flow_kernels": tuple(weight.shape[-1] for weight in filters),
        "flow_expansion": hidden // channels,
        "flow_depthwise": filters[1].shape[1] == 1,
        "flow_weight_norm": normalised,
    }


def _rename(name: str, architecture: NVAEArchitecture) -> str:
    a = architecture

    def latent(scale: str, group: str) -> str:
        return f"decoder.groups.{sum(a.groups[: int(scale)]) + int(group)}"

    def decoder_cell(match: re.Match[str]) -> str:
        scale, group, number = match.groups()
        resized = int(scale) > 0 and int(group) == 0
        return f"{latent(scale, group)}.cells.{int(number) + resized}."

    rules = (
        (r"const_prior$", lambda m: "decoder.constant"),
        (r"preprocessing_block\.init_conv\.", lambda m: "encoder.stem.convolution."),
        (
            r"preprocessing_block\.block_(\d+)\.cell_(\d+)\.",
            lambda m: f"encoder.preprocess.{int(m[1]) * a.preprocess_cells + int(m[2])}.",
        ),
        (
            r"encoder_tower\.scale_(\d+)\.group_(\d+)\.cell_(\d+)\.",
            lambda m: f"encoder.scales.{m[1]}.{m[2]}.{m[3]}.",
        ),
        (r"encoder_tower\.scale_(\d+)\.downsampling\.", lambda m: f"encoder.downs.{int(m[1]) - 1}."),
        (r"encoder_0\.1\.", lambda m: "decoder.groups.0.posterior_parameters.feature.1."),
        (
            r"encoder_combiners\.combiner_(\d+):(\d+)\.conv\.",
            lambda m: f"{latent(m[1], m[2])}.posterior_parameters.state.",
        ),
        (r"enc_sampler\.sampler_(\d+):(\d+)\.", lambda m: f"{latent(m[1], m[2])}.posterior_parameters.parameters_of."),
        (r"dec_sampler\.sampler_(\d+):(\d+)\.1\.", lambda m: f"{latent(m[1], m[2])}.prior_parameters.1."),
        (r"decoder_combiners\.combiner_(\d+):(\d+)\.conv\.", lambda m: f"{latent(m[1], m[2])}.enter."),
        (r"decoder_tower\.scale_(\d+)\.group_(\d+)\.cell_(\d+)\.", decoder_cell),
        (r"decoder_tower\.scale_(\d+)\.upsampling\.", lambda m: f"{latent(str(int(m[1]) + 1), '0')}.cells.0."),
        (
            r"postprocessing_block\.block_(\d+)\.cell_(\d+)\.",
            lambda m: f"decoder.postprocess.{int(m[1]) * a.postprocess_cells + int(m[2])}.",
        ),
        (r"to_logits\.1\.", lambda m: "decoder.head.1."),
        (
            r"nf_cells\.nf_(\d+):(\d+)\.(\d+)\.cell([12])\.layers\.",
            lambda m: f"{latent(m[1], m[2])}.flow.{2 * int(m[3]) + int(m[4]) - 1}.shift.",
        ),
    )
    for pattern, replacement in rules:
        renamed, hits = re.subn(f"^{pattern}", replacement, name)
        if hits:
            for inner, ours in _CELL:
                renamed = inner.sub(ours, renamed)
            return renamed.replace(".skip.1.", ".skip.convolutions.0.") if renamed.startswith("encoder.") else renamed
    raise ValueError(f"unknown tensor '{name}'")
