"""Checkpoints of other sizes, made of the reference data's own tensors so that their outputs are still known.

Every addition is the identity: a residual branch times zero, a flow that shifts by zero, a latent that the decoder
lets pass. Names and ranks are those of the stored files; nothing here knows the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

State = dict[str, Tensor]
Item = dict[str, Tensor]


def split(state: State, prefix: str) -> list[Item]:
    """The entries of a numbered list, in its order."""
    start = f"{prefix}."
    numbers = sorted({int(name.split(".")[1]) for name in state if name.startswith(start)})
    return [
        {name.removeprefix(f"{start}{n}."): t for name, t in state.items() if name.startswith(f"{start}{n}.")}
        for n in numbers
    ]


def joined(state: State, prefix: str, items: list[Item]) -> State:
    """``state`` with another numbered list."""
    rest = {name: tensor for name, tensor in state.items() if not name.startswith(f"{prefix}.")}
    numbered = [(f"{prefix}.{number}.{name}", t) for number, item in enumerate(items) for name, t in item.items()]
    return rest | {name: tensor.clone() for name, tensor in numbered}


# --- NVlabs ----------------------------------------------------------------------------------------------------------


def _resizes(item: Item) -> bool:
    return any(name.startswith("skip.") for name in item)


def _combines(item: Item) -> bool:
    return "conv.weight" in item


def _plain(item: Item) -> bool:
    return not _resizes(item) and not _combines(item)


def identity_cell(item: Item) -> Item:
    """A cell of the kind of ``item`` whose branch is zero."""
    last = max(name.split(".")[1] for name in item if name.startswith("_ops."))
    silent = {f"_ops.{last}.conv_0.log_weight_norm": -200.0, f"_ops.{last}.conv_0.bias": 0.0}
    silent |= {f"_ops.0.conv.4.bn.{part}": 0.0 for part in ("weight", "bias")}
    return {name: torch.full_like(t, silent[name]) if name in silent else t for name, t in item.items()}


def with_cells(state: State, *towers: str) -> State:
    """One more cell in each group, or block, of ``towers``."""
    for tower in towers:
        items: list[Item] = []
        for item in split(state, tower):
            # The cells of a preprocessing block end in the one that resizes.
            items += [identity_cell(item), item] if _plain(item) else [item]
        state = joined(state, tower, items)
    return state


def with_flows(state: State) -> State:
    """A second pair of flows behind each latent's, which shifts by zero."""
    pairs: list[Item] = []
    for pair in split(state, "nf_cells"):
        silent = {".mu.conv_0.log_weight_norm": -200.0, ".mu.conv_0.bias": 0.0}
        values = {name: silent.get(name.removeprefix(name[:5])) for name in pair}
        pairs += [pair, {n: t if (v := values[n]) is None else torch.full_like(t, v) for n, t in pair.items()}]
    return joined(state, "nf_cells", pairs)


def with_latent(state: State) -> State:
    """One more latent at the finest scale, after all others, which the decoder lets pass."""
    encoder, decoder = split(state, "enc_tower"), split(state, "dec_tower")
    cell = next(item for item in encoder if _plain(item))
    combiner = next(item for item in encoder if _combines(item))
    # The first encoder group meets the last latent.
    first = [identity_cell(cell)] * next(i for i, item in enumerate(encoder) if _combines(item))
    encoder = [*first, combiner, *encoder]
    ends = [i for i, item in enumerate(decoder) if _combines(item)]
    cells = [item for item in decoder[ends[-2] + 1 : ends[-1]] if _plain(item)]
    decoder += [*map(identity_cell, cells), passing(decoder[-1])]
    state = joined(joined(state, "enc_tower", encoder), "dec_tower", decoder)
    for sampler in ("enc_sampler", "dec_sampler"):
        state = joined(state, sampler, [*split(state, sampler), split(state, sampler)[-1]])
    flows = split(state, "nf_cells")
    return joined(state, "nf_cells", [*flows, *flows[-1:]])


