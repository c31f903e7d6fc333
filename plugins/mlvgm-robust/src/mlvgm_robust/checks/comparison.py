"""How checks compare two figures per image, and the options they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlvgm.statistics import Difference, paired_difference, wilson
from mlvgm_robust.audit.finding import Status

if TYPE_CHECKING:
    from torch import Tensor

SURE, LIKELY = 0.005, 0.01


def fallen(before: Tensor, after: Tensor, *, margin: float) -> tuple[Status, Difference]:
    """Whether ``after`` is lower than ``before`` by more than ``margin``: fail if that is sure, warn if likely.

    Sure and likely are 0.5 % and 1 % of a paired randomisation test, so that the noise of few images fails nothing.

    Args:
        before: (n,) shares of right decisions.
        after: (n,) of the same images.
        margin: tolerated fall of the mean.
    """
    difference = paired_difference(before, after)
    if difference.fall <= margin or difference.p > LIKELY:
        return "pass", difference
    return ("fail" if difference.p < SURE else "warn"), difference


def changed(before: Tensor, after: Tensor, *, margin: float) -> tuple[Status, Difference]:
    """The same in both directions, for figures that must agree."""
    down, difference = fallen(before, after, margin=margin)
    up, _ = fallen(after, before, margin=margin)
    return worst(down, up), difference


def worst(*statuses: Status) -> Status:
    """The gravest.

    >>> worst("pass", "fail", "warn"), worst()
    ('fail', 'pass')
    """
    order: tuple[Status, ...] = ("pass", "not run", "warn", "fail")
    return max(statuses, key=order.index, default="pass")


def counts(what: str, margin: float) -> str:
    """When :func:`fallen` does not pass, for the sentence of a finding.

    >>> counts("a lead", 0.02)
    'a lead above 2 points with p ≤ 0.01 counts'
    """
    return f"{what} above {points(margin)} with p ≤ {LIKELY:g} counts"


def points(share: float) -> str:
    """A difference of shares in percentage points.

    >>> points(0.01), points(0.002)
    ('1 point', '0.2 points')
    """
    return f"{100 * share:g} point{'' if 100 * share == 1 else 's'}"


def estimate(right: Tensor) -> str:
    """Mean of (n,) shares of right decisions in per cent, with its 95 % Wilson interval.

    >>> import torch
    >>> estimate(torch.tensor([1.0, 0.0, 1.0, 0.0]))
    '50.0 [15, 85] %'
    """
    return f"{wilson(float(right.sum()), len(right)).percent()} %"


def percent(value: float | Tensor) -> str:
    """
    >>> percent(0.256)
    '25.6 %'
    """
    return f"{100 * float(value):.1f} %"
