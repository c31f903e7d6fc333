"""What a pickle is read in: how much work and memory it may ask for, which follow from its size, and its storages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

_OPCODES = 4_000_000
_OPCODES_PER_FILE = 1000
_BYTES_PER_BYTE = 8
_SPARE_BYTES = 64 << 20
_DEPTH = 4


class Refused(Exception):
    """The file is damaged or hostile; the message says what is wrong with it."""


@dataclass
class _Left:
    opcodes: int
    memory: int


@dataclass(frozen=True)
class Budget:
    """What one file may still ask for, files nested in it included.

    Args:
        size: of the file, bytes.
        depth: files around this one.
    """

    size: int
    depth: int = 0
    _left: _Left = field(default_factory=lambda: _Left(_OPCODES, _SPARE_BYTES))

    @classmethod
    def of(cls, size: int) -> Self:
        """The budget of a file of ``size`` bytes."""
        return cls(size, 0, _Left(_OPCODES, _BYTES_PER_BYTE * size + _SPARE_BYTES))

    def deeper(self) -> Self:
        """The same budget inside a nested file, which costs as much as many opcodes.

        Raises:
            Refused: nested too deeply.
        """
        if self.depth == _DEPTH:
            raise Refused(f"has files nested more than {_DEPTH} deep")
        self.step(_OPCODES_PER_FILE)
        return replace(self, depth=self.depth + 1)

    def step(self, count: int = 1) -> None:
        """Take ``count`` opcodes, or as many items copied.

        Raises:
            Refused: there are too many.
        """
        self._left.opcodes -= count
        if self._left.opcodes < 0:
            raise Refused(f"has more than {_OPCODES:,} pickled values, too many for a checkpoint")

    def spend(self, memory: int) -> None:
        """Take ``memory`` bytes for a copy, a tensor or an array.

        Raises:
            Refused: the file asks for far more than its size.
        """
        self._left.memory -= memory
        if self._left.memory < 0:
            raise Refused(f"asks for far more memory than its {self.size:,} bytes can fill")


def _no_storages(identity: Any) -> Any:
    raise Refused("refers to data outside the pickle")


@dataclass(frozen=True)
class Context:
    """What a pickle is read in.

    Args:
        budget: what it may ask for.
        load_bytes: reads a file nested in it.
        persistent: from the identity of a storage to the storage.
    """

    budget: Budget
    load_bytes: Callable[[bytes], Any]
    persistent: Callable[[Any], Any] = _no_storages
