"""What is audited: a defence under an attack, and the attack with other options."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

from mlvgm.protocols.attack import Attack, Norm
from mlvgm.protocols.classifier import Classifier
from mlvgm_robust.audit.finding import NoPower, NotRun
from mlvgm_robust.evaluation import harness
from mlvgm_robust.evaluation.defence import Defence

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Subject:
    """An evaluation under audit: a defence, an attack on it, and the judge that scores the attack.

    Args:
        defence: what is defended.
        attack: the attack whose outcome is to be believed.
        images: (n, C, H, W) float32 in [0, 1].
        labels: (n,) int64.
        samples: sample id of each image.
        protocol: draws and seed of the evaluation.
        classifier: the bare classifier behind the defence; None where nobody knows it.
        judge: runs an attack and scores it; :func:`mlvgm_robust.evaluation.harness.run_attack` unless the scoring is
            audited too.
        replayable: the same keys give the same noise.
        reserve: images and labels that are not in the evaluation, of the same kind.
        reference: an undefended classifier of the same task, known to be easy to attack: what checks try themselves on.
        pristine: gives the defence as it was before anything was asked of it; None where it cannot be copied.
    """

    defence: Defence
    attack: Attack
    images: Tensor
    labels: Tensor
    samples: Sequence[int]
    protocol: harness.Protocol = field(default_factory=harness.Protocol)
    classifier: Classifier | None = None
    judge: Callable[..., harness.Attacked] = harness.run_attack
    replayable: bool = True
    reserve: tuple[Tensor, Tensor] | None = None
    reference: Classifier | None = None
    pristine: Callable[[], Defence] | None = None

    @classmethod
    def of(cls, defence: Defence, attack: Attack, images: Tensor, labels: Tensor, **options: Any) -> Self:
        """The subject of a defence whose classifier is known; sample ids are 0 … n − 1 if not given.

        The defence is copied as it is now, for checks that ask whether it remembers what it is asked.
        """
        chosen: dict[str, Any] = {"samples": range(len(images)), "classifier": defence.classifier, **options}
        if "pristine" not in chosen:
            chosen["pristine"] = _copies_of(defence)
        return cls(defence, attack, images, labels, **chosen)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def norm(self) -> Norm:
        return self.attack.info.norm

    @property
    def eps(self) -> float:
        """Radius of the attack's ball.

        Raises:
            NotRun: it is a minimal-norm attack.
        """
        if self.attack.info.eps is None:
            raise NotRun(f"attack '{self.attack.info.name}' has no radius")
        return self.attack.info.eps

    def first(self, count: int | None) -> Self:
        """The same evaluation of the first ``count`` images, or of all."""
        if count is None or count >= len(self):
            return self
        return replace(
            self, images=self.images[:count], labels=self.labels[:count], samples=tuple(self.samples[:count])
        )

    def bare(self) -> Classifier:
        """The classifier without the defence.

        Raises:
            NotRun: nobody knows it.
        """
        if self.classifier is None:
            raise NotRun("the bare classifier behind the module is unknown; name it with --classifier")
        return self.classifier

    def replayed(self) -> None:
        """Raises:
        NoPower: its noise cannot be repeated.
        """
        if not self.replayable:
            raise NoPower("the module's noise comes from no global generator, so it cannot be repeated")


def _copies_of(defence: Defence) -> Callable[[], Defence] | None:
    try:
        kept = copy.deepcopy(defence)
    except Exception:  # it may hold anything
        return None
    return lambda: copy.deepcopy(kept)


EFFORTS = ("iterations", "queries", "steps")


def effort(attack: Attack) -> str:
    """Name of the option that sets how long an attack works.

    Raises:
        NotRun: it has none of :data:`EFFORTS`.
    """
    found = _options(attack).intersection(EFFORTS)
    if not found:
        raise NotRun(f"attack '{attack.info.name}' has no option of {', '.join(EFFORTS)}")
    return next(name for name in EFFORTS if name in found)


def adjusted(attack: Attack, **options: Any) -> Attack:
    """The same attack with other options: by its ``with_options``, or a copy of the dataclass that it is.

    Raises:
        NotRun: it does not have one of them.
    """
    missing = sorted(set(options) - _options(attack))
    if missing:
        raise NotRun(f"attack '{attack.info.name}' has no option '{missing[0]}'")
    again = getattr(attack, "with_options", None)
    return cast("Attack", replace(cast("Any", attack), **options) if again is None else again(**options))


def _options(attack: Attack) -> set[str]:
    if hasattr(attack, "with_options"):
        return set(dict(cast("Any", attack).options))
    return {each.name for each in fields(attack)} if is_dataclass(attack) else set()
