"""Flawed: the gradient is masked, missing or not that of the function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo.base import Behind, blurred, classifier, per_image


class Detached(Behind):
    """The blur is cut out of the graph."""

    def purify(self, images: Tensor) -> Tensor:
        return blurred(images).detach()


class DetachedWithLeak(Behind):
    """The blur is cut out of the graph, a hundredth of the image goes past it."""

    def purify(self, images: Tensor) -> Tensor:
        return 0.01 * images + 0.99 * blurred(images).detach()


class Bytes(Behind):
    """Rounds to bytes, which has no gradient."""

    def purify(self, images: Tensor) -> Tensor:
        return (images * 255).round() / 255


class FewGreys(Behind):
    """Floors to eight grey levels and adds a trace of the image, whose gradient is all there is."""

    def purify(self, images: Tensor) -> Tensor:
        return (images * 8).floor() / 8 + 1e-3 * images


class SteepSteps(Behind):
    """Rounds softly to 16 levels, so steeply that gradients are 0 between steps and huge on them."""

    def purify(self, images: Tensor) -> Tensor:
        levels = 16 * images
        low = levels.detach().floor()
        return (low + torch.sigmoid(200 * (levels - low - 0.5))) / 16


class NearlySaturated(Behind):
    """A softmax so sharp that float32 rounds it to 0 and 1."""

    def answer(self, logits: Tensor) -> Tensor:
        return (100 * logits).softmax(1)


class ColdLogits(Behind):
    """Logits a million times too large: the cross-entropy is 0 or huge."""

    def answer(self, logits: Tensor) -> Tensor:
        return 1e6 * logits


class Ranks(Behind):
    """Answers with the ranks of the logits, plus a millionth of them."""

    def answer(self, logits: Tensor) -> Tensor:
        return logits.argsort(1).argsort(1).to(logits) + 1e-6 * logits


class OneHot(Behind):
    """Answers with the decision, plus a trace of constant logits."""

    def answer(self, logits: Tensor) -> Tensor:
        return nn.functional.one_hot(logits.argmax(1), 10).to(logits) + 0 * logits


class BlockTransform(Behind):
    """Quantises an 8x8 cosine transform as JPEG does, without a gradient; the mean of the blocks keeps one."""

    def purify(self, images: Tensor) -> Tensor:
        n = torch.arange(8.0)
        basis = torch.cos(torch.pi / 8 * (n[None] + 0.5) * n[:, None]) / 2
        basis[0] /= 2**0.5
        basis = basis.to(images)
        blocks = images.unfold(2, 8, 8).unfold(3, 8, 8)
        table = per_image(0.02 + 0.02 * n.to(images))[:, 0, 0, 0]
        step = table[:, None] + table[None]
        spectrum = ((basis @ blocks @ basis.T) / step).round() * step
        back = basis.T @ spectrum @ basis
        back = back.detach() + 1e-3 * blocks
        return back.permute(0, 1, 2, 4, 3, 5).reshape(images.shape).clamp(0, 1)


class DeadEdges(Behind):
    """No gradient for pixels that are exactly 0 or 1, which most are."""

    def purify(self, images: Tensor) -> Tensor:
        inside = (images > 0) & (images < 1)
        return torch.where(inside, images, images.detach())


class DeadBlack(Behind):
    """No gradient for black pixels; the white ones have theirs."""

    def purify(self, images: Tensor) -> Tensor:
        return torch.where(images > 0, images, images.detach())


class Vanishing(Behind):
    """A chain of squashing layers and their inverses, through which float32 loses the gradient."""

    def purify(self, images: Tensor) -> Tensor:
        x = 2 * images - 1
        for _ in range(3):
            x = torch.tanh(4 * x)
        for _ in range(3):
            x = torch.atanh(x.clamp(-1 + 1e-7, 1 - 1e-7)) / 4
        return (x + 1) / 2


class Exploding(Behind):
    """A fast ripple that hardly moves pixels and swamps the gradient."""

    def purify(self, images: Tensor) -> Tensor:
        return images + 2e-3 * torch.sin(3e4 * images)


class _Custom(torch.autograd.Function):
    """The identity with a backward of its own."""

    @staticmethod
    def forward(context: Any, images: Tensor, backward: Any) -> Tensor:
        context.own = backward
        context.save_for_backward(images)
        return images.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return context.own(context.saved_tensors[0], gradient), None


class Flipped(Behind):
    """The gradient's sign is turned."""

    def purify(self, images: Tensor) -> Tensor:
        return _Custom.apply(images, lambda x, g: -g)


