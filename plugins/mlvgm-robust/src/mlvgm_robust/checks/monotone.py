"""More effort, larger radius: robust accuracy must not rise."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.checks.comparison import LIKELY, counts, estimate, fallen, worst

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import Attempt


def monotone(
    info: CheckInfo, curve: Mapping[float, Attempt], *, what: str, margin: float, settled: float | None = None
) -> Finding:
    """The finding about robust accuracy along an axis.

    Args:
        info: of the check.
        curve: attempts on the same images by the value of the axis.
        what: name of the axis, for the sentence.
        margin: a rise up to this is none.
        settled: a fall in the last step beyond this means that more would break more; None does not ask.
    """
    values = sorted(curve)
    statuses, rises = [], []
    for low, high in pairwise(values):
        status, _ = fallen(curve[high].right, curve[low].right, margin=margin)
        statuses.append(status)
        rises += [f"{low:g} to {high:g}"] if status != "pass" else []
    remark = f"; {counts('a rise', margin)}" + (f": it rises from {' and '.join(rises)}" if rises else "")
    if settled is not None and len(values) > 1:
        _, difference = fallen(curve[values[-2]].right, curve[values[-1]].right, margin=settled)
        remark += f"; {counts('a fall in the last step', settled)}, there p = {difference.p:.2g}"
        if difference.fall > settled and difference.p < LIKELY:
            statuses.append("warn")
            remark += ": not converged, the last step still breaks images"
    robust = {f"{value:g}": curve[value].accuracy for value in values}
    figures = ", ".join(f"{estimate(curve[value].right)} at {value:g}" for value in values)
    count = len(curve[values[0]].right)
    said = f"robust accuracy of {count} images by {what}: {figures}{remark}"
    return info.finding(worst(*statuses), said, robust=robust)
