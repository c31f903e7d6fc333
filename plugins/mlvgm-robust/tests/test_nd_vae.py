"""ND-VAE: shapes, added noise, its likelihood and KL, and the images it learns from."""

from __future__ import annotations

import math

import pytest
import torch
from autoencoders import ND_VAE, images, keys, nd_vae
from linear_models import linear_problem
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from mlvgm.noise import Keys
from mlvgm.training.draws import Draws
from mlvgm_robust.attacks.fgsm import Fgsm
from mlvgm_robust.competitors.nd_vae.architecture import NDVAEArchitecture
from mlvgm_robust.competitors.nd_vae.network import residual_kl
from mlvgm_robust.competitors.nd_vae.pixels import LogisticMixture
from mlvgm_robust.competitors.nd_vae.purifier import NDVAEPurifier
from mlvgm_robust.competitors.nd_vae.training import kl_weight
from mlvgm_robust.competitors.nd_vae.training_config import NDVAETrainingConfig
from mlvgm_robust.competitors.nd_vae.training_data import attacked, noised
from tolerance import GRADIENT, close

KEYS = Keys.of(seed=0, purpose="train", samples=[0])


@pytest.mark.parametrize(
    "architecture",
    [
        NDVAEArchitecture(),
        ND_VAE,
        NDVAEArchitecture(image=(1, 8, 12), widths=(4,), groups=3, stem=4),
        NDVAEArchitecture(image=(1, 64, 64), widths=(6, 5, 4), groups=1, cells=2, mixtures=1, stem=4),
    ],
)
def test_shapes(architecture: NDVAEArchitecture) -> None:
    purifier = NDVAEPurifier(nd_vae(architecture), std=0.1)
    x = torch.rand(2, *architecture.image, generator=torch.Generator().manual_seed(1))
    noise = purifier.noise(keys(3, 2))
    assert purifier.purify(x, noise).shape == (6, *architecture.image)
    assert [tuple(value.shape[1:]) for value in noise.values[1:]] == list(architecture.latent_shapes)
    found = purifier.network(x, [value[:2] for value in noise.values[1:]])
    assert found.kl.shape == (2, architecture.groups * len(architecture.widths)) and (found.kl >= 0).all()


def test_an_architecture_that_cannot_be() -> None:
    with pytest.raises(ValidationError, match="2 scales are for images whose sides are multiples of 8"):
        NDVAEArchitecture(image=(1, 28, 28))
    with pytest.raises(ValidationError, match="from the least to the largest"):
        NDVAETrainingConfig(eps=(2.0, 1.0))


def test_noise_is_added_once_and_clamped() -> None:
    purifier, x = NDVAEPurifier(nd_vae(), std=0.3), images()
    noise = purifier.noise(keys(1))
    inputs = (x + 0.3 * noise.of(0)).clamp(0, 1)
    direct = purifier.network(inputs, noise.values[1:]).pixels.mean()
    close(purifier.purify(x, noise), direct)
    assert noised(x, noise.of(0), std=0.0) is x


def test_kl_is_that_of_the_two_gaussians_of_a_latent() -> None:
    mean, log_sigma, shift, log_scale = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).unbind()
    prior = Normal(mean, log_sigma.exp())
    posterior = Normal(mean + log_sigma.exp() * shift, log_sigma.exp() * log_scale.exp())
    close(residual_kl(shift, log_scale), kl_divergence(posterior, prior), depth=GRADIENT)


def mixture(channels: int = 2, mixtures: int = 3, *, spread: float = 1.0) -> LogisticMixture:
    parameters = spread * torch.randn(1, 3 * mixtures * channels, 2, 2, generator=torch.Generator().manual_seed(0))
    return LogisticMixture.of(parameters.double(), channels=channels)


