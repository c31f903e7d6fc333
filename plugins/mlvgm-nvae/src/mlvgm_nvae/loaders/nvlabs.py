"""Key layout of NVlabs/NVAE, and what the arguments of its training add to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.arguments import check, option, whole
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.loaders.common import State, below, mixture_order, reorder_head
from mlvgm_nvae.loaders.nvlabs_cells import Item, cell_names, flow_names
from mlvgm_nvae.loaders.nvlabs_towers import infer, items, read_decoder, read_encoder

LAYOUT = "NVlabs/NVAE"

_PARTS = (
    "prior_ftr0", "stem", "pre_process", "enc_tower", "enc0", "enc_sampler", "dec_sampler", "nf_cells", "dec_tower",
    "post_process", "image_conditional",
)  # fmt: skip
# Encoder cells of these have dilated kernels, which their tensors do not tell.
_DILATIONS = {"res53_mbconv": (2, 1), "res35_mbconv": (1, 2), "res55_mbconv": (2, 2)}


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
    encoder, decoder = read_encoder(state), read_decoder(state)
    architecture = _with_options(infer(state, encoder, decoder), options, path=path)
    ours: dict[str, Tensor] = {"decoder.constant": state["prior_ftr0"].unsqueeze(0)}

    def put(item: Item, prefix: str, rename: Callable[[Item], Item] = dict) -> None:
        for name, tensor in rename(item).items():
            gain = name.endswith("log_weight_norm")
            key = f"{prefix}.{name.replace('log_weight_norm', 'gain')}"
            ours[key] = tensor.exp() if gain else tensor

    put(below(state, "stem"), "encoder.stem.convolution")
    for number, item in enumerate(items(state, "pre_process")):
        put(item, f"encoder.preprocess.{number}", cell_names)
    for scale, groups in enumerate(reversed(encoder.scales)):
        for group, cells in enumerate(groups):
            for number, item in enumerate(cells):
                put(item, f"encoder.scales.{scale}.{group}.{number}", cell_names)
    for scale, item in enumerate(reversed(encoder.downs)):
        put(item, f"encoder.downs.{scale}", cell_names)
    put(below(state, "enc0.1"), "decoder.groups.0.posterior_parameters.feature.1")
    for latent, item in enumerate(reversed(encoder.combiners), start=1):
        put(below(item, "conv"), f"decoder.groups.{latent}.posterior_parameters.state")
    for latent in range(sum(architecture.groups)):
        prefix = f"decoder.groups.{latent}"
        put(below(state, f"enc_sampler.{latent}"), f"{prefix}.posterior_parameters.parameters_of")
        if latent:
            put(below(state, f"dec_sampler.{latent - 1}.1"), f"{prefix}.prior_parameters.1")
        for number, item in enumerate(decoder.cells[latent]):
            put(item, f"{prefix}.cells.{number}", cell_names)
        put(below(decoder.combiners[latent], "conv"), f"{prefix}.enter")
        for pair in range(architecture.flows):
            source = below(state, f"nf_cells.{latent * architecture.flows + pair}")
            put(below(source, "cell1"), f"{prefix}.flow.{2 * pair}.shift", flow_names)
            put(below(source, "cell2"), f"{prefix}.flow.{2 * pair + 1}.shift", flow_names)
    for number, item in enumerate(items(state, "post_process")):
        put(item, f"decoder.postprocess.{number}", cell_names)
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
