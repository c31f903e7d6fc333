"""Single values: which are admitted, which of them as keys, and globals, of which only the name is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from mlvgm.weights.pickles.budget import Refused

_INTEGER_BITS = 1024
_KEY_BITS = 60
_SHOWN = 120
# What modules were called in Python 2 and in other versions of numpy and PyTorch.
_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "pathlib._local": "pathlib",
    "torch.cuda": "torch",
}


@dataclass(frozen=True)
class Global:
    """A class or function that is not there.

    Args:
        name: with its module, ``"collections.OrderedDict"``.
    """

    name: str

    @classmethod
    def of(cls, module: str, attribute: str) -> Self:
        """The name of ``attribute`` in ``module``, in its present form."""
        return cls(f"{_MODULES.get(module, module)}.{attribute}")


def check_scalar(value: Any) -> Any:
    """The same value.

    Raises:
        Refused: an integer of absurd size, or text that is no Unicode.
    """
    if isinstance(value, int) and value.bit_length() > _INTEGER_BITS:
        raise Refused(f"has an integer of {value.bit_length():,} bits")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Refused("has text that is no Unicode") from error
    return value


def check_key(key: Any) -> Any:
    """The same value, if it may be a key.

    Containers may not: hashing a nested tuple takes the stack, a shared one exponential time. Nor may integers so large
    that many of them hash alike.

    Raises:
        Refused: a container, or a large integer.
    """
    if isinstance(key, int):
        if key.bit_length() > _KEY_BITS:
            raise Refused(f"has a key of {key.bit_length():,} bits")
    elif not isinstance(key, str | bytes | float | None):
        raise Refused(f"has a key of type {type(key).__name__}")
    return key


def printable(text: str) -> str:
    """``text`` for a message: ASCII, on one line, and short."""
    shown = text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
