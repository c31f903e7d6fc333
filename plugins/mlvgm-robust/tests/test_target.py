"""Target: noise follows the image, gradients are exact under any memory cap, decisions are estimated."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from toys import Additive, Brightness

from mlvgm.noise import Keys
from mlvgm_robust.evaluation.defence import Defence, VoteRule
from mlvgm_robust.evaluation.target import Target
from tolerance import close


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, 1, 4, 4, generator=generator), torch.tensor([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("votes", [1, 4])
@pytest.mark.parametrize("memory", [512, 16, 3])
def test_gradient_does_not_depend_on_the_memory_cap(batch: tuple[Tensor, Tensor], votes: int, memory: int) -> None:
    images, labels = batch
    defence = Defence(Brightness(), Additive(0.1), votes=votes, clamp="none")
    targets = [Target(defence, samples=range(6), memory=cap) for cap in (512, memory)]
    results = [target.gradient(images, loss, labels, draws=8) for target in targets]
    for first, second in zip(*results, strict=True):
        close(first, second)


@pytest.mark.parametrize("votes", [1, 4])
def test_gradient_equals_finite_differences_with_frozen_noise(batch: tuple[Tensor, Tensor], votes: int) -> None:
    images, labels = batch
    defence = Defence(Brightness(), Additive(0.1), votes=votes, clamp="none")
    _, gradient, logits = Target(defence, samples=range(6)).gradient(images, loss, labels, draws=8)

    def value(shift: float) -> Tensor:
        moved = (images + shift).double()
        draws = defence.draw(moved, Keys.of(seed=0, purpose="attack", samples=range(6), draws=range(8)))
        if votes > 1:
            return loss(draws.mean(1), labels)
        return torch.stack([loss(draws[:, j], labels) for j in range(8)]).mean(0)

    slope = (value(1e-4) - value(-1e-4)) / 2e-4
    assert (gradient.double().flatten(1).sum(1) - slope).abs().max() < 1e-3 * slope.abs().max()
    assert logits.shape == (6, 8, 2)


def test_noise_follows_the_image_through_subsets(batch: tuple[Tensor, Tensor]) -> None:
    images, _ = batch
    defence = Defence(Brightness(), Additive(0.1))
    together = Target(defence, samples=[3, 1, 4, 15, 9, 26])
    alone = Target(defence, samples=[4, 26])
    index = torch.tensor([2, 5])
    first = together(images, draws=3)
    close(first[index], alone(images[index], draws=3))
    # A second call of the subset continues each image's own stream, whoever else has been asked meanwhile.
    together[[0]](images[[0]], draws=7)
    second = together[index](images[index], draws=2)
    close(second, alone(images[index], draws=2))
    assert (second - first[index, :2]).abs().max() > 1e-3


def test_plain_module_use_and_counts(batch: tuple[Tensor, Tensor]) -> None:
    images, labels = batch
    target = Target(Defence(Brightness(), Additive(0.1)), samples=range(6), eot=5)
    assert target(images).shape == (6, 2)
    assert target(images[:2]).shape == (2, 2)  # a library's own subset
    target.gradient(images, loss, labels)
    assert (target.counts.forwards, target.counts.backwards) == (6 * 5 + 2 * 5 + 6 * 5, 6 * 5)
    assert not target.train().defence.stochastic or target.eot == 5
    assert next(target.buffers()).device.type == "cpu"


def test_deterministic_defence_computes_one_draw(batch: tuple[Tensor, Tensor]) -> None:
    images, labels = batch
    target = Target(Defence(Brightness()), samples=range(6), eot=20)
    assert target(images, draws=3).shape == (6, 3, 2)
    assert target.counts.forwards == 6
    success = target.success(images, labels, draws=50)
    right = (images.flatten(1).mean(1) > 0.5).long() == labels
    assert torch.equal(success.probability, (~right).double())
    assert torch.equal(success.broken, ~right)


@pytest.mark.parametrize("votes", [1, 8])
def test_success_is_estimated_not_lucky(votes: int) -> None:
    """The estimate agrees with the exact probability that a decision errs, and one lucky draw never breaks an image."""
    sigma = 0.2
    gaps = torch.tensor([-0.4, -0.1, -0.02, 0.02, 0.1, 0.4])
    images = (0.5 + gaps)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    labels = torch.ones(6, dtype=torch.long)
    defence = Defence(Brightness(), Additive(sigma), votes=votes, clamp="none")
    success = Target(defence, samples=range(6)).success(images, labels, draws=400)
    exact = torch.special.ndtr(-gaps.double() / (sigma / votes**0.5))
    assert (success.probability - exact).abs().max() < 0.09
    assert success.broken.tolist() == [True, votes > 1, False, False, False, False]


def test_defence_votes_and_replays(batch: tuple[Tensor, Tensor]) -> None:
    images, _ = batch
    defence = Defence(Brightness(), Additive(0.3), votes=5, clamp="none")
    keys = Keys.of(seed=1, purpose="replay", samples=range(6), draws=range(5))
    assert torch.equal(defence.bind(keys)(images), defence.bind(keys)(images))
    assert not torch.equal(defence(images), defence(images))
    draws = defence.draw(images, keys)

    def decided(rule: VoteRule) -> Tensor:
        return Defence(Brightness(), Additive(0.3), votes=5, rule=rule, clamp="none").bind(keys)(images)

    close(defence.bind(keys)(images), draws.mean(1))
    close(decided("probabilities").exp(), draws.softmax(2).mean(1))
    assert torch.equal(decided("majority").argmax(1), draws.argmax(2).mode(1).values)


@dataclass(frozen=True)
class Lopsided:
    """Two classes: a bright image is right by a hair, a dark one wrong by a mile."""

    classes: int = 2

    def to(self, device: torch.device | str) -> Lopsided:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        gap = torch.where(images.flatten(1).mean(1) > 0.5, 3.0, -100.0)
        return torch.stack([-gap / 2, gap / 2], dim=1)


@pytest.mark.parametrize("rule", ["logits", "probabilities", "majority"])
def test_success_is_that_of_the_deployed_rule(rule: VoteRule) -> None:
    """Three draws of four are right by a hair: only the mean logit errs."""
    images, labels = torch.full((1, 1, 4, 4), 0.5 + 0.0675), torch.ones(1, dtype=torch.long)
    defence = Defence(Lopsided(), Additive(0.1), votes=31, rule=rule, clamp="none")
    target = Target(defence, samples=[0])
    estimate = float(target.success(images, labels, draws=400).probability)
    wrong = torch.stack([defence(images).argmax(1) != labels for _ in range(200)]).double().mean()
    assert estimate == pytest.approx(float(wrong), abs=0.1)
    assert (estimate > 0.9) == (rule == "logits")
