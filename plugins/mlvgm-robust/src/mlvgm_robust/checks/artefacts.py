"""artefacts: adversarial examples are kept, and anyone can score them again."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from mlvgm.files import write_bytes
from mlvgm.tensors_file import as_bytes
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.config import ArtefactsConfig

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class Artefacts:
    """The scored images go into a safetensors file; read back, the same score noise gives the same decisions."""

    config: ArtefactsConfig = field(default_factory=ArtefactsConfig)
    info = CheckInfo("artefacts", (20,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject.replayed()
        own = context.attempt(subject).attacked
        with tempfile.TemporaryDirectory() as temporary:
            path = (context.folder or Path(temporary)) / "adversarial.safetensors"
            tensors = {
                "original": subject.images,
                "adversarial": own.images,
                "labels": subject.labels,
                "samples": torch.tensor(list(subject.samples)),
            }
            write_bytes(path, as_bytes(tensors))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            adversarial = load_file(path)["adversarial"].to(subject.images.device)
        _, again = context.score(subject, adversarial)
        different = int((again.right != own.robust.right).sum())
        kept = f"kept as {path.name}" if context.folder else "not kept, no --out was given"
        return self.info.finding(
            "fail" if different else "pass",
            f"{len(subject)} adversarial examples, {kept}; scored again, {different} decisions differ",
            sha256=digest,
            different=different,
        )
