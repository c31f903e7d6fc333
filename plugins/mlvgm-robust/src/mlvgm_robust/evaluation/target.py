"""Target: what an attack sees of a defence, bound to the sample ids of its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mlvgm.errors import InputError
from mlvgm.foreign.given import check_batch
from mlvgm.noise import Keys, row_numbers
from mlvgm.protocols.attack import Gradient
from mlvgm.protocols.classifier import Classifier
from mlvgm.statistics import success_estimate
from mlvgm_robust.evaluation.defence import Backward, Defence


@dataclass
class Counts:
    """What an attack has spent, in images × draws: forward passes and backward passes."""

    forwards: int = 0
    backwards: int = 0


@dataclass(frozen=True)
class Success:
    """Estimated success of candidates against the deployed decision, from fresh draws.

    Args:
        probability: (B,) estimated probability that one deployed decision is wrong (or is the wanted class).
        broken: (B,) bool, certain enough that the attack may stop working on the image.
    """

    probability: Tensor
    broken: Tensor


class Target(nn.Module):
    """The defence under attack. Row i of every call is the i-th image of the batch, so its noise follows it.

    Each image has its own count of draws: the noise of its n-th draw depends on the seed, its sample id and n, and on
    nothing that happens to other images. Third-party attacks use it as a plain module, ``target(images) -> logits``;
    when they pass some of the images without saying which, noise is drawn for the row instead of the sample.

    Args:
        defence: what is attacked; its parameters should be frozen.
        samples: sample id of each image.
        seed: seed of the noise.
        purpose: stream of the noise; selection inside an attack uses ``<purpose>/selection``.
        eot: draws when a call does not say how many.
        memory: most images × draws in one differentiated pass.
        gradient: ``exact``; ``bpda``, which takes the identity for the purifier's derivative (arXiv 1802.00420); or
            ``auto``: exact where the purifier is differentiable, BPDA where it is not.
        counts: takes up what is spent; one of its own by default.

    Example:
        >>> logits = target(images)                                     # (B, K)   # doctest: +SKIP
        >>> draws = target[still](images[still], draws=8)               # (b, 8, K)  # doctest: +SKIP
    """

    def __init__(
        self,
        defence: Defence,
        *,
        samples: Sequence[int],
        seed: int = 0,
        purpose: str = "attack",
        eot: int = 1,
        memory: int = 512,
        gradient: Gradient = "auto",
        counts: Counts | None = None,
    ) -> None:
        super().__init__()
        self.defence = defence
        self.eot = eot if defence.stochastic else 1
        self.memory = memory
        self.backward: Backward = gradient if gradient != "auto" else "exact" if defence.differentiable else "bpda"
        self.counts = counts or Counts()
        self._keys = Keys.of(seed=seed, purpose=purpose, samples=samples)
        self._drawn: dict[tuple[str, int], int] = {}
        self._rows = list(range(len(samples)))
        # Libraries find the device of a module by its buffers or parameters.
        self.register_buffer("anchor", torch.zeros(0))

    @property
    def stochastic(self) -> bool:
        return self.defence.stochastic

    @property
    def classes(self) -> int:
        return self.defence.classes

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Tensor | Sequence[int] | slice) -> Target:
        """The same target for some of its images; counts and streams of noise are shared."""
        return self._with(_rows=[self._rows[i] for i in row_numbers(index, len(self))])

    def undefended(self, classifier: Classifier | None = None) -> Target:
        """The bare classifier behind the purifier, for attacks that transfer; its passes count with the others.

        Args:
            classifier: another one in its place.
        """
        bare = replace(self.defence, purifier=None) if classifier is None else Defence(classifier)
        return self._with(defence=bare, eot=self.eot if bare.stochastic else 1, backward="exact")

    def _with(self, **changes: Any) -> Target:
        other = Target.__new__(Target)
        nn.Module.__init__(other)
        other.register_buffer("anchor", torch.zeros(0))
        for name in ("defence", "eot", "memory", "backward", "counts", "_keys", "_drawn", "_rows"):
            object.__setattr__(other, name, changes.get(name, getattr(self, name)))
        return other

    def _next_keys(self, images: Tensor, draws: int, purpose: str = "") -> Keys:
        """Keys of the next ``draws`` draws of each image, image-major."""
        check_batch(images)
        if draws < 1:
            raise InputError(f"draws must be at least 1, got {draws}")
        count = len(images)
        if count == len(self):
            samples = [self._keys.rows[row][0] for row in self._rows]
        else:  # a third-party attack's own subset: by row, in numbers no sample id has
            samples = [-1 - row for row in range(count)]
        rows = []
        for sample in samples:
            start = self._drawn.get((purpose, sample), 0)
            self._drawn[purpose, sample] = start + draws
            rows += [(sample, start + j) for j in range(draws)]
        stream = f"{self._keys.purpose}/{purpose}" if purpose else self._keys.purpose
        return Keys(self._keys.seed, stream, tuple(rows))

    def forward(self, images: Tensor, draws: int | None = None) -> Tensor:
        """Logits of fresh draws.

        Args:
            images: (B, C, H, W) in [0, 1].
            draws: how many; None gives the deployed rule's scores over ``eot`` draws.

        Shape:
            output: (B, draws, K), or (B, K) for ``draws=None``.
        """
        logits = self._draw(images, self._next_keys(images, draws or self.eot))
        return logits if draws is not None else self.defence.vote(logits)

    def _draw(self, images: Tensor, keys: Keys) -> Tensor:
        self.counts.forwards += len(keys) if self.stochastic else len(images)
        if torch.is_grad_enabled() and images.requires_grad:
            return self.defence.draw(images, keys, backward=self.backward)
        with torch.no_grad():
            return torch.cat([self._draw_part(images[i], keys[rows]) for i, rows in self._parts(len(images), keys)])

    def _draw_part(self, images: Tensor, keys: Keys) -> Tensor:
        if len(images) > 1:
            return self.defence.draw(images, keys)
        pieces = (
            [self.defence.draw(images, keys[i : i + self.memory]) for i in range(0, len(keys), self.memory)]
            if self.stochastic
            else [self.defence.draw(images, keys)]
        )
        return torch.cat(pieces, dim=1)

    def _parts(self, count: int, keys: Keys) -> list[tuple[slice, slice]]:
        """Blocks of whole images whose draws fit in memory (one image where even its own do not)."""
        draws = len(keys) // max(count, 1)
        size = max(1, self.memory // (draws if self.stochastic else 1))
        return [
            (slice(i, min(i + size, count)), slice(i * draws, min(i + size, count) * draws))
            for i in range(0, count, size)
        ]

    def gradient(
        self, images: Tensor, loss: Callable[..., Tensor], *arguments: Tensor, draws: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, its gradient with respect to the images (exact or BPDA, as declared), and the logits, over fresh draws.

        A voting defence is followed through its rule (the loss of the aggregated logits); one that decides on a single
        draw through the mean of the draws' losses.

        Args:
            images: (B, C, H, W) in [0, 1].
            loss: ``loss(logits (n, K), *arguments) -> (n,)``.
            arguments: tensors with one row an image (labels, target classes), passed on in matching rows.
            draws: how many; None means ``eot``.

        Returns:
            loss (B,), gradient of shape of ``images``, logits (B, draws, K), all detached. Memory stays below the cap:
            where one image's draws exceed it, a first pass finds the loss's gradient at the logits and a second replays
            the same noise in pieces.
        """
        count = draws or self.eot
        keys = self._next_keys(images, count)
        self.counts.forwards += len(keys) if self.stochastic else len(images)
        self.counts.backwards += len(keys) if self.stochastic else len(images)
        parts = [
            self._gradient_part(images[i], keys[rows], loss, tuple(a[i] for a in arguments))
            for i, rows in self._parts(len(images), keys)
        ]
        losses, gradients, logits = zip(*parts, strict=True)
        return torch.cat(losses), torch.cat(gradients), torch.cat(logits)

    def _gradient_part(
        self, images: Tensor, keys: Keys, loss: Callable[..., Tensor], arguments: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        images = images.detach().requires_grad_(True)
        if self.stochastic and len(keys) > self.memory:
            return self._two_pass(images, keys, loss, arguments)
        with torch.enable_grad():
            logits = self.defence.draw(images, keys, backward=self.backward)
            losses = self.objective(logits, loss, *arguments)
            (gradient,) = torch.autograd.grad(losses.sum(), images)
        return losses.detach(), gradient, logits.detach()

    def _two_pass(
        self, images: Tensor, keys: Keys, loss: Callable[..., Tensor], arguments: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        pieces = [slice(i, i + self.memory) for i in range(0, len(keys), self.memory)]
        with torch.no_grad():
            logits = torch.cat([self.defence.draw(images, keys[piece]) for piece in pieces], dim=1)
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_(True)
            losses = self.objective(leaf, loss, *arguments)
            (weights,) = torch.autograd.grad(losses.sum(), leaf)
            gradient = torch.zeros_like(images)
            for piece in pieces:
                part = self.defence.draw(images, keys[piece], backward=self.backward)
                gradient = gradient + torch.autograd.grad(part, images, weights[:, piece])[0]
        return losses.detach(), gradient, logits

    def objective(self, logits: Tensor, loss: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
        """The loss of each image that gradients follow: of the vote's logits, or the mean over draws where none votes.

        Args:
            logits: (B, draws, K).
            loss: ``loss(logits (n, K), *arguments)``, with one number or k for each row of logits.
            arguments: tensors with one row an image, passed on in matching rows.

        Shape:
            output: (B,), or (B, k) for a loss that returns (n, k).
        """
        batch, draws, _ = logits.shape
        if self.defence.votes > 1 or draws == 1:
            return loss(self.defence.vote(logits), *arguments)
        repeated = [argument.repeat_interleave(draws, 0) for argument in arguments]
        losses = loss(logits.flatten(0, 1), *repeated)
        return losses.reshape(batch, draws, *losses.shape[1:]).mean(1)

    def success(self, images: Tensor, labels: Tensor, *, draws: int, targets: Tensor | None = None) -> Success:
        """How likely candidates defeat the deployed decision, judged on fresh draws of a stream of its own.

        Args:
            images: (B, C, H, W) candidates.
            labels: (B,) true classes.
            draws: fresh draws; a deterministic defence needs one and its answer is exact.
            targets: (B,) wanted classes; success then means reaching them.
        """
        with torch.no_grad():
            logits = self._draw(images, self._next_keys(images, draws if self.stochastic else 1, "selection"))
        return Success(
            *success_estimate(logits, labels, targets=targets, votes=self.defence.votes, ballots=self.defence.ballots)
        )

    def extra_repr(self) -> str:
        return f"images={len(self)}, eot={self.eot}, stochastic={self.stochastic}"

    def train(self, mode: bool = True) -> Any:
        """Stays as it is: a defence under attack is in evaluation mode, whatever a library asks for."""
        return self