class NoiseGradient(Behind):
    """The gradient is noise of the right size, the same for the same image."""

    def purify(self, images: Tensor) -> Tensor:
        def noise(x: Tensor, g: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(int(1e4 * float(x.double().sum())))
            return g.norm() * torch.randn(g.shape, generator=generator).to(g) / g.numel() ** 0.5

        return _Custom.apply(images, noise)


class Mixed(Behind):
    """Nine tenths of the gradient are replaced by noise: it points roughly nowhere, and not quite."""

    def purify(self, images: Tensor) -> Tensor:
        def mixed(x: Tensor, g: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(0)
            other = torch.randn(g.shape[1:], generator=generator).to(g)
            size = per_image(g.flatten(1).norm(dim=1)) / other.norm()
            return 0.1 * g + 0.9 * size * other

        return _Custom.apply(images, mixed)


class Scaled(Behind):
    """Half of the image's rows get a gradient a thousand times too small."""

    def purify(self, images: Tensor) -> Tensor:
        def scaled(x: Tensor, g: Tensor) -> Tensor:
            g = g.clone()
            g[:, :, ::2] *= 1e-3
            return g

        return _Custom.apply(images, scaled)


class OfAnotherModel(Behind):
    """The values of one classifier with the gradient of another."""

    def forward(self, images: Tensor) -> Tensor:
        other = classifier("trades")(images)
        return self.classifier(images).detach() + other - other.detach()


class OnlyInDouble(Behind):
    """The gradient is right in float64, and noise in float32."""

    def purify(self, images: Tensor) -> Tensor:
        def wrong(x: Tensor, g: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(int(1e4 * float(x.double().sum())))
            return g if x.dtype == torch.float64 else g.norm() * torch.randn(g.shape, generator=generator).to(g)

        return _Custom.apply(images, wrong)


class OnlyCleanImages(Behind):
    """The gradient is right on images of bytes, and turned off them: attacks start well and go astray."""

    def purify(self, images: Tensor) -> Tensor:
        def astray(x: Tensor, g: Tensor) -> Tensor:
            off = ((255 * x - (255 * x).round()).abs() > 1e-3).flatten(1).double().mean(1) > 0.05
            return torch.where(per_image(off), -g, g)

        return _Custom.apply(images, astray)


class OnlyNearby(Behind):
    """The gradient is right near the images of the evaluation, and zero farther away than a tenth of the ball."""

    def purify(self, images: Tensor) -> Tensor:
        from zoo.base import nearest

        near = nearest(images.detach())[0] < 0.1
        return torch.where(per_image(near), images, images.detach() + 1e-4 * (images - images.detach()))


class SwallowedNaN(Behind):
    """The gradient is no number where it is large, and a hook turns that into 0."""

    def purify(self, images: Tensor) -> Tensor:
        def swallowed(x: Tensor, g: Tensor) -> Tensor:
            large = g.abs() > g.abs().flatten(1).median(1).values[:, None, None, None]
            return torch.where(large, g / 0 * 0, g).nan_to_num(0.0)

        return _Custom.apply(images, swallowed)


class DeadUnits(Behind):
    """A rectifier far below 0: all units are dead but for a trace."""

    def answer(self, logits: Tensor) -> Tensor:
        centred = logits - logits.amax(1, keepdim=True)
        return (centred.detach() > -1e-9).to(logits) * 10 + 1e-5 * (centred - 5).relu() + 1e-7 * centred


class Plateaus(Behind):
    """Steps of a quarter in every logit, with a slope between them that leads the wrong way."""

    def answer(self, logits: Tensor) -> Tensor:
        steps = (2 * logits).round() / 2
        return steps - 0.05 * (logits - steps.detach())


class RippledLogits(Behind):
    """Logits with a ripple whose slope is much steeper than their own."""

    def answer(self, logits: Tensor) -> Tensor:
        return logits + 0.05 * torch.sin(1000 * logits)


class StraightThrough(Behind):
    """Sixteen grey levels, and the identity for their derivative."""

    def purify(self, images: Tensor) -> Tensor:
        return images + ((images * 15).round() / 15 - images).detach()


class TooSmall(Behind):
    """All logits times 1e-30: gradients of float32 underflow."""

    def answer(self, logits: Tensor) -> Tensor:
        return logits * 1e-30 * 1e-12
