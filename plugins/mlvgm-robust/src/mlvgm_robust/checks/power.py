"""Whether a check that compares attacks could have failed: it is tried on a twin that is easy to attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlvgm_robust.audit.finding import CheckInfo, Finding, Status
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import estimate, fallen
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.noise import AddNoise

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.attack import Attack
    from mlvgm_robust.audit.attempts import AuditContext

_IMAGES = 32  # enough to be sure of what an attack does to a twin


@dataclass(frozen=True)
class Power:
    """What an attack did to the twin.

    Args:
        enough: the check would have failed, had the twin's robustness been claimed to be its clean accuracy.
        said: that in words, with figures.
    """

    enough: bool
    said: str


_UNKNOWN = Power(False, "no undefended classifier of these classes is known on which to show what it can do")


def twin_of(subject: Subject) -> Defence | None:
    """An undefended classifier of the subject's task, behind a little noise where the subject is random.

    The noise has half the L2 norm that a perturbation may have; whoever averages draws sees through it. None where no
    such classifier is known.
    """
    reference = subject.reference or subject.classifier
    if reference is None:
        return None
    if not subject.defence.stochastic:
        return Defence(reference)
    widest = {"Linf": subject.images[0].numel() ** 0.5, "L2": 1.0, "L1": 1.0}[subject.norm]
    return Defence(reference, AddNoise(0.5 * widest * subject.eps), votes=subject.defence.votes)


def tried(
    subject: Subject,
    attack: Attack | None = None,
    *,
    context: AuditContext,
    margin: float,
    twin: Defence | None = None,
) -> Power:
    """What the attack does to a twin at the same budget and radius, where it breaks what it can break.

    Args:
        subject: gives images, labels, radius and protocol.
        attack: the subject's by default.
        context: runs it.
        margin: of the comparison in the check.
        twin: what it is tried on; :func:`twin_of` the subject by default.
    """
    twin = twin or twin_of(subject)
    if twin is None:
        return _UNKNOWN
    attempt = context.attempt(subject.first(_IMAGES), attack, defence=twin)
    return shown(attempt.clean, attempt.right, margin=margin)


def tried_by(subject: Subject, perturb: Callable[[Subject], Tensor], *, context: AuditContext, margin: float) -> Power:
    """The same of images that are made in another way than by an attack.

    Args:
        subject: as in :func:`tried`.
        perturb: an evaluation of the twin → images.
        context: scores them.
        margin: of the comparison in the check.
    """
    twin = twin_of(subject)
    if twin is None:
        return _UNKNOWN
    evaluation = replace(subject.first(_IMAGES), defence=twin, replayable=True)
    before, _ = context.score(evaluation, evaluation.images, purpose="audit/twin")
    after, _ = context.score(evaluation, perturb(evaluation), purpose="audit/twin")
    return shown(before, after, margin=margin)


def shown(before: Tensor, after: Tensor, *, margin: float) -> Power:
    """Whether a fall of a twin's accuracy is one that the check would have failed for."""
    status, difference = fallen(before, after, margin=margin)
    return Power(
        status == "fail",
        f"of an undefended twin it leaves {estimate(after)} of {len(after)} images, p = {difference.p:.2g}",
    )


def answered(
    info: CheckInfo,
    status: Status,
    said: str,
    *,
    claimed: Tensor,
    chance: float,
    power: Callable[[], Power],
    **values: Any,
) -> Finding:
    """The finding of a comparison with a claimed robust accuracy: silence counts only where there was power.

    A claim no better than guessing leaves nothing to beat.

    Args:
        info: of the check.
        status: what the comparison came to.
        said: in words.
        claimed: (n,) shares of right decisions that are claimed.
        chance: robust accuracy of guessing.
        power: tries the check; only asked where the comparison passes.
        values: for the finding.
    """
    if status != "pass":
        return info.finding(status, said, **values)
    if float(claimed.mean()) <= chance:
        return info.finding("pass", f"{said}; no robustness is claimed that could be an illusion", **values)
    found = power()
    if found.enough:
        return info.finding("pass", f"{said}; {found.said}", **values, power=True)
    return info.finding(
        "no power", f"{said}; it could not have failed at this budget: {found.said}", **values, power=False
    )
