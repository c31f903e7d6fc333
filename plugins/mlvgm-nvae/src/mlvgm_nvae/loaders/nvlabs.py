"""Key layout of NVlabs/NVAE: flat lists of cells and combiners in execution order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.arguments import check, option, whole
from mlvgm_nvae.architecture import Cell, NVAEArchitecture
from mlvgm_nvae.loaders.common import State, below, count, indices, mixture_order, mixtures_of, reorder_head

LAYOUT = "NVlabs/NVAE"

Item = dict[str, Tensor]

_PARTS = (
    "prior_ftr0", "stem", "pre_process", "enc_tower", "enc0", "enc_sampler", "dec_sampler", "nf_cells", "dec_tower",
    "post_process", "image_conditional",
)  # fmt: skip
# Encoder cells of these have dilated kernels, which their tensors do not tell.
_DILATIONS = {"res53_mbconv": (2, 1), "res35_mbconv": (1, 2), "res55_mbconv": (2, 2)}


@dataclass
class _Encoder:
    """The encoder tower, fine → coarse as it is stored."""

    scales: list[list[list[Item]]] = field(default_factory=lambda: [[[]]])
    combiners: list[Item] = field(default_factory=list)
    downs: list[Item] = field(default_factory=list)


@dataclass
class _Decoder:
    """The decoder tower: for each latent the cells before it and its combiner; ``resized``: it starts a scale."""

    cells: list[list[Item]] = field(default_factory=lambda: [[]])
    combiners: list[Item] = field(default_factory=list)
    resized: list[bool] = field(default_factory=lambda: [False])


def recognises(state: State) -> bool:
    """``state`` has this layout."""
    return "prior_ftr0" in state


def convert(state: State, options: Mapping[str, Any], *, path: Path) -> tuple[NVAEArchitecture, dict[str, Tensor]]:
    """Architecture, inferred from names and shapes, and tensors under this package's names.

    Args:
        state: sizes come from it.
        options: arguments of the training that it does not tell: ``num_x_bits`` (8), ``res_dist`` (true),
            ``arch_instance`` (kernels that are not dilated); others are checked.
        path: of the checkpoint, for messages.

    Raises:
        InputError: the options are invalid, or those of another checkpoint.
        KeyError, ValueError: tensors are missing or of an unknown kind.
    """
    # Convolutions without weight norm are stored twice.
    state = {name: tensor for name, tensor in state.items() if not name.endswith(".weight_normalized")}
    if "stem_decoder.weight" in state:
        raise ValueError("a network of a single latent, which has no decoder state, is not supported")
    unknown = [name for name in state if name.partition(".")[0] not in _PARTS]
    if unknown:
        raise ValueError(f"{len(unknown)} unknown tensors, the first is {min(unknown)}")
    encoder, decoder = _read_encoder(state), _read_decoder(state)
    architecture = _with_options(_infer(state, encoder, decoder), options, path=path)
    ours: dict[str, Tensor] = {"decoder.constant": state["prior_ftr0"].unsqueeze(0)}

    def put(item: Item, prefix: str, rename: Callable[[Item], Item] = dict) -> None:
        for name, tensor in rename(item).items():
            gain = name.endswith("log_weight_norm")
            key = f"{prefix}.{name.replace('log_weight_norm', 'gain')}"
            ours[key] = tensor.exp() if gain else tensor

    put(below(state, "stem"), "encoder.stem.convolution")
    for number, item in enumerate(_items(state, "pre_process")):
        put(item, f"encoder.preprocess.{number}", _cell_names)
    for scale, groups in enumerate(reversed(encoder.scales)):
        for group, cells in enumerate(groups):
            for number, item in enumerate(cells):
                put(item, f"encoder.scales.{scale}.{group}.{number}", _cell_names)
    for scale, item in enumerate(reversed(encoder.downs)):
        put(item, f"encoder.downs.{scale}", _cell_names)
    put(below(state, "enc0.1"), "decoder.groups.0.posterior_parameters.feature.1")
    for latent, item in enumerate(reversed(encoder.combiners), start=1):
        put(below(item, "conv"), f"decoder.groups.{latent}.posterior_parameters.state")
    for latent in range(sum(architecture.groups)):
        prefix = f"decoder.groups.{latent}"
        put(below(state, f"enc_sampler.{latent}"), f"{prefix}.posterior_parameters.parameters_of")
        if latent:
            put(below(state, f"dec_sampler.{latent - 1}.1"), f"{prefix}.prior_parameters.1")
        for number, item in enumerate(decoder.cells[latent]):
            put(item, f"{prefix}.cells.{number}", _cell_names)
        put(below(decoder.combiners[latent], "conv"), f"{prefix}.enter")
        for pair in range(architecture.flows):
            source = below(state, f"nf_cells.{latent * architecture.flows + pair}")
            put(below(source, "cell1"), f"{prefix}.flow.{2 * pair}.shift", _flow_names)
            put(below(source, "cell2"), f"{prefix}.flow.{2 * pair + 1}.shift", _flow_names)
    for number, item in enumerate(_items(state, "post_process")):
        put(item, f"decoder.postprocess.{number}", _cell_names)
    put(below(state, "image_conditional.1"), "decoder.head.1")
    if architecture.likelihood == "logistic":
        order = mixture_order(architecture.image[0], architecture.mixtures, mixture_major=False)
        reorder_head(ours, order)
    return architecture, ours


def _with_options(inferred: NVAEArchitecture, options: Mapping[str, Any], *, path: Path) -> NVAEArchitecture:
    """``inferred`` with what only ``options`` tell."""
    a = inferred
    found = {"num_latent_scales": a.scales, "num_latent_per_group": a.latent_channels[0], "num_nf": a.flows}
    if a.likelihood == "logistic":
        found["num_mixture_dec"] = a.mixtures
    check(options, found, path=path)
    bits = whole(options, "num_x_bits", path=path) or 8
    if bits > 8:
        raise InputError(f"{path}: expected num_x_bits in 1 … 8, got {bits}")
    residual = option(options, "res_dist")
    if not isinstance(residual, bool | None):
        raise InputError(f"{path}: expected true or false for res_dist, got {residual!r}")
    dilations = _dilations(option(options, "arch_instance"))
    cells = {
        name: cell.model_copy(update={"dilations": dilations})
        for name in ("preprocess_cell", "encoder_cell")
        if (cell := getattr(a, name)).kind == "residual" and len(cell.kernels) == len(dilations)
    }
    return a.model_copy(update={"bits": bits, "residual_posterior": residual is not False, **cells})


def _dilations(cells: Any) -> tuple[int, ...]:
    """Of the kernels of an encoder cell: ``cells`` is a name, or as checkpoints have it, operations by kind of cell."""
    if isinstance(cells, Mapping):
        operations = cells.get("normal_enc") or ()
        dilations = tuple(2 if operation == "res_bnswish5" else 1 for operation in operations)
    else:
        dilations = _DILATIONS.get(str(cells), ())
    return dilations if 2 in dilations else ()


def _items(state: State, prefix: str) -> list[Item]:
    return [below(state, f"{prefix}.{number}") for number in indices(state, f"{prefix}.")]


def _combines(item: Item) -> bool:
    return any(name.startswith("conv.") for name in item)


def _resizes(item: Item) -> bool:
    return any(name.startswith("skip.") for name in item)


def _read_encoder(state: State) -> _Encoder:
    tower = _Encoder()
    for item in _items(state, "enc_tower"):
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


def _read_decoder(state: State) -> _Decoder:
    tower = _Decoder()
    for item in _items(state, "dec_tower"):
        if _combines(item):
            tower.combiners.append(item)
            tower.cells.append([])
            tower.resized.append(False)
        else:
            tower.cells[-1].append(item)
            tower.resized[-1] |= _resizes(item)
    return tower


def _infer(state: State, encoder: _Encoder, decoder: _Decoder) -> NVAEArchitecture:
    groups = tuple(len(scale) for scale in reversed(encoder.scales))
    firsts = [sum(groups[:scale]) for scale in range(len(groups))]
    pre, post = _items(state, "pre_process"), _items(state, "post_process")
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
        preprocess_cell=_cell(pre[0]) if pre else Cell(),
        encoder_cell=_cell(encoder.scales[-1][0][0]),
        decoder_cell=_cell(plain[0]) if plain else Cell(),
        postprocess_cell=_cell(post[0]) if post else Cell(),
        likelihood="bernoulli" if binary else "logistic",
        mixtures=1 if binary else mixtures_of(outputs, channels),
        **_flows(state, sum(groups)),
    )


def _cell(item: Item) -> Cell:
    gate = "se.se.0.weight" in item
    if "_ops.0.conv_0.weight" in item:
        operations = indices(item, "_ops.")
        kernels = tuple(item[f"_ops.{number}.conv_0.weight"].shape[-1] for number in operations)
        return Cell(
            kind="residual",
            kernels=kernels,
            activation="silu" if "_ops.0.bn_act.weight" in item else "elu",
            batch_norm="_ops.0.bn_act.weight" in item or "_ops.0.bn.bn.weight" in item,
            squeeze_excitation=gate,
        )
    if count(item, "_ops.") != 1:
        raise ValueError("cells of several inverted residuals are not supported")
    offset = _offset(item)
    expand, depthwise = item[f"_ops.0.conv.{offset + 1}.conv.0.weight"], item[f"_ops.0.conv.{offset + 2}.conv.0.weight"]
    return Cell(
        kind="inverted",
        kernels=(depthwise.shape[-1],),
        expansion=expand.shape[0] // expand.shape[1],
        group_width=depthwise.shape[1],
        squeeze_excitation=gate,
    )


def _offset(item: Item) -> int:
    """1 where the inverted residual starts with an upsampling."""
    return 0 if "_ops.0.conv.0.bn.weight" in item else 1


def _cell_names(item: Item) -> Item:
    layers: dict[str, str] = {}
    if "_ops.0.conv_0.weight" in item:
        doubles = "skip.1.weight" in item
        normalised = any(name.startswith("_ops.0.bn") for name in item)
        end = 0
        for number in indices(item, "_ops."):
            layers |= {f"_ops.{number}.{norm}.": f"branch.{end}." for norm in ("bn_act", "bn.bn")}
            # Behind the norm an activation, and at first an upsampling.
            end += normalised + 1 + (doubles and number == 0)
            layers[f"_ops.{number}.conv_0."] = f"branch.{end}."
            end += 1
    else:
        offset = _offset(item)
        parts = ("0.bn", "1.conv.0", "1.conv.1", "2.conv.0", "2.conv.1", "3", "4.bn")
        for part, position in zip(parts, (0, 1, 2, 4, 5, 7, 8), strict=True):
            place, _, rest = part.partition(".")
            source = f"_ops.0.conv.{int(place) + offset}." + (f"{rest}." if rest else "")
            layers[source] = f"branch.{position + offset}."
        end = 9 + offset
    layers |= {"se.se.0.": f"branch.{end}.squeeze.", "se.se.2.": f"branch.{end}.excite.", "skip.1.": "skip.1."}
    layers |= {f"skip.conv_{number}.": f"skip.convolutions.{number - 1}." for number in (1, 2, 3, 4)}
    return {_replaced(name, layers): tensor for name, tensor in item.items()}


def _replaced(name: str, layers: dict[str, str]) -> str:
    for source, ours in layers.items():
        if name.startswith(source):
            return ours + name[len(source) :]
    raise ValueError(f"unknown tensor '{name}' in a cell")


def _flow_names(item: Item) -> Item:
    layers = {"conv.convz.0.": "0.", "conv.convz.2.": "2.", "mu.conv_0.": "5.", "mu.": "5."}
    return {_replaced(name, layers): tensor for name, tensor in item.items()}


def _flows(state: State, latents: int) -> dict[str, Any]:
    cells = count(state, "nf_cells.")
    if cells == 0:
        return {}
    if cells % latents:
        raise ValueError(f"{cells} pairs of flows for {latents} latents")
    layers = _flow_names(below(state, "nf_cells.0.cell1"))
    filters = [layers[f"{number}.weight"] for number in (0, 2, 5)]
    hidden, channels = filters[0].shape[:2]
    return {
        "flows": cells // latents,
        "flow_kernels": tuple(weight.shape[-1] for weight in filters),
        "flow_expansion": hidden // channels,
        "flow_depthwise": filters[1].shape[1] == 1,
        "flow_weight_norm": "0.log_weight_norm" in layers,
    }
