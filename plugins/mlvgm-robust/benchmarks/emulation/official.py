"""The official evaluation's loop, written anew from its description: one image at a time, every draw on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlvgm.noise import Keys
from mlvgm_robust.attacks.hyperplane import to_hyperplane
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.published.apgd import checkpoints
from mlvgm_robust.published.config import CE_BOUNDS, DLR_BOUNDS
from mlvgm_robust.published.tasks import TASKS

DRAWS, TASK = 32, TASKS["fashion"]


@dataclass(frozen=True)
class Caps:
    """Most steps of every loop: DeepFool, C&W and its restarts, APGD at each bound, FAB."""

    deepfool: int = 6
    carlini_wagner: int = 40
    restarts: int = 2
    apgd: int = 8
    fab: int = 6


@dataclass
class Official:
    """The official loop for one image at a time; ``passes`` counts forward and backward passes of 32 draws."""

    defence: Defence
    caps: Caps
    generator: torch.Generator
    passes: list[int] = field(default_factory=lambda: [0, 0])
    drawn: int = 0

    def logits(self, image: Tensor) -> Tensor:
        """Mean over 32 copies of the image, each encoded and decoded on its own: (1, K)."""
        keys = Keys.of(seed=5, purpose="emulation", samples=range(self.drawn, self.drawn + DRAWS))
        self.drawn += DRAWS
        self.passes[0] += 1
        return self.defence.draw(image.repeat(DRAWS, 1, 1, 1), keys).mean((0, 1))[None]

    def fooled(self, image: Tensor, label: int) -> bool:
        with torch.no_grad():
            return int(self.logits(image).argmax()) != label

    def slope(self, value: Tensor, at: Tensor, *, keep: bool = False) -> Tensor:
        self.passes[1] += 1
        return torch.autograd.grad(value, at, retain_graph=keep)[0]

    def normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator)

    def boundaries(self, out: Tensor, at: Tensor, label: int, rivals: list[int]) -> tuple[Tensor, Tensor]:
        """z_j − z_y and its slope for each rival, a backward pass each, from the logits (K,) of ``at``."""
        gaps = [out[rival] - out[label] for rival in rivals]
        slopes = [self.slope(gap, at, keep=gap is not gaps[-1]) for gap in gaps]
        return torch.stack(gaps).detach(), torch.cat(slopes)

    def deepfool(self, image: Tensor, label: int) -> Tensor | None:
        values = TASK.deepfool
        at = image.clone().requires_grad_(True)
        out = self.logits(at)[0]
        order = out.argsort(descending=True).tolist()
        if order[0] != label:
            return image
        for _ in range(self.caps.deepfool):
            gaps, slopes = self.boundaries(out, at, label, order[1 : values.classes])
            lengths = slopes.flatten(1).norm(dim=1)
            nearest = int((gaps.abs() / lengths).argmin())
            step = (gaps[nearest].abs() / lengths[nearest] + 1e-4) * slopes[nearest] / lengths[nearest]
            at = (at.detach() + (1 + values.overshoot) * step).requires_grad_(True)
            out = self.logits(at)[0]
            if int(out.argmax()) != label:
                return at.detach()
        return None

    def fgsm(self, image: Tensor, label: int, length: float) -> Tensor:
        at = image.clone().requires_grad_(True)
        sign = self.slope(torch.nn.functional.cross_entropy(self.logits(at), torch.tensor([label])), at).sign()
        return (image + length * sign / sign.norm()).clamp(0, 1)

    def carlini_wagner(self, image: Tensor, label: int) -> Tensor | None:
        values, c = TASK.carlini_wagner, TASK.carlini_wagner.c
        best, nearest = None, torch.inf
        for _ in range(self.caps.restarts):
            noise = self.normal(image)
            start = self.fgsm(image, label, TASK.start) + TASK.noise * noise / noise.norm()
            w = torch.atanh(2 * start.clamp(1e-6, 1 - 1e-6) - 1).requires_grad_(True)
            adam = torch.optim.Adam([w], lr=values.rate)
            stored, length, success, updates, mean = None, torch.inf, False, 0, 0.0
            for _ in range(self.caps.carlini_wagner):
                point = (w.tanh() + 1) / 2
                out = self.logits(point)[0]
                others = torch.cat([out[:label], out[label + 1 :]]).max()
                away = (point - image).square().sum()
                loss = away + c * (out[label] - others + values.kappa).clamp_min(0)
                (w.grad,) = (self.slope(loss, w),)
                torch.nn.utils.clip_grad_norm_([w], 1.0)
                adam.step()
                fooled = int(out.argmax()) != label
                if fooled:
                    if updates > values.window and float(loss.detach()) > mean:
                        break
                    mean += (float(loss.detach()) - mean) / (min(updates, values.window) + 1)
                    updates += 1
                if (fooled and not success) or (float(away.detach()) < length and stored is not None):
                    stored, length, success = point.detach(), float(away.detach()), fooled
            if success and length < nearest:
                best, nearest, c = stored, length, 0.8 * c
            else:
                c *= 0.9 if success else 1.2
            c = min(max(c, 0.1), 1000.0)
        return best

    def apgd(self, image: Tensor, label: int, loss: Callable[[Tensor, int], Tensor], eps: float) -> Tensor:
        def inside(point: Tensor) -> Tensor:
            delta = point - image
            return (image + delta * (eps / delta.norm()).clamp_max(1)).clamp(0, 1)

        def evaluate(point: Tensor) -> tuple[float, Tensor]:
            at = point.clone().requires_grad_(True)
            value = loss(self.logits(at), label)
            return float(value.detach()), self.slope(value, at)

        noise = self.normal(image)
        point = previous = inside(image + eps * noise / noise.norm())
        value, slope = evaluate(point)
        best = (value, point, slope)
        step, rises, halved, checked, last = 2 * eps, 0, True, value, 0
        for i in range(1, self.caps.apgd + 1):
            ahead = inside(point + step * slope / slope.norm().clamp_min(1e-12))
            share = 1.0 if i == 1 else 0.75
            moved = inside(point + share * (ahead - point) + (1 - share) * (point - previous))
            previous, point, before = point, moved, value
            value, slope = evaluate(point)
            rises += value > before
            best = (value, point, slope) if value > best[0] else best
            if i in checkpoints(self.caps.apgd):
                stalled = rises < 0.75 * (i - last) or (not halved and best[0] <= checked)
                if stalled:
                    step, (value, point, slope) = step / 2, best
                halved, checked, rises, last = stalled, best[0], 0, i
        return point

    def fab(self, image: Tensor, label: int) -> Tensor | None:
        rivals = [k for k in range(self.defence.classes) if k != label]
        point, best, nearest = image, None, torch.inf
        flat = image.flatten(1)
        for _ in range(self.caps.fab):
            at = point.clone().requires_grad_(True)
            gaps, slopes = self.boundaries(self.logits(at)[0], at, label, rivals)
            lengths = slopes.flatten(1).norm(dim=1)
            k = int((gaps.abs() / lengths).argmin())
            w, x = slopes[k].flatten()[None], point.flatten(1)
            step = to_hyperplane(x, w, gaps[k][None], norm="L2")
            back = to_hyperplane(flat, w, gaps[k][None] + (w * (flat - x)).sum(1), norm="L2")
            alpha = float((step.norm() / (step.norm() + back.norm()).clamp_min(1e-12)).clamp_max(0.1))
            moved = (1 - alpha) * (x + 1.05 * step) + alpha * (flat + 1.05 * back)
            point = moved.clamp(0, 1).reshape_as(image)
            if self.fooled(point, label):
                away = float((point - image).norm())
                best, nearest = (point, away) if away < nearest else (best, nearest)
                point = 0.1 * image + 0.9 * point
        return best

    def autoattack(self, image: Tensor, label: int) -> Tensor | None:
        found = []
        for loss, bounds in ((_cross_entropy, CE_BOUNDS), (_dlr, DLR_BOUNDS)):
            for eps in bounds:
                point = self.apgd(image, label, loss, eps)
                if self.fooled(point, label):
                    found.append(point)
                    break
        by_fab = self.fab(image, label)
        found += [] if by_fab is None else [by_fab]
        return min(found, key=lambda point: float((point - image).norm()), default=None)


def _cross_entropy(logits: Tensor, label: int) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, torch.tensor([label]))


def _dlr(logits: Tensor, label: int) -> Tensor:
    ordered, classes = logits[0].sort(descending=True)
    rival = torch.cat([logits[0, :label], logits[0, label + 1 :]]).max()
    third = ordered[3] if int(classes[2]) == label else ordered[2]
    return (rival - logits[0, label]) / (ordered[0] - third + 1e-12)
