"""Latent target: towards an image of another class in the latents that the purifier keeps (feature matching)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from mlvgm.noise import Keys
from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.config import LatentTargetConfig
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.latents import KeptLatents, steer

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Samples:
    """Generated images as goals.

    Args:
        latents: (S, D) their kept latents.
        labels: (S,) what the bare classifier says they are.
    """

    latents: Tensor
    labels: Tensor

    def rivals(self, kept: Tensor, labels: Tensor, wanted: Tensor | None, *, classes: int) -> tuple[Tensor, Tensor]:
        """For each image the nearest sample of each of the nearest rival classes.

        Args:
            kept: (B, D) kept latents of the images.
            labels: (B,) true classes.
            wanted: (B,) classes to reach, or None for all but the true one.
            classes: how many there are.

        Returns:
            (B, classes) numbers of samples, the nearest first, and (B, classes) whether there is one.
        """
        # A sum for each pair, so that a distance does not depend on how many others are computed with it.
        away = torch.cdist(kept, self.latents, compute_mode="donot_use_mm_for_euclid_dist")
        of_class = F.one_hot(self.labels, classes).bool()
        nearest, sample = torch.where(of_class.T, away[:, None], torch.inf).min(2)
        number = torch.arange(classes, device=labels.device)
        allowed = number != labels[:, None] if wanted is None else number == wanted[:, None]
        nearest, order = nearest.masked_fill(~allowed, torch.inf).sort(dim=1, stable=True)
        return sample.gather(1, order), nearest.isfinite()


@dataclass(frozen=True)
class LatentTarget:
    """Minimises Σ_i (1 − α_i)² ‖z_i(x + δ) − z_i(x')‖² by projected gradient descent, x' being of another class.

    x' are the samples of the purifier's own generator that are nearest to the image in kept latents, one for each rival
    class; their classes are what the bare classifier says. The samples are the same for every image and batch. Where
    none of them is of a rival class, the image is left alone.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        iterations: gradient steps for each class.
        classes: rival classes tried in turn.
        samples: generated images among which x' are chosen.

    Example:
        >>> attack = LatentTarget(norm="Linf", eps=8 / 255)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    eps: float = 1.0
    iterations: int = 100
    classes: int = 3
    samples: int = 256

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("latent-target", self.norm, self.eps, needs_generator=True)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        """Candidates; see :class:`mlvgm.protocols.attack.Attack`.

        Raises:
            ConfigError: the purifier has no generator, keeps nothing, or has no exact gradient.
        """
        kept = KeptLatents.of(target, context, name=self.info.name)
        incumbents = Incumbents.of(target, images, labels, targets=targets, context=context)
        rows = incumbents.standing()
        if len(rows) == 0:
            return incumbents.images
        samples = self._generate(kept, context)
        latents = kept.mean(images[rows], context.keys[rows].derive("target"))
        wanted = None if targets is None else targets[rows]
        found, exists = samples.rivals(latents, labels[rows], wanted, classes=target.classes)
        lonely = int((~exists[:, 0]).sum())
        if lonely:
            context.progress(f"latent-target: {lonely} of {len(images)} images have no rival among the samples")
        for rival in range(min(self.classes, target.classes - 1)):
            left = exists[:, rival] & ~incumbents.broken[rows]
            if left.any():
                steer(
                    kept,
                    incumbents,
                    samples.latents[found[left, rival]],
                    rows[left],
                    sign=-1.0,
                    start=lambda rows: images[rows],
                    images=images,
                    norm=self.norm,
                    eps=self.eps,
                    iterations=self.iterations,
                    purpose=f"target{rival}",
                )
        return incumbents.images

    def _generate(self, kept: KeptLatents, context: AttackContext) -> Samples:
        own = context.keys.derive("samples")
        # Numbers that no sample id has: the goals are nobody's.
        keys = Keys(own.seed, own.purpose, tuple((-1 - number, 0) for number in range(self.samples)))
        bare, size = kept.target.undefended(), max(1, kept.target.memory // kept.draws)
        latents, labels = [], []
        for part in (keys[i : i + size] for i in range(0, len(keys), size)):
            images = _images(kept.purifier.generator, part)
            latents.append(kept.mean(images, part))
            with torch.no_grad():
                labels.append(bare.defence.classify(images, part).argmax(1))
            kept.target.counts.forwards += len(part)
        return Samples(torch.cat(latents), torch.cat(labels))


def _images(generator: Any, keys: Keys) -> Tensor:
    """Samples of the generator in the size that its encoder takes, clamped to [0, 1]."""
    with torch.no_grad():
        images: Tensor = generator.generate(generator.draw_noise(keys)).clamp(0, 1)
    sides = generator.encoder_image.shape[1:]
    return images if images.shape[2:] == sides else F.interpolate(images, sides, mode="area")


def build(config: LatentTargetConfig) -> LatentTarget:
    """The attack of ``config``."""
    return LatentTarget(**config.model_dump())
