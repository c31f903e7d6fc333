"""NVlabs/NVAE's towers: flat lists of cells and combiners in execution order, and the sizes that they tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlvgm_nvae.architecture import Cell, NVAEArchitecture
from mlvgm_nvae.loaders.common import State, below, count, indices, mixtures_of
from mlvgm_nvae.loaders.nvlabs_cells import Item, cell_of, flow_names


@dataclass
class EncoderTower:
    """The encoder tower, fine → coarse as it is stored."""

    scales: list[list[list[Item]]] = field(default_factory=lambda: [[[]]])
    combiners: list[Item] = field(default_factory=list)
    downs: list[Item] = field(default_factory=list)


@dataclass
class DecoderTower:
    """The decoder tower: for each latent the cells before it and its combiner; ``resized``: it starts a scale."""

    cells: list[list[Item]] = field(default_factory=lambda: [[]])
    combiners: list[Item] = field(default_factory=list)
    resized: list[bool] = field(default_factory=lambda: [False])


def items(state: State, prefix: str) -> list[Item]:
    """The entries of a numbered list, in order."""
    return [below(state, f"{prefix}.{number}") for number in indices(state, f"{prefix}.")]


def _combines(item: Item) -> bool:
    return any(name.startswith("conv.") for name in item)


def _resizes(item: Item) -> bool:
    return any(name.startswith("skip.") for name in item)


def read_encoder(state: State) -> EncoderTower:
    """The encoder's cells by scale and group."""
    tower = EncoderTower()
    for item in items(state, "enc_tower"):
        if _resizes(item):
            tower.downs.append(item)
            # The combiner before it opened a group that this scale does not have.
            tower.scales[-1].pop()
            tower.scales.append([[]])
        elif _combines(item):
            tower.combiners.append(item)
            tower.scales[-1].append([])
        else:
            tower.scales[-1][-1].append(item)
    return tower


def read_decoder(state: State) -> DecoderTower:
    """The decoder's cells by latent."""
    tower = DecoderTower()
    for item in items(state, "dec_tower"):
        if _combines(item):
            tower.combiners.append(item)
            tower.cells.append([])
            tower.resized.append(False)
        else:
            tower.cells[-1].append(item)
            tower.resized[-1] |= _resizes(item)
    return tower


def infer(state: State, encoder: EncoderTower, decoder: DecoderTower) -> NVAEArchitecture:
    """The architecture, as far as names and shapes tell it.

    Raises:
        KeyError, ValueError: tensors are missing or of an unknown kind.
    """
    groups = tuple(len(scale) for scale in reversed(encoder.scales))
    firsts = [sum(groups[:scale]) for scale in range(len(groups))]
    pre, post = items(state, "pre_process"), items(state, "post_process")
    blocks, doublings = sum(map(_resizes, pre)), sum(map(_resizes, post))
    stride = 2 ** (blocks + len(groups) - 1)
    _, height, width = state["prior_ftr0"].shape
    outputs, channels = len(state["image_conditional.1.bias"]), state["stem.weight"].shape[1]
    widths = [len(state["enc0.1.bias"])] + [
        len(below(encoder.combiners[-first], "conv")["bias"]) for first in firsts[1:]
    ]
    plain = [item for cells in decoder.cells for item in cells if not _resizes(item)]
    binary = channels == outputs == 1
    if outputs == 2 * channels:
        raise ValueError("a normal distribution of pixels (num_mixture_dec 1) is not supported")
    return NVAEArchitecture(
        image=(channels, height * stride, width * stride),
        groups=groups,
        latent_channels=tuple(len(state[f"enc_sampler.{first}.bias"]) // 2 for first in firsts),
        encoder_widths=tuple(widths),
        decoder_widths=tuple(len(decoder.combiners[first]["conv.bias"]) for first in firsts),
        preprocess_blocks=blocks,
        preprocess_cells=len(pre) // blocks if blocks else 1,
        postprocess_blocks=doublings,
        postprocess_cells=len(post) // doublings if doublings else 1,
        encoder_cells=len(encoder.scales[-1][0]),
        # The last latent's; there are none before the first.
        decoder_cells=max(len(decoder.cells[-2]) - decoder.resized[-2], 1),
        preprocess_cell=cell_of(pre[0]) if pre else Cell(),
        encoder_cell=cell_of(encoder.scales[-1][0][0]),
        decoder_cell=cell_of(plain[0]) if plain else Cell(),
        postprocess_cell=cell_of(post[0]) if post else Cell(),
        likelihood="bernoulli" if binary else "logistic",
        mixtures=1 if binary else mixtures_of(outputs, channels),
        **_flows(state, sum(groups)),
    )


def _flows(state: State, latents: int) -> dict[str, Any]:
    cells = count(state, "nf_cells.")
    if cells == 0:
        return {}
    if cells % latents:
        raise ValueError(f"{cells} pairs of flows for {latents} latents")
    layers = flow_names(below(state, "nf_cells.0.cell1"))
    filters = [layers[f"{number}.weight"] for number in (0, 2, 5)]
    hidden, channels = filters[0].shape[:2]
    return {
        "flows": cells // latents,
        "flow_kernels": tuple(weight.shape[-1] for weight in filters),
        "flow_expansion": hidden // channels,
        "flow_depthwise": filters[1].shape[1] == 1,
        "flow_weight_norm": "0.log_weight_norm" in layers,
    }
