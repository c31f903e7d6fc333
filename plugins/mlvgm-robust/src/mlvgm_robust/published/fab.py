"""FAB as in the published evaluation: untargeted, the nearest boundary of all classes, no restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mlvgm_robust.attacks.deepfool import rivals_lead
from mlvgm_robust.attacks.fab_t import FabT
from mlvgm_robust.attacks.geometry import distance, per_image
from mlvgm_robust.attacks.gradients import gradients
from mlvgm_robust.attacks.rivals import likeliest_rivals

if TYPE_CHECKING:
    from mlvgm_robust.published.found import Found

_TINY = 1e-12


def search(found: Found, *, iterations: int, classes: int | None) -> None:
    """Walk along the nearest linearised boundary of each standing image and keep what succeeds.

    Args:
        found: successes go there.
        iterations: steps.
        classes: boundaries looked at, likeliest classes first; None is all, as published.
    """
    incumbents = found.nearest.incumbents
    rows = found.standing()
    if len(rows) == 0:
        return
    target, labels, images = incumbents.target[rows], incumbents.labels[rows], found.nearest.centre[rows]
    eot = incumbents.context.eot
    rivals = likeliest_rivals(incumbents, found.nearest.centre, count=classes or target.classes - 1)[rows]
    fab = FabT("L2")
    point = images
    for _ in range(iterations):
        values, slopes, _ = gradients(target, point, rivals_lead, labels, rivals, draws=eot)
        lengths = distance(slopes.flatten(0, 1), "L2").reshape_as(values)
        nearest = (values.abs() / lengths.clamp_min(_TINY)).argmin(1)
        here = torch.arange(len(rows), device=nearest.device)
        point = fab.approach(images, point, values[here, nearest], slopes[here, nearest])
        fooled = found.fooled(target(point, draws=eot), rows)
        found.record(point, rows, fooled)
        point = torch.where(per_image(fooled), (1 - fab.beta) * images + fab.beta * point, point)
