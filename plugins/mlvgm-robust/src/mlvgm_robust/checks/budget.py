"""budget: what the attack has spent, and with what."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch

from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.config import BudgetConfig

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class Budget:
    """Passes, draws, seconds, versions and a hash of attack and protocol; fails where the attack has done nothing."""

    config: BudgetConfig = field(default_factory=BudgetConfig)
    info = CheckInfo("budget", (19,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        own, protocol = context.attempt(subject), subject.protocol
        spent, count = own.attacked, len(subject)
        setting = hashlib.sha256(f"{subject.attack}|{protocol}".encode()).hexdigest()
        idle = spent.forwards == 0 or (own.info.access == "gradient" and spent.backwards == 0)
        return self.info.finding(
            "fail" if idle else "pass",
            f"{spent.forwards / count:.0f} forward and {spent.backwards / count:.0f} backward passes an image, "
            f"{spent.seconds:.1f} s; {protocol.eot} draws a gradient, {protocol.selection} to select, "
            f"{protocol.score} to score" + ("; an attack that spends nothing attacks nothing" if idle else ""),
            forwards=spent.forwards,
            backwards=spent.backwards,
            seconds=spent.seconds,
            eot=protocol.eot,
            selection=protocol.selection,
            score=protocol.score,
            attack=str(subject.attack),
            setting_sha256=setting,
            torch=torch.__version__,
            python=platform.python_version(),
            mlvgm=version("mlvgm-core"),
            device=str(subject.images.device),
            threads=torch.get_num_threads(),
        )
