"""Which single values are admitted, and which of them as keys."""

from __future__ import annotations

from typing import Any

from mlvgm.weights.pickles.budget import Refused

_INTEGER_BITS = 1024
_KEY_BITS = 60
_SHOWN = 120


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
