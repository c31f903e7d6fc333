"""How far apart two computations of the same numbers may be, for every test.

Processors, their matrix products (which choose another order of summation for another batch size, instruction set or
number of threads) and another grouping of the same operations (a folded network, a draw alone or in a batch) all round
differently. Such a difference is relative to the size of the terms that are summed, and grows with the number of
operations after one another; nothing else matters. Hence a tolerance here is

    4 × depth × scale

`depth` is what numbers of magnitude one may differ by on one processor, by what lies between input and output:
`LAYER`, `NETWORK` or `GRADIENT`. `scale` is the size of the terms: the largest |reference| of the tensor, as its small
numbers are sums of terms that cancel. The four is for processors unlike the one that made a reference. All this is for
float32; if both sides are float64, 2⁻²⁹ of it is allowed.

Bit equality is for copies, for draws (their keys are counted, not computed) and for one computation done twice in the
same way: same shapes, same process. It is never for stored numbers, nor for a batch and its parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LAYER = 1e-6  # a matrix product or a few operations: about eight roundings
NETWORK = 1e-5  # tens of layers: images, codes, logits; a short iteration
GRADIENT = 1e-4  # there and back, logarithms of sums over thousands of numbers, tens of steps that feed on themselves
MARGIN = 4

Numbers = Tensor | Sequence[float] | float


def close(ours: Numbers, reference: Numbers, *, depth: float = NETWORK, scale: float | None = None) -> None:
    """Assert that `ours` is `reference` up to rounding.

    Args:
        ours: a tensor, or numbers.
        reference: of the same shape if both are tensors, and of the same dtype or finer.
        depth: `LAYER`, `NETWORK` or `GRADIENT`.
        scale: the size of the terms where all of `reference` is what is left after they cancel (a gradient at an
            optimum, the sum of a vector and its opposite); by default the largest |reference|.
    """
    ours, reference = _tensors(ours, reference)
    assert ours.shape == reference.shape, f"shapes differ: {tuple(ours.shape)}, expected {tuple(reference.shape)}"
    assert reference.dtype in (ours.dtype, torch.float64), f"{ours.dtype} instead of {reference.dtype}"
    if ours.numel():
        share = used(ours, reference, depth=depth, scale=scale)
        far = (ours.detach().double() - reference.detach().double()).abs()
        assert share <= 1, (
            f"differ by up to {far.max():.3g} in {far.count_nonzero()}, {100 * share:.3g} % of the tolerance"
        )


def used(ours: Tensor, reference: Tensor, *, depth: float, scale: float | None = None) -> float:
    """The largest difference as a share of the tolerance; infinite if either has NaN, or an infinity of its own."""
    ours, reference = ours.detach(), reference.detach()
    finest = torch.finfo(ours.dtype if ours.is_floating_point() else torch.float32).eps
    finite = reference.isfinite() & ours.isfinite()
    ours, reference = ours.double(), reference.double()
    if not torch.equal(ours[~finite], reference[~finite]):
        return float("inf")
    ours, reference = ours[finite], reference[finite]
    if not reference.numel() or torch.equal(ours, reference):
        return 0.0
    size = float(reference.abs().max()) if scale is None else scale
    allowed = MARGIN * depth * size * finest / torch.finfo(torch.float32).eps
    return float((ours - reference).abs().max()) / allowed if allowed else float("inf")


def _tensors(ours: Numbers, reference: Numbers) -> tuple[Tensor, Tensor]:
    """Both as tensors; plain numbers are taken in the other side's dtype."""
    dtypes = [side.dtype for side in (ours, reference) if isinstance(side, Tensor)]
    first, second = (
        side if isinstance(side, Tensor) else torch.tensor(side, dtype=dtypes[0] if dtypes else torch.float64)
        for side in (ours, reference)
    )
    return first, second
