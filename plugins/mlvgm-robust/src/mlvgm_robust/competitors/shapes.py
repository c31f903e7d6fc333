"""Images a competitor's network was not made for are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlvgm.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def check_shape(images: Tensor, expected: tuple[int, int, int], *, name: str) -> None:
    """Refuse images that ``name`` was not made for.

    Raises:
        InputError: another shape.
    """
    if tuple(images.shape[1:]) != expected:
        raise InputError(
            f"purifier '{name}' works on images {expected}, came {tuple(images.shape[1:])}",
            hint=f"train another with `mlvgm train purifier {name}`",
        )
