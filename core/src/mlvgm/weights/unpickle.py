"""A restricted unpickler: tensors and plain containers in, inert records for everything else, nothing executed.

Python's ``pickle`` imports and calls whatever a file names. Here the opcodes are decoded by the standard library's
:mod:`pickletools`, which only reads, and carried out by a small machine of our own
(:mod:`mlvgm.weights.pickles.machine`) that knows plain containers and a closed table of functions
(:mod:`mlvgm.weights.pickles.admitted`). No name in a file is ever imported. A file that calls anything else is refused.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from mlvgm.errors import InputError
from mlvgm.weights.pickles.budget import Budget, Context, Refused
from mlvgm.weights.pickles.opcodes import run
from mlvgm.weights.pickles.plain import plain
from mlvgm.weights.pickles.scalars import printable
from mlvgm.weights.pickles.torch_legacy import is_legacy, read_legacy
from mlvgm.weights.pickles.torch_zip import is_zip, read_zip
from mlvgm.weights.record import Record

__all__ = ["Record", "unpickle"]

_AGAIN = "fetch the file again from its authors, or ask them for safetensors"


def unpickle(path: Path) -> Any:
    """The plain data in a pickle or PyTorch file; nothing in it is executed.

    Read are PyTorch's zip and legacy files and plain pickles of any protocol. Time and memory are bounded by the size
    of the file.

    Returns:
        dicts (also for their subclasses), lists, tuples (also for ``torch.Size``), sets, strings (also for dtypes,
        devices and paths), bytes, numbers, None, tensors on the CPU (also for storages and numpy arrays), and a
        :class:`Record` for every object of another class: persistence objects by their class name, others by module
        and class. There are no cycles in it.

    Raises:
        InputError: missing, damaged, truncated, hostile or too large.
    """
    if not path.is_file():
        raise InputError(f"checkpoint '{path}' does not exist or is not a file")
    try:
        with path.open("rb") as file:
            budget = Budget.of(os.fstat(file.fileno()).st_size)
            return plain(_read(file, budget))
    except Refused as error:
        raise InputError(f"{path}: refused, it {error}", hint=_AGAIN) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory") from error
    except Exception as error:  # a damaged pickle fails with whatever it happens to contain
        reason = printable(f"{type(error).__name__}: {error}")
        raise InputError(f"{path}: damaged, or no pickle or PyTorch file ({reason})", hint=_AGAIN) from error


def _read(file: BinaryIO, budget: Budget) -> Any:
    """The data in ``file``, in the machine's terms."""

    def load_bytes(content: bytes) -> Any:
        return _read(BytesIO(content), budget.deeper())

    context = Context(budget, load_bytes)
    if is_zip(file):
        return read_zip(file, context)
    content = BytesIO(file.read())
    first = run(content, context)
    return read_legacy(content, context) if is_legacy(first) else first
