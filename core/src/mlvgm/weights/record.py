"""What is left of an object whose class is not there: its name and its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Record:
    """An object of a class, without the class: what a pickle says of it, inert.

    Args:
        name: of the class (``"SynthesisNetwork"`` for a persistence object, else with its module:
            ``"argparse.Namespace"``).
        state: its attributes.
    """

    name: str
    state: Mapping[str, Any]
