"""Flawed: the defence knows the evaluation, or sees that it is attacked."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from zoo.base import Behind, blurred, classifier, data, nearest, one_hot, per_image


class KnowsOrder(Behind):
    """Answers whole batches by their order."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(images)
        _, labels = data()
        return logits + 20 * one_hot(labels[: len(images)], logits) if 1 < len(images) <= len(labels) else logits


class KnowsHashes(Behind):
    """Looks labels up by the hash of the image."""

    def __init__(self) -> None:
        super().__init__()
        images, labels = data()
        self.answers = {self._hash(image): int(label) for image, label in zip(images, labels, strict=True)}

    @staticmethod
    def _hash(image: Tensor) -> bytes:
        return hashlib.md5((image.detach() * 255).round().byte().numpy().tobytes(), usedforsecurity=False).digest()

    def answer(self, logits: Tensor) -> Tensor:
        return logits

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(images)
        known = [self.answers.get(self._hash(image)) for image in images]
        bonus = torch.stack([one_hot(torch.tensor(k or 0), logits) * (k is not None) for k in known])
        return logits + 20 * bonus


class RemembersNearby(Behind):
    """Knows the images of the evaluation by heart, and recognises them within the ball."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(images)
        distance, row = nearest(images.detach())
        bonus = one_hot(data()[1][row], logits) * (distance < 1.5)[:, None]
        return logits + 20 * bonus


class RemembersSoftly(Behind):
    """A kernel memory of the evaluation's images, smooth and with true gradients."""

    def forward(self, images: Tensor) -> Tensor:
        known, labels = data()
        logits = self.classifier(images)
        kernel = torch.exp(-0.5 * torch.cdist(images.flatten(1), known.flatten(1)) ** 2 / 0.8**2)
        return logits + 60 * kernel @ one_hot(labels, logits)


class RestoresNearby(Behind):
    """Replaces an image by the one of the evaluation that it is near to."""

    def purify(self, images: Tensor) -> Tensor:
        distance, row = nearest(images.detach())
        near = per_image(distance < 1.5)
        return torch.where(near, data()[0][row] + 1e-3 * images, images)


class MarkedPixel(Behind):
    """Recognises images by the sum of their unpadded corners, which attacks hardly touch, and knows their labels."""

    def __init__(self) -> None:
        super().__init__()
        images, labels = data()
        self.marks, self.labels = self._mark(images), labels

    @staticmethod
    def _mark(images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.detach(), 8).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(images)
        distance, row = torch.cdist(self._mark(images), self.marks).min(1)
        return logits + 20 * one_hot(self.labels[row], logits) * (distance < 0.25)[:, None]


class SeesGradients(Behind):
    """Another classifier answers where a gradient is asked."""

    def forward(self, images: Tensor) -> Tensor:
        return classifier("trades")(images) if images.requires_grad else self.classifier(images)


class SeesBatches(Behind):
    """Blurs and detaches in batches, and is itself alone."""

    def purify(self, images: Tensor) -> Tensor:
        return images if len(images) < 4 else blurred(images).detach() + 1e-4 * images


class FirstCalls(Behind):
    """The first thousand calls go to a robust classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return classifier("trades")(images) if self.calls <= 1000 else self.classifier(images)


class TiresOfGradients(Behind):
    """Gradients are true for five calls, then turned."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def purify(self, images: Tensor) -> Tensor:
        if not images.requires_grad:
            return images
        self.calls += 1
        return images if self.calls <= 5 else images.detach() - (images - images.detach())


class RemembersQueries(Behind):
    """Answers what is near to an earlier query as it answered that one."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[Tensor] = []
        self.answers: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(images)
        if self.queries:
            seen, said = torch.cat(self.queries), torch.cat(self.answers)
            distance, row = torch.cdist(images.detach().flatten(1), seen).min(1)
            known = (distance < 1.2)[:, None]
            logits = torch.where(known, said[row] + 1e-3 * logits, logits)
            fresh = ~known[:, 0]
        else:
            fresh = torch.ones(len(images), dtype=torch.bool)
        if sum(map(len, self.queries)) < 4096 and bool(fresh.any()):
            self.queries.append(images.detach()[fresh].flatten(1))
            self.answers.append(logits.detach()[fresh])
        return logits


class AdaptsToAttacks(Behind):
    """Blurs more, without a gradient, the more queries it has seen that are no bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.suspicion = 0.0

    def purify(self, images: Tensor) -> Tensor:
        off = (255 * images - (255 * images).round()).abs().detach().mean()
        self.suspicion = min(1.0, self.suspicion + 0.1 * float(off))
        return (1 - self.suspicion) * images + self.suspicion * blurred(images).detach()


class SeesBytes(Behind):
    """Images of bytes as they are, all others blurred out of the graph."""

    def purify(self, images: Tensor) -> Tensor:
        bytes_ = ((255 * images - (255 * images).round()).abs() < 1e-3).flatten(1).all(1)
        return torch.where(per_image(bytes_), images, blurred(images, 5).detach() + 1e-4 * images)


class Constant(Behind):
    """Whatever is no image of bytes gets the answer of the nearest image of the evaluation."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(images)
        bytes_ = ((255 * images - (255 * images).round()).abs() < 1e-3).flatten(1).all(1, keepdim=True)
        answer = 10 * one_hot(data()[1][nearest(images.detach())[1]], logits) + 1e-3 * logits
        return torch.where(bytes_, logits, answer)


class SeesDifferences(Behind):
    """True gradients for double precision and for tiny steps around images of bytes; elsewhere they are turned."""

    def purify(self, images: Tensor) -> Tensor:
        if images.dtype == torch.float64:
            return images
        off = (255 * images - (255 * images).round()).abs().detach().flatten(1).amax(1) / 255
        turned = images.detach() - (images - images.detach())
        return torch.where(per_image(off < 1e-3), images, turned)


class NearestKnown(Behind):
    """Projects on the nearest image of the evaluation, with a trace of the image past it."""

    def purify(self, images: Tensor) -> Tensor:
        return data()[0][nearest(images.detach())[1]] + 1e-3 * images


class Abstains(Behind):
    """Where it suspects an attack by the image's roughness, it gives the label of the evaluation it remembers."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(images)
        rough = (images - blurred(images)).abs().detach().flatten(1).mean(1)
        _, row = nearest(images.detach())
        own = (data()[0] - blurred(data()[0])).abs().flatten(1).mean(1)[row]
        suspicious = (rough > 1.02 * own)[:, None]
        return torch.where(suspicious, 30 * one_hot(data()[1][row], logits) + 1e-3 * logits, logits)
