"""Arrays and scalars of numpy: numbers only, as tensors and Python numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlvgm.weights.pickles.budget import Context, Refused
from mlvgm.weights.pickles.scalars import printable
from mlvgm.weights.pickles.tensors import whole

_NUMBERS = re.compile(r"[<>|=]?([?]|b1|[iu][1248]|f[248]|c8|c16)")
_DIMENSIONS = 32


@dataclass
class DType:
    """The type of numbers in an array.

    Args:
        code: of numpy, with its byte order first once that is known.
    """

    code: str

    def build(self, context: Context, state: Any) -> None:
        """Take the byte order from the state of a dtype, ``(version, order, …)``."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if not isinstance(order, str) or order not in ("<", ">", "|", "="):
            raise Refused("has an array of unknown byte order")
        self.code = order + self.code.lstrip("<>|=")


@dataclass
class Array:
    """An array that gets its numbers after it was made.

    Args:
        tensor: of its numbers, native byte order; None before that.
    """

    tensor: Tensor | None = None

    def build(self, context: Context, state: Any) -> None:
        """Take the numbers from the state of an array, ``(version, shape, dtype, columns first, content)``."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise Refused("has an array of unknown state")
        shape, kind, columns_first, content = state[-4:]
        self.tensor = _tensor(
            context, content, kind, shape, columns_first=isinstance(columns_first, int) and columns_first != 0
        )


def dtype(context: Context, code: Any, *_: Any) -> DType:
    """``numpy.dtype``.

    Raises:
        Refused: not of numbers.
    """
    if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
        shown = printable(code) if isinstance(code, str) else type(code).__name__
        raise Refused(f"has an array of '{shown}', which is no type of numbers")
    return DType(code)


def reconstruct(context: Context, *_: Any) -> Array:
    """The empty array that pickles start from."""
    return Array()


def from_buffer(context: Context, content: Any, kind: Any, shape: Any, order: Any = "C", *_: Any) -> Array:
    """An array of protocol 5."""
    return Array(_tensor(context, content, kind, shape, columns_first=isinstance(order, str) and order == "F"))


def scalar(context: Context, kind: Any, content: Any) -> Any:
    """A scalar as a Python number."""
    return _tensor(context, content, kind, (), columns_first=False).item()


def _tensor(context: Context, content: Any, kind: Any, shape: Any, *, columns_first: bool) -> Tensor:
    if isinstance(content, str):  # bytes of Python 2
        content = content.encode("latin-1")
    if not isinstance(content, bytes) or not isinstance(kind, DType) or not isinstance(shape, tuple):
        raise Refused("has an array of something that is no numbers")
    sizes = [whole(n) for n in shape]
    numbers = np.dtype(kind.code)
    if len(sizes) > _DIMENSIONS or prod(sizes) * numbers.itemsize != len(content):
        raise Refused(f"has an array of {len(content):,} bytes that does not fill its shape")
    context.budget.spend(prod(max(1, n) for n in sizes) * numbers.itemsize)
    values = np.frombuffer(content, numbers).reshape(sizes, order="F" if columns_first else "C")
    if numbers == np.bool_:
        values = values.view(np.uint8) != 0
    return torch.from_numpy(np.array(values, dtype=numbers.newbyteorder("="), order="C"))
