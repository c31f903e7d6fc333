"""How far two sets of images are from each other, in the features of a classifier.

Values are comparable only within one feature space: those of a small classifier are no Inception scores.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.statistics import Estimate, bootstrap_mean


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Fréchet distance of the Gaussians with the moments of two sets of features (FID, arXiv 1706.08500, equation 6).

    ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½). Finite samples raise it: compare sets of one size, and with the
    distance of two sets of real images.

    Args:
        first: (N, D) features.
        second: (M, D) features.

    Raises:
        InputError: other shapes, fewer than two rows, or features that are not finite.

    Example:
        >>> rows = torch.tensor([[0.0], [2.0]])
        >>> round(frechet_distance(rows, 3 * rows + 1), 6)  # (4 − 1)² + (3√2 − √2)²
        17.0
    """
    x, y = _checked(first, second)
    ours, theirs = _root(x), _root(y)
    # tr (C₁^½ C₂ C₁^½)^½ as singular values: the root of rounded eigenvalues would cost half of the digits.
    shared = torch.linalg.svdvals(ours @ theirs).sum()
    moved = (x.mean(0) - y.mean(0)).square().sum()
    return float(moved + ours.square().sum() + theirs.square().sum() - 2 * shared)


def kernel_distance(first: Tensor, second: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x·y / D + 1)³ (KID, arXiv 1801.01401, section 4).

    Its expectation is zero for sets of one distribution, so single values may be negative.

    Args:
        first: (N, D) features.
        second: (M, D) features.

    Raises:
        InputError: other shapes, fewer than two rows, or features that are not finite.
    """
    x, y = _checked(first, second)

    def kernel(left: Tensor, right: Tensor) -> Tensor:
        return (left @ right.T / left.shape[1] + 1) ** 3

    def within(rows: Tensor) -> Tensor:
        matrix = kernel(rows, rows)
        return (matrix.sum() - matrix.trace()) / (len(rows) * (len(rows) - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())


def kernel_distance_interval(first: Tensor, second: Tensor, *, block: int = 500, seed: int = 0) -> Estimate:
    """Mean kernel distance over disjoint blocks of both sets, with its 95 % bootstrap interval.

    Blocks do not overlap, so their distances are independent and the interval is one of the mean; that of the customary
    overlapping subsets is not. Rows are taken in their order: shuffle sets that are sorted.

    Args:
        first: (N, D) features.
        second: (M, D) features.
        block: rows of each set in one distance.
        seed: of the bootstrap.

    Raises:
        InputError: as :func:`kernel_distance`, or there are fewer than two blocks.
    """
    blocks = min(len(first), len(second)) // block
    if blocks < 2:
        raise InputError(
            f"expected at least {2 * block} rows of both sets, came {len(first)} and {len(second)}",
            hint="use more images or smaller blocks",
        )
    parts = [slice(i * block, (i + 1) * block) for i in range(blocks)]
    return bootstrap_mean(torch.tensor([kernel_distance(first[part], second[part]) for part in parts]), seed=seed)


def _root(rows: Tensor) -> Tensor:
    """Symmetric square root of the covariance of ``rows``, which may be singular."""
    values, vectors = torch.linalg.eigh(torch.cov(rows.T).reshape(rows.shape[1], -1))
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root


def _checked(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise InputError(
            f"expected features (N, D) and (M, D) of at least two rows, came {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    x, y = first.double().cpu(), second.double().cpu()
    if not bool(x.isfinite().all()) or not bool(y.isfinite().all()):
        raise InputError("features are NaN or infinite", hint="check the generator's images")
    return x, y
