"""A-VAE: shapes, temperature, pooling, and each piece of its losses against a slow or closed form."""

from __future__ import annotations

import pytest
import torch
from autoencoders import A_VAE, a_vae, images, keys
from pydantic import ValidationError
from torch.distributions import Normal, kl_divergence

from mlvgm_robust.competitors.a_vae.architecture import AVAEArchitecture
from mlvgm_robust.competitors.a_vae.critic import Critic, critic_loss, gaussian_kl, gradient_penalty
from mlvgm_robust.competitors.a_vae.purifier import AVAEPurifier
from tolerance import close


@pytest.mark.parametrize(
    "architecture",
    [
        AVAEArchitecture(),
        A_VAE,
        AVAEArchitecture(image=(1, 64, 64), widths=(8, 8, 8, 4, 4), pool=4),
        AVAEArchitecture(image=(1, 64, 64), widths=(8, 8, 8, 4, 4), pool=2),
        AVAEArchitecture(image=(1, 32, 32), pool=1),
    ],
)
def test_shapes(architecture: AVAEArchitecture) -> None:
    purifier = AVAEPurifier(a_vae(architecture))
    x = torch.rand(2, *architecture.image, generator=torch.Generator().manual_seed(1))
    assert purifier.purify(x, purifier.noise(keys(3, 2))).shape == (6, *architecture.image)
    encoded = purifier.network.encode(x)
    assert encoded.mean.shape == (2, *architecture.latent_shape)
    assert encoded.skip.shape[2] == architecture.image[1] // architecture.pool // 2
    assert Critic(architecture)(x).shape == (2,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": (1, 28, 28)}, "4 widths are for square images of 32"),
        ({"pool": 8}, "at least 8×8"),
        ({"pool": 3}, "at least 8×8"),
        ({"widths": (4, 4)}, "square images of 8"),
    ],
)
def test_architectures_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AVAEArchitecture.model_validate(options)


def test_temperature_zero_takes_the_mean() -> None:
    purifier, x = AVAEPurifier(a_vae(), temperature=0.0), images()
    purified = purifier.purify(x, purifier.noise(keys(2)))
    assert not purifier.stochastic and torch.equal(purified[::2], purified[1::2])
    mean = purifier.network.decode(purifier.network.encode(x), torch.zeros(3, *A_VAE.latent_shape))
    close(purified[::2], mean)


def test_temperature_scales_the_deviations() -> None:
    model, x = a_vae(), images(1)
    noise = AVAEPurifier(model).noise(keys(1, 1))
    encoded = model.encode(x)
    latent = encoded.mean + 0.6 * (encoded.log_variance.exp()).sqrt() * noise.of(0)
    close(AVAEPurifier(model, 0.6).purify(x, noise), model.decoder(latent, encoded.skip))


def test_only_pooled_pixels_count() -> None:
    """What averages out over 2×2 pixels does not reach the encoder."""
    purifier, x = AVAEPurifier(a_vae()), images()
    hidden = 0.1 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)
    noise = purifier.noise(keys(1))
    close(purifier.purify(x + hidden, noise), purifier.purify(x, noise))
    assert not torch.allclose(purifier.purify(x + 0.1, noise), purifier.purify(x, noise), atol=1e-5)


def test_gradient_penalty_of_a_linear_critic() -> None:
    """D(x) = ⟨w, x⟩ has the gradient w everywhere."""
    w = torch.randn(48, generator=torch.Generator().manual_seed(0))
    real, made = torch.rand(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(1)).unbind()
    shares = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(2))
    found = gradient_penalty(lambda x: x.flatten(1) @ w, real, made, shares)
    close(found, (w.norm() - 1).square())


def test_gradient_penalty_of_a_quadratic_critic_is_taken_between_the_images() -> None:
    """D(x) = ‖x‖² / 2 has the gradient x, which is x̂ there."""
    real, made = torch.rand(2, 5, 1, 2, 2, generator=torch.Generator().manual_seed(1)).unbind()
    shares = torch.tensor([0.0, 1.0, 0.25, 0.5, 0.75]).view(5, 1, 1, 1)
    between = shares * real + (1 - shares) * made
    expected = torch.stack([(row.norm() - 1) ** 2 for row in between]).mean()
    found = gradient_penalty(lambda x: x.flatten(1).square().sum(1) / 2, real, made, shares)
    close(found, expected)


def test_gradient_penalty_reaches_the_critic() -> None:
    critic = Critic(A_VAE)
    gradient_penalty(critic, images(), 1 - images(), torch.full((3, 1, 1, 1), 0.5)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for n, p in critic.named_parameters() if "weight" in n)


def test_critic_loss_by_hand() -> None:
    real, made = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -1.5])
    assert critic_loss(real, made, drift=0.1).item() == pytest.approx((0.5 - 1.5) / 2 - 1.5 + 0.1 * (1 + 4) / 2)


def test_kl_is_that_of_two_gaussians() -> None:
    mean, log_variance = torch.randn(2, 6, generator=torch.Generator().manual_seed(0)).unbind()
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros(6), torch.ones(6)))
    close(gaussian_kl(mean, log_variance), expected)
