"""Inversion by optimisation: closed forms, every toy family without its encoder, behind purifier and defence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from linear_models import LinearClassifier
from torch import Tensor

from blended_alphas import check_tensor_alphas
from families import BigGANDeepLike, BigGANLike, LinearGaussian, StyleGANLike, VDVAELike
from family import weight
from mlvgm.errors import ConfigError, InputError
from mlvgm.latents import Latents
from mlvgm.noise import Keys, Noise, uniform
from mlvgm.plugins.load import build as build_component
from mlvgm.protocols.generator import Conditional, Encodes, Encoding
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.encoders.inversion import InversionConfig, build, depends_on_coarser
from mlvgm_robust.encoders.optimise import distance
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, run_attack
from mlvgm_robust.purifiers.mlvgm import MlvgmConfig
from mlvgm_robust.purifiers.mlvgm import build as build_purifier
from tolerance import GRADIENT, close


class BareLinear(LinearGaussian):
    encode = None


class BareStyleGAN(StyleGANLike):
    encode = None


class BareBigGAN(BigGANLike):
    encode = None


class BareBigGANDeep(BigGANDeepLike):
    encode = None


FAMILIES = {
    "linear": BareLinear(),
    "stylegan": BareStyleGAN(),
    "stylegan random": BareStyleGAN().with_sampling(noise_mode="random"),
    "biggan": BareBigGAN(),
    "biggan-deep": BareBigGANDeep(),
}
every = pytest.mark.parametrize("generator", FAMILIES.values(), ids=FAMILIES.keys())


def keys(samples: int, draws: int = 1, purpose: str = "test") -> Keys:
    return Keys.of(seed=0, purpose=purpose, samples=range(samples), draws=range(draws))


def inverted(generator: Any, **options: Any) -> Any:
    return build(InversionConfig(**{"steps": 20} | options), generator=generator)


def ramp(generator: Any) -> list[float]:
    count = len(generator.latents)
    return [i / (count - 1) for i in range(count)]


def made(generator: Any, rows: int) -> Tensor:
    return generator.generate(generator.draw_noise(keys(rows, purpose="made")))


def test_linear_gaussian_inversion_is_least_squares() -> None:
    """U is orthonormal and square: the minimum is z = Uᵀ (x − 1/2), exact and unique."""
    model = inverted(BareLinear(), steps=400, regulariser=0, scales=1)
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    found = model.encode(images)
    for value, exact in zip(found.values, LinearGaussian().encode(images).values, strict=True):
        assert (value - exact).abs().max() < 1e-3 * exact.abs().max()  # how far the search has come
    # A quarter pixel of noise is far from the prior: latents leave their start by many standard deviations.
    assert max(float(value.abs().max()) / scale for value, scale in zip(found.values, (0.3, 0.2, 0.1), strict=True)) > 3


def test_regularised_inversion_is_ridge_regression() -> None:
    """min |x − x̄ − U σ u|² / 16 + λ |u|² / 16 has u = σ Uᵀ (x − x̄) / (σ² + λ): start and spreads are measured."""
    penalty = 0.02
    model = inverted(BareLinear(), steps=200, regulariser=penalty, scales=1)
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    coordinates = LinearGaussian().encode(images).values
    assert model.start.spreads == pytest.approx((0.3, 0.2, 0.1), rel=0.1)
    for found, exact, mean, spread in zip(
        model.encode(images).values, coordinates, model.start.means, model.start.spreads, strict=True
    ):
        expected = mean + spread**2 * (exact - mean) / (spread**2 + penalty)
        assert (found - expected).abs().max() < 1e-3 * expected.abs().max()


@every
def test_images_of_the_generator_are_found_again(generator: Any) -> None:
    model, images = inverted(generator, steps=60, regulariser=1e-4), made(generator, 4)
    assert isinstance(model, Encodes) and not isinstance(generator, Encodes)
    assert model.differentiable is False and model.encoder_image == generator.image
    noise = model.draw_noise(keys(4), tied=False)
    encoding = model.encode(images)
    error = distance(model.blend(encoding, noise, [0.0] * len(model.latents)).images, images, scales=1)
    start = distance(model.start.images.mean(0, keepdim=True).expand_as(images), images, scales=1)
    if not generator.nuisances:  # drawn noise images are not searched for
        assert (error < 0.1 * start).all()


@every
def test_an_image_does_not_depend_on_the_others(generator: Any) -> None:
    model, images = inverted(generator), made(generator, 4)
    whole, part = model.encode(images), model.encode(images[[2, 0]])
    for ours, other in zip(part.values, whole[[2, 0]].values, strict=True):
        close(ours, other, depth=GRADIENT)
    if whole.condition is not None:
        close(part.condition, whole.condition[[2, 0]], depth=GRADIENT)


@every
def test_encoding_is_deterministic_detached_and_works_without_grad(generator: Any) -> None:
    model, images = inverted(generator, steps=3), made(generator, 2).requires_grad_()
    before = torch.get_rng_state()
    with torch.no_grad():
        quiet = model.encode(images)
    with torch.inference_mode():
        inference = inverted(generator, steps=3).encode(images)
    loud = model.encode(images)
    assert torch.equal(torch.get_rng_state(), before) and images.grad is None
    assert isinstance(loud, Encoding) and len(loud) == 2 and len(loud.repeat(3)) == 6
    for first, second, third in zip(quiet.values, loud.values, inference.values, strict=True):
        close(first, second)
        close(third, second)
        assert not second.requires_grad


@every
def test_alphas_may_be_a_tensor(generator: Any) -> None:
    model = inverted(generator, steps=3)
    encoding, noise = model.encode(made(generator, 2)), model.draw_noise(keys(2, draws=2), tied=False)
    if not model.nuisances:
        check_tensor_alphas(model, encoding, noise)


@every
def test_blend_mixes_found_latents_with_draws(generator: Any) -> None:
    model, images = inverted(generator, steps=3), made(generator, 2)
    encoding, noise = model.encode(images), model.draw_noise(keys(2, draws=3), tied=False)
    blended = model.blend(encoding, noise, ramp(model))
    assert blended.images.shape == (6, *model.image.shape)
    close(blended.images, model.decode(blended.latents))
    fresh = generator.to_latents(replace(noise, condition=encoding.repeat(3).condition))
    for alpha, mixed, found, drawn in zip(
        ramp(model), blended.latents.values, encoding.repeat(3).values, fresh.values, strict=True
    ):
        close(mixed, (1 - alpha) * found + alpha * drawn)
    sampled = model.blend(encoding, noise, [1.0] * len(model.latents))
    close(sampled.images, generator.generate(replace(noise, condition=sampled.latents.condition)))
    alone = model.blend(encoding[[1]], noise[[4]], ramp(model))
    close(alone.images, blended.images[[4]])
    kept = model.blend(encoding, noise, [0.0] * len(model.latents))
    if not generator.nuisances:
        close(kept.images[::3], kept.images[1::3])
        exchanged = model.blend(encoding, encoding[[1, 0]], [1.0] * len(model.latents))
        for ours, theirs in zip(exchanged.latents.values, encoding[[1, 0]].values, strict=True):
            assert torch.equal(ours, theirs)
        assert (exchanged.latents.condition is encoding.condition) or torch.equal(
            exchanged.latents.condition, encoding.condition
        )
    else:
        assert (kept.images[0] - kept.images[1]).abs().max() > 1e-4
        with pytest.raises(InputError, match="noise0"):
            model.blend(encoding, encoding, ramp(model))


def test_everything_else_is_the_generators_own() -> None:
    generator = BareBigGAN()
    model = inverted(generator)
    assert isinstance(model, Conditional) and not isinstance(inverted(BareStyleGAN()), Conditional)
    assert (model.latents, model.image, model.sampling) == (generator.latents, generator.image, generator.sampling)
    assert model.nuisances == () and model.device == generator.device and model.to("cpu").steps == model.steps
    noise = model.draw_noise(keys(2))
    close(model.generate(noise), generator.generate(noise))
    classes = torch.arange(model.classes)
    assert torch.equal(model.embed_classes(classes), generator.embed_classes(classes))
    assert torch.equal(model.draw_condition(keys(3)), generator.draw_condition(keys(3)))
    cold = model.with_sampling(truncation=0.5)
    assert cold.sampling.truncation == 0.5 and cold.start.spreads[0] < 0.5 < model.start.spreads[0]


def test_descent_begins_at_the_nearest_class_and_moves_its_embedding() -> None:
    model = inverted(BareBigGAN(), steps=1, rate=1e-9)
    found = model.encode(model.start.images[[3, 1]])
    close(found.condition, model.embed_classes(torch.tensor([3, 1])))
    moved = inverted(BareBigGAN(), steps=20).encode(made(BareBigGAN(), 2)).condition
    assert torch.cdist(moved, model.embedding if hasattr(model, "embedding") else BigGANLike.embedding).min() > 0.01


class Mapped(BareStyleGAN):
    """The condition enters in ``to_latents``, as in the mapping network of a conditional StyleGAN."""

    classes = 3
    embedding = weight("classes", 3, 6) * 6

    def draw_condition(self, keys: Keys) -> Tensor:
        return self.embed_classes((uniform(keys, "class", ()) * self.classes).long())

    def embed_classes(self, classes: Tensor) -> Tensor:
        return self.embedding[classes]

    def to_latents(self, noise: Noise) -> Latents:
        drawn = super().to_latents(noise)
        assert noise.condition is not None
        return replace(drawn, values=tuple(w + noise.condition for w in drawn.values), condition=noise.condition)


def test_a_condition_that_enters_with_the_noise_is_the_nearest_class() -> None:
    generator = Mapped()
    model = inverted(generator)
    assert depends_on_coarser(generator) is None and len(model.start.images) == 3
    classes = torch.tensor([2, 0, 1])
    noise = replace(generator.draw_noise(keys(3)), condition=generator.embed_classes(classes))
    encoding = model.encode(generator.generate(noise))
    assert encoding.condition is not None
    nearest = torch.cdist(encoding.condition, generator.embedding).min(1)
    assert nearest.values.max() < 1e-6 and torch.equal(nearest.indices, classes)
    fresh = model.blend(encoding, noise, [1.0] * 4)
    close(fresh.images, generator.generate(noise))


def test_latents_that_depend_on_coarser_ones_are_refused() -> None:
    assert all(depends_on_coarser(generator) is None for generator in FAMILIES.values())
    assert depends_on_coarser(VDVAELike()) == 1
    with pytest.raises(ConfigError, match=r"prior of 'z1' depends on coarser ones.*leave --encoder out"):
        inverted(VDVAELike())


def test_distance_compares_at_every_scale() -> None:
    ones, board = torch.ones(1, 1, 4, 4), torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(2, 2)[None, None]
    nothing = torch.zeros_like(ones)
    assert float(distance(ones, nothing, scales=3)) == 1
    assert float(distance(board, nothing, scales=2)) == 0.5  # a chessboard is gone at half size
    assert float(distance(ones, nothing, scales=8)) == 1  # there are only three


def test_wrong_alphas_and_rows_are_refused() -> None:
    model = inverted(BareLinear(), steps=1)
    encoding = model.encode(made(model, 2))
    for alphas in ([0.5] * 4, [1.5] * 3):
        with pytest.raises(ConfigError, match="alphas"):
            model.blend(encoding, model.draw_noise(keys(2)), alphas)
    with pytest.raises(InputError, match="3 rows of noise for 2"):
        model.blend(encoding, model.draw_noise(keys(3)), ramp(model))


@pytest.mark.parametrize("options", [{"steps": 0}, {"rate": 0}, {"regulariser": -1}, {"scales": 0}, {"step": 5}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"encoder.{next(iter(options))}"):
        build_component("encoders", "inversion", options, generator=BareLinear())


def test_a_purifier_with_found_latents_is_attacked_through_bpda_and_transfer() -> None:
    """A linear classifier behind α = 0: inversion reconstructs, so following the identity breaks it."""
    generator = BareLinear()
    purifier = build_purifier(MlvgmConfig(alphas="none"), generator=inverted(generator, steps=40, regulariser=0))
    assert not purifier.differentiable and not purifier.stochastic
    weight = torch.randn(3, 16, generator=torch.Generator().manual_seed(2))
    model = LinearClassifier(weight, -weight.sum(1) / 2)
    images = 0.5 + 0.05 * torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = model(images).argmax(1)
    eps = 1.5 * float(model.distances(images, labels, dual=1).max())
    attacked = run_attack(
        Defence(model, purifier), ApgdCe("Linf", eps, iterations=2), images, labels, protocol=Protocol(eot=1)
    )
    assert attacked.clean.right.all() and not attacked.robust.right.any()
    assert attacked.paths == ("bpda", "transfer")


def test_a_generator_that_neither_encodes_nor_is_inverted_is_refused() -> None:
    with pytest.raises(ConfigError, match="--encoder inversion"):
        build_purifier(MlvgmConfig(), generator=BareLinear())
