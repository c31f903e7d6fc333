"""compliance: what the attack returns is within its rules, and survives 8 bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mlvgm_robust.attacks.foreign import MENDED
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import counts, estimate, fallen
from mlvgm_robust.checks.config import ComplianceConfig
from mlvgm_robust.evaluation.admissible import perturbation_norm

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class Compliance:
    """Type, shape, finiteness, box and norm of everything the attack returned and of what was scored; uint8 re-test.

    An attack of another library is mended before it returns anything here; the evidence says how often it had to be.
    """

    config: ComplianceConfig = field(default_factory=ComplianceConfig)
    info = CheckInfo("compliance", (18,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        own, images = context.attempt(subject), subject.images
        eps, slack = own.info.eps, self.config.tolerance
        problems, largest = [], 0.0
        for what, found in (*(("the attack returned", each) for each in own.returned), ("scored", own.attacked.images)):
            if found.dtype != torch.float32 or found.shape != images.shape:
                problems.append(f"{what} {found.dtype} {tuple(found.shape)}")
                continue
            if not bool(found.isfinite().all()):
                problems.append(f"{what} NaN or infinite pixels")
            low, high = float(found.min()), float(found.max())
            if low < -slack or high > 1 + slack:
                problems.append(f"{what} values in [{low:.4g}, {high:.4g}]")
            norm = float(perturbation_norm(found, images, own.info.norm).max())
            largest = max(largest, norm)
            if eps is not None and norm > eps * (1 + 1e-5) + slack:
                problems.append(f"{what} a perturbation of {own.info.norm} norm {norm:.6g}, allowed are {eps:.6g}")
        values = {"largest_norm": largest, "eps": eps, "norm": own.info.norm}
        if problems:
            return self.info.finding("fail", "; ".join(dict.fromkeys(problems)), **values)
        rounded = (own.attacked.images * 255).round() / 255
        right, _ = context.score(subject, rounded)
        status, difference = fallen(right, own.right, margin=self.config.margin)
        lost, noted = status != "pass", own.attacked.notes.get(MENDED)
        mended = None if noted is None else int(noted.sum())
        return self.info.finding(
            "warn" if lost else "pass",
            f"type, shape and box of {len(subject)} images are right, largest {own.info.norm} norm {largest:.6g}"
            + (f" of {eps:.6g} allowed" if eps is not None else "")
            + f"; robust accuracy {estimate(own.right)}, {estimate(right)} after rounding to 8 bits, "
            f"p = {difference.p:.2g}; {counts('a rise', self.config.margin)}"
            + (": part of the success does not survive an image file" if lost else "")
            + (
                f"; what the library itself returned had to be brought into ball and box for {mended} images"
                if mended is not None
                else ""
            ),
            rounded=float(right.mean()),
            mended=mended,
            **values,
        )
