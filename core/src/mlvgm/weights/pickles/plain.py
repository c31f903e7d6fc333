"""From the machine's terms to plain data: a tree that is neither deep nor endless, whoever walks it."""

from __future__ import annotations

from typing import Any

from mlvgm.weights.pickles.arrays import Array, DType
from mlvgm.weights.pickles.budget import Refused
from mlvgm.weights.pickles.scalars import Global
from mlvgm.weights.record import Record

_DEPTH = 200
_NODES = 10_000_000


def plain(value: Any) -> Any:
    """``value`` without anything of the machine's; parts that were shared still are.

    Raises:
        Refused: it contains itself, is nested too deeply, or becomes huge when shared parts are counted each time.
    """
    return _Plain().of(value, 0)[0]


class _Plain:
    def __init__(self) -> None:
        # By identity; the whole is alive all the time.
        self.done: dict[int, tuple[Any, int]] = {}
        self.open: set[int] = set()

    def of(self, value: Any, depth: int) -> tuple[Any, int]:
        """The plain value and the number of values in it."""
        if isinstance(value, Array):
            if value.tensor is None:
                raise Refused("has an array without numbers")
            return value.tensor, 1
        if isinstance(value, Global):
            return value.name if value.name.startswith("torch.") else Record(value.name, {}), 1
        if isinstance(value, DType):
            return value.code, 1
        if not isinstance(value, list | tuple | dict | Record):
            return value, 1
        known = self.done.get(id(value))
        if known is None:
            if id(value) in self.open:
                raise Refused("contains itself")
            if depth == _DEPTH:
                raise Refused(f"is nested more than {_DEPTH} deep")
            self.open.add(id(value))
            known = self.done[id(value)] = self.container(value, depth + 1)
            self.open.remove(id(value))
            if known[1] > _NODES:
                raise Refused("repeats its parts too often")
        return known

    def container(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, Record):
            state, size = self.of(value.state, depth)
            return Record(value.name, state), size + 1
        items, total = [], 1
        for item in value.values() if isinstance(value, dict) else value:
            converted, size = self.of(item, depth)
            items.append(converted)
            total += size
        if isinstance(value, dict):
            return dict(zip(value, items, strict=True)), total
        return items if isinstance(value, list) else tuple(items), total