def passing(item: Item) -> Item:
    """A combiner that ignores the latent: its filters are the unit vectors of the state, of length 1."""
    width, inputs = item["conv.weight"].shape[:2]
    weight = torch.eye(width, inputs)[:, :, None, None]
    # Their norm has 1e-5 added.
    gain = torch.full_like(item["conv.log_weight_norm"], 1e-5).log1p()
    return {"conv.weight": weight, "conv.log_weight_norm": gain, "conv.bias": torch.zeros(width)}


def without_gates(state: State) -> State:
    """As trained without ``use_se``."""
    return {name: tensor for name, tensor in state.items() if ".se.se." not in name}


def without_flows(state: State) -> State:
    """As trained with ``num_nf`` 0."""
    return {name: tensor for name, tensor in state.items() if not name.startswith("nf_cells.")}


def grey(state: State) -> State:
    """As trained on binary images of one channel."""
    head = {name: tensor[:1] for name, tensor in state.items() if name.startswith("image_conditional.")}
    return {**state, **head, "stem.weight": state["stem.weight"][:, :1].contiguous()}


def with_norms_renamed(state: State) -> State:
    """As trained with ``res_bnelu`` cells, whose norms have another name."""
    return {name.replace(".bn_act.", ".bn.bn."): tensor for name, tensor in state.items()}


def without_norms(state: State) -> State:
    """As trained with ``res_elu`` cells."""
    return {name: tensor for name, tensor in state.items() if ".bn_act." not in name}


# --- SerezD ----------------------------------------------------------------------------------------------------------


def serez_with_group(state: State, *, scale: int) -> State:
    """One more group in ``scale``, after all others, which encoder and decoder let pass."""
    count = len({name.split(".")[1] for name in state if name.startswith(f"decoder_combiners.combiner_{scale}:")})
    names = (rf"(scale_{scale}\.group_){count - 1}\.", rf"((?:combiner|sampler)_{scale}:){count - 1}\.")
    added: State = {}
    for name, tensor in state.items():
        for pattern in names:
            renamed, hits = re.subn(pattern, rf"\g<1>{count}.", name)
            if hits:
                added[renamed] = tensor.clone()
    for name, tensor in added.items():
        if ".residual.5.parametrizations.weight.original0" in name or ".residual.5.bias" in name:
            tensor.zero_()
        if ".residual.8." in name and name.endswith((".weight", ".bias")):
            tensor.zero_()
        if name.startswith("decoder_combiners."):
            made = {"original0": torch.ones_like, "bias": torch.zeros_like, "original1": _unit_vectors}
            tensor.copy_(made[name.rpartition(".")[2]](tensor))
    return {**state, **added}


def _unit_vectors(weight: Tensor) -> Tensor:
    return torch.eye(*weight.shape[:2])[:, :, None, None]


def serez_without_gates(state: State) -> State:
    """As trained without squeeze and excitation."""
    return {name: tensor for name, tensor in state.items() if "linear_" not in name}


def serez_with_flows(state: State, *, latent: int) -> State:
    """One pair of flows behind each latent of ``latent`` channels, of the published names and masks."""
    generator = torch.Generator().manual_seed(0)
    hidden = 6 * latent
    shapes = {0: (hidden, latent, 3, 3), 2: (hidden, hidden, 5, 5), 4: (latent, hidden, 1, 1)}
    added: State = {}
    for name in [name for name in state if re.fullmatch(r"enc_sampler\.sampler_\d+:\d+\.bias", name)]:
        for cell in ("cell1", "cell2"):
            for layer, shape in shapes.items():
                # Positions before the centre in reading order; the first layer keeps the centre.
                mask = torch.zeros(shape[2] * shape[3])
                mask[: len(mask) // 2 + (layer == 0)] = 1
                mask = mask.view(shape[2:]).flip(0, 1) if cell == "cell2" else mask.view(shape[2:])
                start = f"nf_cells.nf_{name.split('_')[2].removesuffix('.bias')}.0.{cell}.layers.{layer}"
                added |= {
                    f"{start}.mask": mask.expand(shape).clone(),
                    f"{start}.weight": mask * torch.randn(shape, generator=generator),
                    f"{start}.bias": torch.randn(shape[0], generator=generator),
                }
    return {**state, **added}


Change = Callable[[State], State]
