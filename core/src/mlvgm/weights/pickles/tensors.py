"""Tensors from storages: every size, stride and offset is checked against what the file holds.

A storage is a flat contiguous tensor.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from mlvgm.weights.pickles.budget import Context, Refused
from mlvgm.weights.pickles.scalars import Global, printable

_DIMENSIONS = 32
_LARGEST = 1 << 60
_STORAGES = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128,
}  # fmt: skip
_OTHERS = (torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2)
_DTYPES = {
    **{f"torch.{name}Storage": dtype for name, dtype in _STORAGES.items()},
    **dict.fromkeys(("torch.storage.UntypedStorage", "torch.UntypedStorage"), torch.uint8),
    **{str(dtype): dtype for dtype in (*_STORAGES.values(), *_OTHERS)},
}


def dtype_of(kind: Any) -> torch.dtype:
    """The dtype that a storage class or a dtype's name stands for.

    Raises:
        Refused: none.
    """
    found = _DTYPES.get(kind.name) if isinstance(kind, Global) else None
    if found is None:
        name = printable(kind.name) if isinstance(kind, Global) else type(kind).__name__
        raise Refused(f"has numbers of the unknown type {name}")
    return found


def whole(value: Any) -> int:
    """``value`` as a size or offset.

    Raises:
        Refused: no integer from 0 to 2⁶⁰.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise Refused("has a size, stride or offset that is no whole number in range")
    return value


def typed(raw: Tensor, dtype: torch.dtype, count: int) -> Tensor:
    """The first ``count`` numbers of ``dtype`` in the bytes ``raw``.

    Raises:
        Refused: there are not so many.
    """
    if count * dtype.itemsize > len(raw):
        raise Refused(f"has a storage of {len(raw):,} bytes where {count:,} numbers of {dtype} should be")
    content = raw[: count * dtype.itemsize]
    # A byte that is neither 0 nor 1 is no bool.
    return content != 0 if dtype == torch.bool else content.view(dtype)


def rebuild(context: Context, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """The tensor of ``size`` with ``stride`` from ``offset`` on in ``storage``; gradients and hooks are left out.

    Raises:
        Refused: it reaches outside the storage, or is far larger than the file.
    """
    if not isinstance(storage, Tensor) or storage.ndim != 1 or not storage.is_contiguous():
        raise Refused("has a tensor without storage")
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or not len(size) == len(stride) <= _DIMENSIONS:
        raise Refused("has a tensor whose sizes and strides do not agree")
    start, sizes, strides = whole(offset), [whole(n) for n in size], [whole(n) for n in stride]
    context.budget.spend(prod(max(1, n) for n in sizes) * storage.itemsize)
    if 0 in sizes:
        return storage.new_empty(sizes)
    last = start + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    if last >= len(storage):
        raise Refused(f"has a tensor that reaches to number {last:,} of a storage with {len(storage):,}")
    return storage.as_strided(sizes, strides, storage.storage_offset() + start)


def rebuild_with_dtype(
    context: Context, storage: Any, offset: Any, size: Any, stride: Any, gradient: Any, hooks: Any, dtype: Any, *_: Any
) -> Tensor:
    """:func:`rebuild` from a storage of bytes."""
    if not isinstance(storage, Tensor) or storage.dtype != torch.uint8 or storage.ndim != 1:
        raise Refused("has a tensor without storage")
    kind = dtype_of(dtype)
    return rebuild(context, typed(storage.contiguous(), kind, len(storage) // kind.itemsize), offset, size, stride)


def parameter(context: Context, tensor: Any, *_: Any) -> Tensor:
    """The tensor of a parameter."""
    if not isinstance(tensor, Tensor):
        raise Refused("has a parameter without tensor")
    return tensor