def slow_log_likelihood(pixels: LogisticMixture, x: Tensor) -> float:
    """One pixel, colour and component at a time, from the logistic's distribution function."""

    def below(value: float, mean: float, scale: float) -> float:
        return 1 / (1 + math.exp(-(value - mean) / scale))

    total = 0.0
    for c, i, j in torch.cartesian_prod(*(torch.arange(n) for n in x.shape[1:])).tolist():
        value = 2 * float(x[0, c, i, j]) - 1
        shares = pixels.logits[0, c, :, i, j].softmax(0).tolist()
        chance = 0.0
        for m, share in enumerate(shares):
            mean, scale = float(pixels.means[0, c, m, i, j]), math.exp(float(pixels.log_scales[0, c, m, i, j]))
            top = 1.0 if value > 1 - 1e-9 else below(value + 1 / 255, mean, scale)
            bottom = 0.0 if value < -1 + 1e-9 else below(value - 1 / 255, mean, scale)
            chance += share * (top - bottom)
        total += math.log(chance)
    return total


def test_likelihood_pixel_by_pixel() -> None:
    x = torch.tensor([0, 1, 128, 254, 255, 17, 0, 255]).view(1, 2, 2, 2).double() / 255
    pixels = mixture()
    assert pixels.log_likelihood(x).item() == pytest.approx(slow_log_likelihood(pixels, x), rel=1e-9)


def test_the_256_values_of_a_pixel_have_probability_one() -> None:
    parameters = mixture(channels=1, spread=2.0)
    one = LogisticMixture(*(part[:, :, :, :1, :1].expand(256, -1, -1, -1, -1) for part in parameters))
    values = (torch.arange(256).double() / 255).view(256, 1, 1, 1)
    close(one.log_likelihood(values).exp().sum(), torch.tensor(1.0, dtype=torch.double))


def test_likelihood_far_in_a_tail_is_finite_and_has_a_gradient() -> None:
    parameters = torch.tensor([0.0, -1.0, -6.9]).view(1, 3, 1, 1).requires_grad_(True)
    likelihood = LogisticMixture.of(parameters, channels=1).log_likelihood(torch.full((1, 1, 1, 1), 200 / 255))
    (gradient,) = torch.autograd.grad(likelihood.sum(), parameters)
    assert likelihood.isfinite().all() and gradient.isfinite().all() and gradient[0, 1].item() > 100


def test_mean_weighs_the_components() -> None:
    parameters = torch.tensor([0.0, math.log(3), -1.0, 0.5, 0.0, 0.0]).view(1, 6, 1, 1)
    expected = ((0.25 * -1 + 0.75 * 0.5) + 1) / 2
    assert LogisticMixture.of(parameters, channels=1).mean().item() == pytest.approx(expected)


def test_attacked_images_are_those_of_fgsm() -> None:
    model, x, labels = linear_problem(classes=3, images=6, shape=(1, 4, 4), seed=0)
    found = attacked(model, x, labels, Draws(KEYS, len(x)), eps=(0.7, 0.7))

    class Exact:
        def gradient(self, images: Tensor, loss: object, wanted: Tensor, *, draws: int) -> tuple[None, Tensor, None]:
            # d CE / dx of a linear classifier: Wᵀ (softmax − one-hot).
            error = model(images).softmax(1) - torch.nn.functional.one_hot(wanted, 3)
            return None, (error @ model.weight).view_as(images), None

    class Context:
        eot = 1

    expected = Fgsm("L2", 0.7)(Exact(), x, labels, context=Context())  # type: ignore[arg-type]
    close(found, expected)


def test_radii_differ_within_their_range() -> None:
    model, x, labels = linear_problem(classes=3, images=40, shape=(1, 8, 8), seed=0)
    size = (attacked(model, x, labels, Draws(KEYS, len(x)), eps=(0.5, 1.0)) - x).flatten(1).norm(dim=1)
    assert 0.5 - 1e-5 <= size.min() < 0.55 and 0.95 < size.max() <= 1 + 1e-5
    again = (attacked(model, x, labels, Draws(KEYS, len(x)), eps=(0.5, 1.0)) - x).flatten(1).norm(dim=1)
    assert torch.equal(size, again)


def test_weight_of_the_kl() -> None:
    assert [kl_weight(step, steps=10, share=0.5) for step in range(7)] == [0, 0.2, 0.4, 0.6, 0.8, 1, 1]
    assert kl_weight(0, steps=10, share=0.0) == 1
