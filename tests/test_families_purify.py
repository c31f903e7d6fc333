"""Every family behind the real purifier, defence and target; the linear-Gaussian one has closed forms for all of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from linear_models import LinearClassifier
from torch import Tensor
from torch.nn.functional import cross_entropy

from families import FAMILIES, LinearGaussian, StyleGANLike
from mlvgm.noise import Keys
from mlvgm_nvae.architecture import light
from mlvgm_nvae.generator import HierarchicalGenerator
from mlvgm_nvae.network import build as build_nvae
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purifiers.mlvgm import MlvgmConfig, MlvgmPurifier, build
from tolerance import GRADIENT, close

GENERATORS = {
    **{family.__name__: family() for family in FAMILIES},
    "StyleGANLike random": StyleGANLike().with_sampling(noise_mode="random"),
    "NVAE": HierarchicalGenerator(build_nvae(light(), seed=0)),
}
every = pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS.keys())
toys = pytest.mark.parametrize("generator", list(GENERATORS.values())[:-1], ids=list(GENERATORS)[:-1])


def keys(samples: int, draws: int = 1, purpose: str = "test") -> Keys:
    return Keys.of(seed=0, purpose=purpose, samples=range(samples), draws=range(draws))


def images(generator: Any, rows: int) -> Tensor:
    return torch.rand(rows, *generator.encoder_image.shape, generator=torch.Generator().manual_seed(1))


def classifier(generator: Any) -> LinearClassifier:
    size = generator.encoder_image.height * generator.encoder_image.width
    weight = torch.randn(4, size, generator=torch.Generator().manual_seed(2))
    return LinearClassifier(weight / size**0.5, torch.zeros(4))  # logits of order one: no loss is saturated


def purifier(generator: Any, alphas: Any = "linear") -> MlvgmPurifier:
    return build(MlvgmConfig(alphas=alphas), generator=generator)


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="none")


@every
def test_purified_images_take_the_place_of_the_given_ones(generator: Any) -> None:
    model, x, rows = purifier(generator), images(generator, 3), keys(3, draws=4)
    purified = model.purify(x, model.noise(rows))
    assert purified.shape == (12, *x.shape[1:])
    close(model.purify(x, model.noise(rows)), purified)
    for row in (0, 5, 11):
        alone = model.purify(x[[row // 4]], model.noise(rows)[[row]])
        close(alone, purified[[row]])
    assert (purified[0] - purified[1]).abs().max() > 1e-4


@every
def test_noise_follows_the_image_through_the_target(generator: Any) -> None:
    defence, x = Defence(classifier(generator), purifier(generator), votes=3), images(generator, 3)
    target = Target(defence, samples=[4, 7, 1], eot=2)
    assert target.stochastic and target(x).shape == (3, 4)
    logits = Target(defence, samples=[4, 7, 1])(x, draws=5)
    assert logits.shape == (3, 5, 4)
    alone = Target(defence, samples=[1, 4])(x[[2, 0]], draws=5)
    close(alone, logits[[2, 0]], depth=GRADIENT)


@every
@pytest.mark.parametrize("votes", [1, 3])
def test_gradient_has_the_shape_of_the_images_under_any_memory_cap(generator: Any, votes: int) -> None:
    defence = Defence(classifier(generator), purifier(generator), votes=votes, clamp="none")
    x, labels = images(generator, 2), torch.tensor([0, 3])
    results = [Target(defence, samples=range(2), memory=cap).gradient(x, loss, labels, draws=3) for cap in (64, 2)]
    assert results[0][1].shape == x.shape and results[0][2].shape == (2, 3, 4)
    assert results[0][1].flatten(1).abs().amax(1).min() > 0
    for whole, pieces in zip(*results, strict=True):
        close(whole, pieces, depth=GRADIENT)


@toys
def test_gradient_equals_finite_differences_with_frozen_noise(generator: Any) -> None:
    defence = Defence(classifier(generator), purifier(generator), votes=3, clamp="none")
    x, labels = images(generator, 2), torch.tensor([0, 3])
    direction = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def value(shift: float) -> Tensor:
        frozen = Defence(Doubled(defence.classifier), defence.purifier, clamp="none")
        draws = frozen.draw(x.double() + shift * direction, keys(2, draws=3, purpose="attack"))
        return loss(draws.mean(1), labels)

    _, gradient, _ = Target(defence, samples=range(2)).gradient(x, loss, labels, draws=3)
    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    assert ((gradient * direction).flatten(1).sum(1) - slope).abs().max() < 1e-3 * slope.abs().max()


class Doubled:
    """A classifier that takes double images."""

    def __init__(self, model: Any) -> None:
        self.model, self.classes = model, model.classes

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.model.weight.double().T


def test_noise_images_make_a_purifier_random_though_no_latent_is_resampled() -> None:
    stored, drawn = (purifier(StyleGANLike().with_sampling(noise_mode=mode), "none") for mode in ("const", "random"))
    assert not stored.stochastic and drawn.stochastic
    x = images(drawn.generator, 2)
    logits = Target(Defence(classifier(drawn.generator), drawn), samples=range(2))(x, draws=3)
    assert (logits[:, 0] - logits[:, 1]).abs().max() > 1e-3
    purified = stored.purify(x, stored.noise(keys(2, draws=2)))
    close(purified[::2], purified[1::2])


ALPHAS = (0.0, 0.4, 1.0)


def closed_form(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (B, D) of purified images, their covariance (D, D), and the matrix d mean / d x."""
    generator = LinearGaussian()
    alpha, scale = (
        torch.cat([torch.full((size,), value) for size, value in zip(generator.blocks, values, strict=True)])
        for values in (ALPHAS, generator.scales)
    )
    keep = generator.basis @ torch.diag(1 - alpha) @ generator.basis.T
    spread = generator.basis @ torch.diag(alpha * scale)
    return 0.5 + (x.flatten(1) - 0.5) @ keep, spread @ spread.T, keep


def test_mean_and_covariance_of_the_linear_gaussian_purification() -> None:
    model, draws = purifier(LinearGaussian(), ALPHAS), 4000
    x = images(model.generator, 2)
    purified = model.purify(x, model.noise(keys(2, draws=draws))).flatten(1).reshape(2, draws, 16).double()
    mean, covariance, _ = closed_form(x)
    deviation = covariance.diagonal().sqrt()
    assert deviation.min() > 1e-3
    for image in range(2):
        assert ((purified[image].mean(0) - mean[image]) / deviation).abs().max() < 5 / draws**0.5
        error = (purified[image].T.cov() - covariance).abs() / torch.outer(deviation, deviation)
        assert error.max() < 5 * (2 / draws) ** 0.5  # a normal covariance's standard error is at most √2 σσ' / √n


def test_gradient_of_the_linear_gaussian_purification_is_its_kept_part() -> None:
    generator = LinearGaussian()
    model = classifier(generator)
    x = images(generator, 3)
    defence = Defence(model, purifier(generator, ALPHAS), clamp="none")
    _, gradient, _ = Target(defence, samples=range(3)).gradient(x, lambda logits: logits[:, 1] - logits[:, 0], draws=2)
    expected = (model.weight[1] - model.weight[0]) @ closed_form(x)[2]
    close(gradient.flatten(1), expected.expand(3, -1))
