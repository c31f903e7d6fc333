"""NVlabs/NVAE's cells: what they are made of, and this package's names of their tensors."""

from __future__ import annotations

from torch import Tensor

from mlvgm_nvae.architecture import Cell
from mlvgm_nvae.loaders.common import count, indices

Item = dict[str, Tensor]


def cell_of(item: Item) -> Cell:
    """What a cell is made of.

    Raises:
        KeyError, ValueError: it is of an unknown kind.
    """
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


def cell_names(item: Item) -> Item:
    """The tensors of a cell under the names of :class:`~mlvgm_nvae.cells.ResidualCell`."""
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


def flow_names(item: Item) -> Item:
    """The tensors of a flow's cell under this package's names."""
    layers = {"conv.convz.0.": "0.", "conv.convz.2.": "2.", "mu.conv_0.": "5.", "mu.": "5."}
    return {_replaced(name, layers): tensor for name, tensor in item.items()}
