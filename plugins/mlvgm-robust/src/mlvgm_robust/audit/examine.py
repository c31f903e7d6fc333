"""An audit from settings to verdict and card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlvgm.configuration.build import check_device
from mlvgm.configuration.config import ResolvedConfig
from mlvgm.configuration.settings import Settings
from mlvgm.files import check_writable
from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.card import as_plain, write_card
from mlvgm_robust.audit.evaluation import build_checks, build_subject, use_threads
from mlvgm_robust.audit.finding import Finding
from mlvgm_robust.audit.verdict import Verdict
from mlvgm_robust.audit.verdict import audit as run_checks
from mlvgm_robust.purify.config import PurifyConfig


@dataclass(frozen=True)
class Examined:
    """A verdict, and the same with what it is about in plain values."""

    verdict: Verdict
    plain: dict[str, Any]

    @property
    def sentence(self) -> str:
        return self.verdict.sentence

    @property
    def believable(self) -> bool | None:
        return self.verdict.believable

    @property
    def objections(self) -> Sequence[Finding]:
        return self.verdict.objections

    @property
    def left_out(self) -> Sequence[str]:
        return self.verdict.left_out


def examine(
    resolved: ResolvedConfig[PurifyConfig],
    chosen: Settings,
    *,
    target: str | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    out: Path | None,
    progress: Callable[[float, int, str], None] = lambda done, total, message: None,
    begin: Callable[[str], None] = lambda words: None,
    found: Callable[[Finding], None] = lambda finding: None,
) -> Examined:
    """Check every input, load what is audited, run the checks, and keep the card.

    Args:
        resolved: the evaluation under audit.
        chosen: settings of the user, among them those of checks.
        target: ``module:attribute`` of a whole defence, if one is imported.
        only: checks to run; all if empty.
        skip: checks to leave out.
        out: folder for card and images, which is made; None to keep nothing.
        progress: told about checks and attacks.
        begin: told what is audited, in lines.
        found: called with each finding as its check ends.

    Raises:
        KeyboardInterrupt: it was stopped; what was found until then is in ``out``.
    """
    checks, left_out = build_checks(chosen, budget=resolved.config.budget, only=only, skip=skip)
    check_device(resolved.config.device)
    if out is not None:
        check_writable(out)
    use_threads(resolved.config)
    inside = any(key.startswith("classifier.") for key in chosen)
    subject, resolved = build_subject(resolved, target=target, classifier=inside)
    what = _named(resolved.config, target)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    begin(f"auditing {what}: {len(checks)} checks, {len(subject)} images")
    parts: list[Any] = [subject.defence.classifier, subject.defence.purifier]
    for part in parts:
        if getattr(part, "stochastic", False) and hasattr(part, "nature"):
            begin(f"{part.name}: {part.nature.described}")
    config = resolved.config.model_dump(mode="json")

    def keep(verdict: Verdict) -> dict[str, Any]:
        plain = as_plain(verdict, subject=what, config=config)
        if out is not None:
            write_card(out, verdict, plain)
        return plain

    context = AuditContext(folder=out)
    verdict = run_checks(subject, checks, left_out=left_out, context=context, progress=progress, keep=keep, found=found)
    return Examined(verdict, keep(verdict))


def _named(config: PurifyConfig, subject: str | None) -> str:
    """What is audited, in words."""
    defence = subject or config.rows[0].label
    attack = config.attacks[0].attack
    ball = f", {attack.options['norm']} {attack.options['eps']:g}" if {"norm", "eps"} <= set(attack.options) else ""
    return f"{defence} under {attack.name}{ball}, on {config.data.name} ({config.split}), budget {config.budget}"
