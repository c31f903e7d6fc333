"""Batches that share rows: a state of B images widens to B·k draws when the first tensor of a draw meets it.

Rows are image-major everywhere: row b·k + j is draw j of image b.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING

from mlvgm.errors import ConfigError, InputError

if TYPE_CHECKING:
    from torch import Tensor


def expanded(tensor: Tensor, rows: int) -> Tensor:
    """``tensor`` with ``rows`` rows, its memory format kept."""
    draws = rows // len(tensor)
    if draws == 1:
        return tensor
    if tensor.ndim == 4 and tensor.stride(1) == 1:
        # Channels last. In another format every later addition and convolution would copy what it reads.
        return tensor.movedim(1, 3).repeat_interleave(draws, 0).movedim(3, 1)
    return tensor.repeat_interleave(draws, 0)


def aligned(*tensors: Tensor) -> list[Tensor]:
    """All with the rows of the longest.

    >>> import torch
    >>> [len(tensor) for tensor in aligned(torch.zeros(2, 1), torch.zeros(6, 1))]
    [6, 6]
    """
    rows = max(map(len, tensors))
    return [expanded(tensor, rows) for tensor in tensors]


def mixed(kept: Tensor, fresh: Tensor, alpha: float | Tensor) -> Tensor:
    """(1 − α) · kept + α · fresh (arXiv 2412.03453, section 3.2), widened only where something fresh enters.

    Args:
        kept: (B, …).
        fresh: (B·k, …).
        alpha: a number, which at 0 or 1 leaves the other side out; or a tensor from :func:`check_blend`, through whose
            every value, 0 and 1 too, the gradient passes.

    >>> import torch
    >>> len(mixed(torch.zeros(2, 1), torch.ones(6, 1), 0.0)), len(mixed(torch.zeros(2, 1), torch.ones(6, 1), 0.5))
    (2, 6)
    """
    if isinstance(alpha, int | float):
        if alpha in (0, 1):
            return fresh if alpha else kept
        kept, fresh = aligned(kept, fresh)
    else:
        kept, fresh = aligned(kept, fresh)
        alpha = alpha.to(kept)
        if alpha.ndim:
            alpha = expanded(alpha, len(kept)).view(-1, *[1] * (kept.ndim - 1))
    return (1 - alpha) * kept + alpha * fresh


def keeps(alpha: float | Tensor) -> bool:
    """Whether something kept enters a mixture."""
    return not isinstance(alpha, int | float) or alpha < 1


def refreshes(alpha: float | Tensor) -> bool:
    """Whether something fresh enters a mixture."""
    return not isinstance(alpha, int | float) or alpha > 0


def check_blend(
    encoding: Sized, source: Sized, alphas: Sequence[float] | Tensor, *, name: str, latents: int
) -> tuple[float | Tensor, ...]:
    """The weight of each latent in a blend; what cannot be mixed is refused.

    Args:
        encoding: B rows.
        source: B·k rows.
        alphas: one for each latent; or one row of them for each image, (B, latents).
        name: of the generator, for messages.
        latents: how many it has.

    Returns:
        a number for each latent, where it is the same for all images and nobody asks for its gradient; else a tensor,
        () or (B,).

    Raises:
        ConfigError: the number or range of ``alphas``.
        InputError: something else than encodings and noise, or rows of ``source`` or ``alphas`` do not belong to those
            of ``encoding``.
    """
    for what, given in (("an encoding of images", encoding), ("noise or an encoding", source)):
        if hasattr(given, "ndim") or not hasattr(given, "__len__"):  # images themselves, or nothing
            raise InputError(f"{name} blends {what}, got {type(given).__name__}", hint="encode makes one from images")
    if len(encoding) == 0 or len(source) % len(encoding):
        raise InputError(
            f"{len(source)} rows of noise for {len(encoding)} encoded images",
            hint="give every image the same number of draws",
        )
    rows = getattr(alphas, "ndim", 1) > 1
    if rows and len(alphas) != len(encoding):
        raise InputError(
            f"{len(alphas)} rows of alphas for {len(encoding)} encoded images", hint="give one row an image, or one"
        )
    weights = tuple(alphas.T) if rows else tuple(alphas)  # type: ignore[union-attr]
    if len(weights) != latents:
        raise ConfigError(f"{name} has {latents} latents, got {len(weights)} alphas", hint="give one for each")
    checked = tuple(map(_weight, weights))
    if not all(_in_range(weight) for weight in checked):
        raise ConfigError(f"alphas must be in [0, 1], got {_plain(alphas)}")
    return checked


def _weight(alpha: float | Tensor) -> float | Tensor:
    """A number wherever one says the same, so that what is not needed is not computed."""
    if isinstance(alpha, int | float) or not hasattr(alpha, "requires_grad"):
        return float(alpha)
    if alpha.requires_grad or (alpha.ndim and not bool((alpha == alpha[0]).all())):
        return alpha
    return float(alpha.flatten()[0])


def _in_range(weight: float | Tensor) -> bool:
    return 0 <= weight <= 1 if isinstance(weight, int | float) else bool(((weight >= 0) & (weight <= 1)).all())


def _plain(alphas: Sequence[float] | Tensor) -> object:
    return list(alphas) if isinstance(alphas, list | tuple) else getattr(alphas, "tolist", lambda: alphas)()
