"""The IDX format of the MNIST family (http://yann.lecun.com/exdb/mnist): a magic number, the shape, then bytes."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlvgm.errors import InputError

_UNSIGNED_BYTES = 0x08


def read_idx(file: Path) -> Tensor:
    """Read a file of unsigned bytes, gzipped or plain.

    Args:
        file: ``*-ubyte.gz`` or ``*-ubyte``.

    Returns:
        uint8 tensor of the shape the header states.

    Raises:
        InputError: the file is missing, truncated or not IDX.
    """
    hint = "fetch the data set again, for example with `make data`"
    try:
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"expected an IDX file, {file} does not read: {error}", hint=hint) from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UNSIGNED_BYTES:
        raise InputError(f"expected an IDX file of unsigned bytes, {file} is not one", hint=hint)
    start = 4 + 4 * raw[3]
    shape = np.frombuffer(raw[4:start], dtype=">u4").tolist()
    values = np.frombuffer(raw, dtype=np.uint8, offset=min(start, len(raw)))
    if values.size != np.prod(shape, dtype=np.int64):
        raise InputError(f"expected {shape} bytes in {file}, came {values.size}", hint=hint)
    return torch.from_numpy(values.copy()).reshape(shape)


def write_idx(values: Tensor) -> bytes:
    """The uncompressed file of a uint8 tensor."""
    shape = np.asarray(values.shape, dtype=">u4")
    return bytes([0, 0, _UNSIGNED_BYTES, values.ndim]) + shape.tobytes() + values.numpy().tobytes()
