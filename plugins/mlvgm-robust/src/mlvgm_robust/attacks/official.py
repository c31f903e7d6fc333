"""``autoattack:official``: the original AutoAttack, from PyPI's ``pyautoattack``, as an attack of this project."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal, Self

import torch

from mlvgm.errors import ConfigError, InputError
from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.foreign import Deployed

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.attacks.config import AutoAttackConfig
    from mlvgm_robust.evaluation.target import Target

_FEWEST_CLASSES = 4


@dataclass(frozen=True)
class OfficialAutoAttack:
    """The original's code, for comparison: exact for deterministic defences, misleading for random ones.

    Its ``rand`` suite takes a single wrong draw for a success and stops there, so the robust accuracy it reports for a
    random defence is too low even without an attack, while the images it returns are weaker than they should be. Here
    they are scored on fresh draws like those of every attack. It needs at least four classes.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels; above 0.
        suite: ``standard``, ``rand``, or ``auto`` (rand for a random defence).
        iterations: steps of APGD and FAB.
        restarts: random starts of APGD.
        classes: classes its targeted attacks try; K − 1 where there are fewer.
        queries: of Square.
    """

    norm: Norm = "L2"
    eps: float = 1.0
    suite: Literal["auto", "standard", "rand"] = "auto"
    iterations: int = 100
    restarts: int = 1
    classes: int = 9
    queries: int = 5000

    @classmethod
    def of(cls, config: AutoAttackConfig) -> Self:
        """The adapter of ``config``.

        Raises:
            ConfigError: pyautoattack is not installed, the options have no meaning for it, or eps is 0.
        """
        _library()
        if config.parts is not None:
            raise ConfigError(
                "attack option 'parts' is for the native autoattack", hint="leave it out with autoattack:official"
            )
        if config.eps == 0:
            raise ConfigError(
                "autoattack:official divides by eps", hint="for a null control take a tiny eps, for instance 1e-6"
            )
        return cls(
            config.norm,
            config.eps,
            suite=config.official_version,
            iterations=config.iterations,
            restarts=config.restarts,
            classes=config.classes,
            queries=config.queries,
        )

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("autoattack:official", self.norm, self.eps, minimum_classes=_FEWEST_CLASSES)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        """Adversarial images; see :class:`mlvgm.protocols.attack.Attack`.

        Raises:
            ConfigError: fewer than four classes.
            InputError: wanted classes are given; the original has no such mode.
        """
        if target.classes < _FEWEST_CLASSES:
            raise ConfigError(
                f"autoattack:official needs {_FEWEST_CLASSES} classes for its ratio of logits, came {target.classes}",
                hint="the native autoattack takes two or more",
            )
        if targets is not None:
            raise InputError("autoattack:official cannot aim at given classes", hint="take the native autoattack")
        if len(images) == 0:
            return images
        suite = self.suite if self.suite != "auto" else ("rand" if target.stochastic else "standard")
        context.progress(f"autoattack:official, {suite}, {len(images)} images")
        # It seeds the global generator and switches tracing off; both are put back.
        trace, devices = sys.gettrace(), [images.device] if images.is_cuda else []
        try:
            with torch.random.fork_rng(devices=devices):
                candidates, _ = self._adversary(target, images, suite, context).run_standard_evaluation(
                    images, labels, batch_size=len(images)
                )
        finally:
            sys.settrace(trace)
        result: Tensor = candidates
        return result

    def _adversary(self, target: Target, images: Tensor, suite: str, context: AttackContext):  # type: ignore[no-untyped-def]
        adversary = _library().AutoAttack(
            Deployed(target),
            norm=self.norm,
            eps=self.eps,
            seed=context.keys.seed % 2**31,
            version=suite,
            device=images.device,
        )
        classes = min(self.classes, target.classes - 1)
        adversary.apgd.n_iter = adversary.apgd_targeted.n_iter = adversary.fab.n_iter = self.iterations
        adversary.apgd.n_restarts = adversary.apgd_targeted.n_restarts = self.restarts
        adversary.apgd_targeted.n_target_classes = adversary.fab.n_target_classes = classes
        adversary.square.n_queries = self.queries
        if suite == "rand":
            adversary.apgd.eot_iter = context.eot
        return adversary


def _library() -> ModuleType:
    try:
        return importlib.import_module("pyautoattack")
    except ImportError as error:
        raise ConfigError(
            "autoattack:official needs the package pyautoattack", hint="pip install 'mlvgm-robust[autoattack]'"
        ) from error
