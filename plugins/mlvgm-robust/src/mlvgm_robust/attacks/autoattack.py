"""AutoAttack: several attacks in turn, each on what still stands, their candidates competing with one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlvgm.protocols.attack import Attack, AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.apgd_dlr import ApgdDlr
from mlvgm_robust.attacks.apgd_t import ApgdT
from mlvgm_robust.attacks.config import AutoAttackConfig, Part
from mlvgm_robust.attacks.fab_t import FabT
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.square import Square

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class AutoAttack:
    """AutoAttack (Croce & Hein, arXiv 2003.01690): APGD-CE, APGD-T, FAB-T, Square.

    With three classes APGD-DLR joins before APGD-T, with two it takes its place: the targeted ratio needs four logits.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        iterations: steps of APGD and FAB for each class and restart.
        restarts: random starts of each attack.
        classes: classes APGD-T and FAB-T try.
        queries: proposals of Square.
        parts: attacks to run, in this order; None chooses by the number of classes.

    Example:
        >>> attack = AutoAttack(norm="Linf", eps=8 / 255)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    eps: float = 1.0
    iterations: int = 100
    restarts: int = 1
    classes: int = 9
    queries: int = 5000
    parts: tuple[Part, ...] | None = None

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("autoattack", self.norm, self.eps)

    def sequence(self, classes: int) -> tuple[Part, ...]:
        """The parts that run against a classifier of that many classes."""
        if self.parts is not None:
            return self.parts
        middle: tuple[Part, ...] = ("apgd-t",)
        if classes < 4:
            middle = ("apgd-dlr", "apgd-t") if classes == 3 else ("apgd-dlr",)
        return ("apgd-ce", *middle, "fab-t", "square")

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        incumbents = Incumbents.of(target, images, labels, targets=targets, context=context)
        for name in self.sequence(target.classes):
            rows = incumbents.standing()
            context.progress(f"{name}: {len(rows)} of {len(images)} images stand")
            if len(rows) == 0:
                break
            part = replace(incumbents, context=context.derive(name))  # its tensors stay those of ``incumbents``
            self._part(name).improve(part, images)
        return incumbents.images

    def _part(self, name: Part) -> ApgdCe | ApgdDlr | ApgdT | FabT | Square:
        if name == "apgd-ce":
            return ApgdCe(self.norm, self.eps, iterations=self.iterations, restarts=self.restarts)
        if name == "apgd-dlr":
            return ApgdDlr(self.norm, self.eps, iterations=self.iterations, restarts=self.restarts)
        if name == "square":
            return Square(self.norm, self.eps, queries=self.queries, restarts=self.restarts)
        kind = ApgdT if name == "apgd-t" else FabT
        return kind(self.norm, self.eps, iterations=self.iterations, restarts=self.restarts, classes=self.classes)


def build(config: AutoAttackConfig) -> Attack:
    """The attack of ``config``: native, or the adapter around the original's code.

    Raises:
        ConfigError: the original is wanted and not installed.
    """
    if config.version == "official":
        from mlvgm_robust.attacks.official import OfficialAutoAttack

        return OfficialAutoAttack.of(config)
    return AutoAttack(**config.model_dump(exclude={"version", "official_version"}))
