"""Code of other people, called with care: nothing it prints or raises gets past unnamed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from mlvgm.errors import InputError, Interruption, MlvgmError

if TYPE_CHECKING:
    from torch import Tensor


class BadAnswer(InputError):
    """A module fails, or answers with something else than logits: nothing that is said about it counts."""


class NotFinite(BadAnswer):
    """A module gives NaN or infinite logits."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} gives NaN or infinite logits", hint="check its weights and how it scales images")


class NoGradient(BadAnswer):
    """A gradient is asked of a module whose logits do not lead back to the images."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no gradient leads from the logits of {name} to its images",
            hint="look for no_grad, detach, argmax or NumPy in its forward, or attack by scores with --attack square",
        )


@contextmanager
def guarded(explain: Callable[[str], MlvgmError]) -> Iterator[None]:
    """Code of other people runs inside.

    What it prints goes to stderr, since stdout belongs to results. What it raises becomes the error that ``explain``
    makes of its description, ``SystemExit`` and other exceptions that are no ``Exception`` too; only Ctrl-C and a
    request to end pass through, and errors of our own, which say enough.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (KeyboardInterrupt, Interruption, MlvgmError):
        raise
    except BaseException as error:  # it may fail in any way
        raise explain(described(error)) from error


def described(error: BaseException) -> str:
    """Type and message of an error, in one line.

    >>> described(ValueError("two\\nlines")), described(SystemExit())
    ('ValueError: two lines', 'SystemExit')
    """
    return " ".join(f"{type(error).__name__}: {error}".rstrip(": ").split())


def answer(module: Callable[[Tensor], Tensor], images: Tensor, *, name: str, classes: int | None = None) -> Tensor:
    """What ``module`` answers to ``images``, checked to be logits.

    Args:
        module: images → logits.
        images: (N, C, H, W).
        name: of the module, for messages.
        classes: how many logits there must be, if that is known.

    Raises:
        BadAnswer: it fails, or its answer is no (N, classes) tensor of the images' type and device.
        NotFinite: NaN or infinity is among the logits.
        NoGradient: the images ask for a gradient, and none leads from the logits to them.
    """
    import torch

    with guarded(lambda text: BadAnswer(f"{name} does not take images {tuple(images.shape)}: {text}")):
        logits = module(images.clone())  # some write into what they are given
    rows = isinstance(logits, torch.Tensor) and logits.ndim == 2 and len(logits) == len(images)
    if not rows or (classes is not None and logits.shape[1] != classes):
        columns = "classes" if classes is None else str(classes)
        came = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise BadAnswer(
            f"expected logits ({len(images)}, {columns}) from {name}, came {came}",
            hint="return one tensor with a row of scores for each image, before any argmax",
        )
    if logits.dtype != images.dtype or logits.device != images.device:
        raise BadAnswer(
            f"expected logits of type {images.dtype} on {images.device} from {name}, came {logits.dtype} on "
            f"{logits.device}",
            hint="return the scores, before any argmax, in the type of the images and where they are",
        )
    if not bool(logits.detach().isfinite().all()):
        raise NotFinite(name)
    if torch.is_grad_enabled() and images.requires_grad and not logits.requires_grad:
        raise NoGradient(name)
    return logits
