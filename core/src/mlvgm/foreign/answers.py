"""Answers of purifiers and classifiers, checked: a wrong one is an error that names who gave it, never a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mlvgm.errors import PluginError
from mlvgm.foreign.others import NotFinite

if TYPE_CHECKING:
    from mlvgm.protocols.classifier import Classifier
    from mlvgm.protocols.purifier import Purifier


def check_purified(purified: Tensor, images: Tensor, *, draws: int, purifier: Purifier) -> None:
    """Refuse purified images that are not ``draws`` of the given ones' size and type.

    Raises:
        PluginError: they are not, with the purifier's name.
    """
    expected = (draws, *images.shape[1:])
    if not isinstance(purified, Tensor) or purified.shape != expected or purified.dtype != images.dtype:
        came = described(purified)
        raise PluginError(f"purifier {_name(purifier)}: expected images {_words(images.dtype, expected)}, got {came}")


def check_pixels(images: Tensor, *, purifier: Purifier | None) -> None:
    """Refuse images with NaN or infinite pixels, in the name of ``purifier`` or, where there is none, of the attack.

    Raises:
        PluginError: there are some.
    """
    if not bool(images.detach().isfinite().all()):
        giver = "what attacks the classifier" if purifier is None else f"purifier {_name(purifier)}"
        raise PluginError(f"{giver} gives images with NaN or infinite pixels")


def check_logits(logits: Tensor, images: Tensor, *, classifier: Classifier) -> None:
    """Refuse what are no finite logits of ``images``.

    Args:
        logits: what ``classifier`` gave for ``images``.
        images: (N, C, H, W), as it got them.
        classifier: says how many classes there are.

    Raises:
        PluginError: they are of another shape or type.
        NotFinite: NaN or infinity is among them.
    """
    expected = (len(images), getattr(classifier, "classes", logits.shape[-1] if isinstance(logits, Tensor) else 0))
    if not isinstance(logits, Tensor) or logits.shape != expected or not logits.is_floating_point():
        text = f"expected logits {_words(images.dtype, expected)}, got {described(logits)}"
        raise PluginError(f"classifier {_name(classifier)}: {text}")
    if not bool(logits.detach().isfinite().all()):
        raise NotFinite(f"classifier {_name(classifier)}")


def described(found: object) -> str:
    """What something is, in words.

    >>> described(torch.zeros(2, 3)), described(None)
    ('float32 (2, 3)', 'None')
    """
    if isinstance(found, Tensor):
        return _words(found.dtype, tuple(found.shape))
    return "None" if found is None else f"a {type(found).__name__}"


def _words(dtype: torch.dtype, shape: tuple[int, ...]) -> str:
    return f"{str(dtype).removeprefix('torch.')} {shape}"


def _name(component: object) -> str:
    named = component if hasattr(component, "__qualname__") else type(component)
    return f"{named.__module__}.{named.__qualname__}"
