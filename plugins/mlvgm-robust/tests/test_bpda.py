"""BPDA and transfer: exact values, the identity for a purifier's derivative, the bare classifier beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from toys import Additive, Brightness

from mlvgm.errors import ConfigError
from mlvgm.noise import Keys
from mlvgm.protocols.attack import AttackContext, AttackInfo, gradient_paths
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, run_attack, transferred
from mlvgm_robust.evaluation.target import Target
from tolerance import close


@dataclass(frozen=True)
class Squared:
    """Pixels p ↦ 2 p² − 0.2 plus a Gaussian number: leaves the box on both sides, its derivative is 4 p."""

    stochastic: bool = True
    differentiable: bool = True

    def to(self, device: torch.device | str) -> Self:
        return self

    def noise(self, keys: Keys) -> Tensor:
        return Additive(0.05).noise(keys)

    def purify(self, images: Tensor, noise: Tensor) -> Tensor:
        repeated = images.repeat_interleave(len(noise) // len(images), 0)
        return 2 * repeated.square() - 0.2 + 0.05 * noise


class Curved(Brightness):
    """Brightness whose gradient depends on the image."""

    def __call__(self, images: Tensor) -> Tensor:
        return super().__call__(images.square())


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="none")


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 1, 4, 4, generator=generator), torch.tensor([0, 1, 0, 1])


def target(gradient: Literal["auto", "exact", "bpda"], *, differentiable: bool = True, memory: int = 512) -> Target:
    defence = Defence(Curved(), Squared(differentiable=differentiable), votes=3)
    return Target(defence, samples=range(4), gradient=gradient, memory=memory)


@pytest.mark.parametrize("memory", [512, 2])
def test_bpda_is_the_classifiers_gradient_at_the_purified_image(batch: tuple[Tensor, Tensor], memory: int) -> None:
    images, labels = batch
    _, gradient, logits = target("bpda", memory=memory).gradient(images, loss, labels, draws=3)
    keys = Keys.of(seed=0, purpose="attack", samples=range(4), draws=range(3))
    defence = target("exact").defence
    purified = defence.purify(images, keys)
    assert float(purified.min()) == 0 and float(purified.max()) == 1  # the clamp is at work
    purified.requires_grad_()
    draws = defence.classifier(purified).reshape(4, 3, 2)
    (at_purified,) = torch.autograd.grad(loss(draws.mean(1), labels).sum(), purified)
    close(gradient, at_purified.reshape(4, 3, 1, 4, 4).sum(1))
    close(logits, draws.detach())


def test_values_are_exact_either_way_and_gradients_differ(batch: tuple[Tensor, Tensor]) -> None:
    images, labels = batch
    exact, bpda = (target(gradient).gradient(images, loss, labels, draws=5) for gradient in ("exact", "bpda"))
    close(bpda[0], exact[0])
    close(bpda[2], exact[2])
    assert (exact[1] - bpda[1]).abs().max() > 0.01
    leaf = images.clone().requires_grad_()
    close(target("bpda")(leaf, draws=5), target("exact")(images, draws=5))


def test_auto_is_exact_where_it_can_be(batch: tuple[Tensor, Tensor]) -> None:
    images, labels = batch
    for differentiable, equal in ((True, "exact"), (False, "bpda")):
        chosen = target("auto", differentiable=differentiable).gradient(images, loss, labels, draws=2)[1]
        assert torch.equal(chosen, target(equal).gradient(images, loss, labels, draws=2)[1])


def test_libraries_follow_bpda_through_the_plain_module(batch: tuple[Tensor, Tensor]) -> None:
    images, labels = batch
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(target("auto", differentiable=False)(leaf[:, :]), labels).sum(), leaf)
    _, expected, _ = target("bpda").gradient(images, loss, labels, draws=1)
    close(gradient, expected)


def test_the_undefended_target_is_the_bare_classifier_and_counts(batch: tuple[Tensor, Tensor]) -> None:
    images, labels = batch
    whole = target("auto")
    bare = whole[[2, 0]].undefended()
    assert not bare.stochastic and len(bare) == 2
    assert torch.equal(bare(images[[2, 0]], draws=1).squeeze(1), Curved()(images[[2, 0]]))
    bare.gradient(images[[2, 0]], loss, labels[[2, 0]])
    assert (whole.counts.forwards, whole.counts.backwards) == (4, 2)
    assert whole.stochastic and whole.undefended().undefended().defence.purifier is None


@dataclass(frozen=True)
class Notes:
    """Follows gradients; moves towards the other side only where the target has no purifier."""

    eps: float = 0.3

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("notes", "Linf", self.eps)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        if target.defence.purifier is not None:
            assert context.stop_at_success and context.eot == 8
            return images
        assert not context.stop_at_success and (context.eot, context.selection) == (1, 1)
        return images + torch.where(labels == 1, -self.eps, self.eps)[:, None, None, None]


@dataclass(frozen=True)
class Missing(Additive):
    """Additive, without derivative."""

    differentiable: bool = False

    def purify(self, images: Tensor, noise: Tensor) -> Tensor:
        return super().purify(images.detach(), noise)


def test_transfer_competes_where_the_purifier_is_not_differentiable() -> None:
    images, labels = torch.full((3, 1, 4, 4), 0.6), torch.ones(3, dtype=torch.long)
    images[2] = 0.9  # too far for eps
    missing = run_attack(Defence(Brightness(), Missing(0.01)), Notes(), images, labels)
    assert missing.paths == ("bpda", "transfer") and missing.robust.right.tolist() == [False, False, True]
    assert missing.norm.tolist() == pytest.approx([0.3, 0.3, 0.0])
    exact = run_attack(Defence(Brightness(), Additive(0.01)), Notes(), images, labels)
    assert exact.paths == ("exact",) and exact.robust.right.all()
    target = Target(Defence(Brightness(), Missing(0.01)), samples=range(3))
    context = AttackContext(keys=Keys.of(seed=0, purpose="attacker", samples=range(3)), eot=8, selection=32)
    moved = transferred(Notes(), target, images, labels, context=context)
    close(moved, images - 0.3)


def test_exact_gradients_of_a_purifier_that_has_none_are_refused() -> None:
    images, labels = torch.full((1, 1, 4, 4), 0.6), torch.ones(1, dtype=torch.long)
    with pytest.raises(ConfigError, match="exact gradients"):
        run_attack(Defence(Brightness(), Missing(0.1)), Notes(), images, labels, protocol=Protocol(gradient="exact"))


def test_every_way_to_a_defence() -> None:
    for differentiable in (True, False):
        assert gradient_paths("score", differentiable=differentiable) == ()
        assert gradient_paths("classifier", differentiable=differentiable) == ("transfer",)
        assert gradient_paths("gradient", differentiable=differentiable) == (
            ("exact",) if differentiable else ("bpda", "transfer")
        )
    assert gradient_paths("gradient", differentiable=True, gradient="bpda") == ("bpda",)
