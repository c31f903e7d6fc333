"""PyTorch's file format before 1.6: several pickles, then the storages one after the other."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import torch
from torch import Tensor

from mlvgm.weights.pickles.budget import Context, Refused
from mlvgm.weights.pickles.opcodes import run
from mlvgm.weights.pickles.tensors import dtype_of, typed, whole

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def is_legacy(first: Any) -> bool:
    """``first`` is the number that the first pickle of such a file holds."""
    return isinstance(first, int) and first == _MAGIC


def read_legacy(file: BytesIO, context: Context) -> Any:
    """The data in a file whose first pickle has been read.

    Raises:
        Refused: its pickle is refused, or its storages are not all there.
    """
    if run(file, context) != _PROTOCOL:
        raise Refused("has an unknown version of PyTorch's legacy format")
    system = run(file, context)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("was not written on a little-endian machine")
    storages: dict[str, Tensor] = {}

    def storage(identity: Any) -> Any:
        if not isinstance(identity, tuple) or len(identity) < 2:
            raise Refused("refers to something that is no storage")
        if identity[0] == "module":  # the class of a network, with its source text
            return identity[1]
        if len(identity) not in (5, 6) or identity[0] != "storage" or not isinstance(identity[2], str):
            raise Refused("refers to something that is no storage")
        key, count, dtype = identity[2], whole(identity[4]), dtype_of(identity[1])
        if key not in storages:
            context.budget.spend(count * dtype.itemsize)
            storages[key] = torch.zeros(count, dtype=dtype)
        found = storages[key]
        if found.dtype != dtype:
            raise Refused("has a storage of two types")
        return found if len(identity) == 5 or identity[5] is None else _part(found, identity[5])

    value = run(file, replace(context, persistent=storage))
    keys = run(file, context)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or {*keys} != storages.keys():
        raise Refused("lists other storages than its tensors have")
    for key in keys:
        _fill(file, storages[key])
    return value


def _part(storage: Tensor, view: Any) -> Tensor:
    """The part of a storage that ``(key, offset, size)`` describes."""
    if not isinstance(view, tuple) or len(view) != 3:
        raise Refused("has an unknown view of a storage")
    offset, size = whole(view[1]), whole(view[2])
    if offset + size > len(storage):
        raise Refused("has a view that reaches outside its storage")
    return storage[offset : offset + size]


def _fill(file: BytesIO, storage: Tensor) -> None:
    head = file.read(8)
    count = int.from_bytes(head, "little", signed=True)
    if len(head) < 8 or count != len(storage):
        raise Refused(f"has a storage of {count:,} numbers where {len(storage):,} should be")
    content = bytearray(file.read(count * storage.itemsize))
    if len(content) < count * storage.itemsize:
        raise Refused("ends inside its numbers")
    if content:
        storage.copy_(typed(torch.frombuffer(content, dtype=torch.uint8), storage.dtype, count))
