"""Defence: a classifier behind a purifier, deciding by a vote of several draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor

from mlvgm.box import to_box
from mlvgm.errors import InputError
from mlvgm.foreign.answers import check_logits, check_pixels, check_purified
from mlvgm.foreign.given import check_batch, check_images
from mlvgm.foreign.others import NotFinite
from mlvgm.noise import Keys
from mlvgm.protocols.classifier import Classifier
from mlvgm.protocols.purifier import Purifier

VoteRule = Literal["logits", "probabilities", "majority"]
Clamp = Literal["hard", "none"]
Backward = Literal["exact", "bpda"]


@dataclass(frozen=True)
class Defence:
    """Purify, clamp, classify; ``votes`` draws decide together.

    Calling it takes fresh entropy from the operating system each time, so an attacker cannot know the noise;
    ``defence.bind(keys)`` replays.

    Args:
        classifier: [0, 1] images → logits; it may be random too.
        purifier: cleans images first; None classifies them as they are.
        votes: draws of the purifier in one decision (what is deployed; an attack's draws are another setting).
        rule: how draws become one decision: mean logit, mean probability (returned as log p), or majority (returned as
            log vote share).
        clamp: ``hard`` clamps purified images to [0, 1] before they are classified; ``none`` leaves them, as published.

    Example:
        >>> import torch
        >>> class Linear:
        ...     classes = 2
        ...     def __call__(self, images):
        ...         return images.flatten(1)[:, :2]
        >>> defence = Defence(Linear())
        >>> defence(torch.tensor([[[[0.2, 0.8]]]])).argmax(1)
        tensor([1])
    """

    classifier: Classifier
    purifier: Purifier | None = None
    votes: int = 1
    rule: VoteRule = "logits"
    clamp: Clamp = "hard"
    keys: Keys | None = None

    @property
    def stochastic(self) -> bool:
        return (self.purifier is not None and self.purifier.stochastic) or self._classifies_at_random

    @property
    def _classifies_at_random(self) -> bool:
        return bool(getattr(self.classifier, "stochastic", False))

    @property
    def differentiable(self) -> bool:
        """The purifier is; for the classifier see :func:`mlvgm_robust.evaluation.admissible.check_attackable`."""
        return self.purifier is None or self.purifier.differentiable

    @property
    def classes(self) -> int:
        return self.classifier.classes

    def bind(self, keys: Keys) -> Self:
        """The same defence with its noise fixed: ``keys`` hold ``votes`` rows for each image, image-major."""
        return replace(self, keys=keys)

    def purify(self, images: Tensor, keys: Keys, *, backward: Backward = "exact") -> Tensor:
        """Purified images (B·k, C, H, W), clamped as the defence clamps, for B·k rows of ``keys``.

        Args:
            images: (B, C, H, W) in [0, 1].
            keys: B·k rows, image-major.
            backward: what autograd takes for the derivative of purifier and clamp: their own, or the identity (backward
                pass differentiable approximation, BPDA, arXiv 1802.00420, section 4.1.1). The values are the same.
        """
        if self.purifier is None:
            return images.repeat_interleave(len(keys) // len(images), 0) if len(keys) > len(images) else images
        if backward == "bpda":
            with torch.no_grad():
                purified = self.purify(images, keys)
            # Adds exact zeros, which carry the gradient.
            return purified + (images - images.detach()).repeat_interleave(len(keys) // len(images), 0)
        purified = self.purifier.purify(images, self.purifier.noise(keys))
        check_purified(purified, images, draws=len(keys), purifier=self.purifier)
        return self.clamped(purified)

    def clamped(self, purified: Tensor) -> Tensor:
        """Purified images as the classifier gets them."""
        return to_box(purified) if self.clamp == "hard" else purified

    def draw(self, images: Tensor, keys: Keys, *, backward: Backward = "exact") -> Tensor:
        """Logits of single draws.

        Args:
            images: (B, C, H, W) in [0, 1].
            keys: B·k rows, image-major.
            backward: see :meth:`purify`.

        Shape:
            output: (B, k, classes). A deterministic defence computes one draw and repeats it.
        """
        check_batch(images)
        batch, draws = len(images), len(keys) // len(images)
        if len(keys) != batch * draws or draws == 0:
            raise InputError(f"{len(keys)} rows of keys for {batch} images", hint="give every image the same draws")
        if not self.stochastic:
            first = keys[list(range(0, len(keys), draws))]
            logits = self.classify(self.purify(images, first, backward=backward), first)
            return logits.unsqueeze(1).expand(-1, draws, -1)
        return self.classify(self.purify(images, keys, backward=backward), keys).reshape(batch, draws, -1)

    def classify(self, purified: Tensor, keys: Keys) -> Tensor:
        """Logits (N, classes) of purified images; ``keys`` have a row for each, for a classifier that is random."""
        try:
            if self._classifies_at_random:
                logits: Tensor = cast("Any", self.classifier).draw(purified, keys.derive("classifier"))
            else:
                logits = self.classifier(purified)
            check_logits(logits, purified, classifier=self.classifier)
        except NotFinite:
            check_pixels(purified, purifier=self.purifier)
            raise
        return logits

    def ballots(self, logits: Tensor) -> Tensor:
        """What each draw brings to the vote, (B, k, classes); the class with the largest mean wins."""
        if self.rule == "logits":
            return logits
        if self.rule == "probabilities":
            return logits.softmax(2)
        return torch.nn.functional.one_hot(logits.argmax(2), logits.shape[2]).to(logits.dtype)

    def vote(self, logits: Tensor) -> Tensor:
        """One decision from the draws: (B, k, classes) → scores (B, classes), the largest wins.

        The majority is not differentiable; attacks follow its smooth stand-in, the mean probability.
        """
        if self.rule == "logits":
            return logits.mean(1)
        if self.rule == "majority" and not logits.requires_grad:
            shares = torch.nn.functional.one_hot(logits.argmax(2), logits.shape[2]).double().mean(1)
            # Ties go to the class with the larger mean logit, so that the order of classes decides nothing.
            return (shares + 1e-6 * logits.double().mean(1).softmax(1)).log().to(logits.dtype)
        return logits.log_softmax(2).logsumexp(1) - torch.log(torch.tensor(float(logits.shape[1])))

    def __call__(self, images: Tensor) -> Tensor:
        """Scores (B, classes) of one decision for each image.

        Raises:
            InputError: images that are not finite float32 in [0, 1].
        """
        check_images(images)
        votes = self.votes if self.stochastic else 1
        keys = self.keys or Keys.fresh(len(images), draws=votes)
        return self.vote(self.draw(images, keys))
