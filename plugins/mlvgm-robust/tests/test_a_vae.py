"""A-VAE: shapes, noise by keys, gradients, and each piece of its losses against a slow or closed form."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import Normal, kl_divergence

import mlvgm_robust
from mlvgm.errors import InputError
from mlvgm.noise import Keys
from mlvgm_robust.competitors.a_vae.architecture import AVAEArchitecture, load, save
from mlvgm_robust.competitors.a_vae.critic import Critic, critic_loss, gaussian_kl, gradient_penalty
from mlvgm_robust.competitors.a_vae.network import AVAE
from mlvgm_robust.competitors.a_vae.purifier import AVAEConfig, AVAEPurifier, build

SMALL = AVAEArchitecture(image=(3, 16, 16), pool=2, widths=(6, 5, 4), latent_channels=3, skip_channels=2, style=4)


def network(architecture: AVAEArchitecture = SMALL) -> AVAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AVAE(architecture).eval().requires_grad_(False)


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def keys(draws: int, count: int = 3) -> Keys:
    return Keys.of(seed=0, purpose="test", samples=range(count), draws=range(draws))


@pytest.mark.parametrize(
    "architecture",
    [
        AVAEArchitecture(),
        SMALL,
        AVAEArchitecture(image=(1, 64, 64), widths=(8, 8, 8, 4, 4), pool=4),
        AVAEArchitecture(image=(1, 64, 64), widths=(8, 8, 8, 4, 4), pool=2),
        AVAEArchitecture(image=(1, 32, 32), pool=1),
    ],
)
def test_shapes(architecture: AVAEArchitecture) -> None:
    purifier = AVAEPurifier(network(architecture))
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


def test_noise_follows_its_keys_and_draws_are_image_major() -> None:
    purifier, x = AVAEPurifier(network()), images()
    whole = purifier.purify(x, purifier.noise(keys(4)))
    alone = purifier.purify(x[1:2], purifier.noise(keys(4)[slice(4, 8)]))
    torch.testing.assert_close(whole[4:8], alone)
    torch.testing.assert_close(whole[4:8], purifier.purify(x[1:2], purifier.noise(keys(4))[[4, 5, 6, 7]]))
    assert purifier.stochastic and not torch.allclose(whole[4], whole[5])


def test_temperature_zero_takes_the_mean() -> None:
    purifier, x = AVAEPurifier(network(), temperature=0.0), images()
    purified = purifier.purify(x, purifier.noise(keys(2)))
    assert not purifier.stochastic and torch.equal(purified[::2], purified[1::2])
    mean = purifier.network.decode(purifier.network.encode(x), torch.zeros(3, *SMALL.latent_shape))
    torch.testing.assert_close(purified[::2], mean)


def test_temperature_scales_the_deviations() -> None:
    model, x = network(), images(1)
    noise = AVAEPurifier(model).noise(keys(1, 1))
    encoded = model.encode(x)
    latent = encoded.mean + 0.6 * (encoded.log_variance.exp()).sqrt() * noise.of(0)
    torch.testing.assert_close(AVAEPurifier(model, 0.6).purify(x, noise), model.decoder(latent, encoded.skip))


def test_only_pooled_pixels_count() -> None:
    """What averages out over 2×2 pixels does not reach the encoder."""
    purifier, x = AVAEPurifier(network()), images()
    hidden = 0.1 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)
    noise = purifier.noise(keys(1))
    torch.testing.assert_close(purifier.purify(x + hidden, noise), purifier.purify(x, noise), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(purifier.purify(x + 0.1, noise), purifier.purify(x, noise), atol=1e-5)


def test_gradients_match_finite_differences() -> None:
    purifier = AVAEPurifier(network().double())
    noise = purifier.noise(keys(2, 1))
    x = images(1).double().requires_grad_(True)
    weights = torch.randn(2, 3, 16, 16, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad((weights * purifier.purify(x, noise)).sum(), x)
    direction = gradient.sign()
    ahead, behind = (purifier.purify(x.detach() + s * 1e-6 * direction, noise) for s in (1, -1))
    slope = (weights * (ahead - behind)).sum() / 2e-6
    assert slope.abs() > 1e-2
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=1e-7)


def test_gradient_penalty_of_a_linear_critic() -> None:
    """D(x) = ⟨w, x⟩ has the gradient w everywhere."""
    w = torch.randn(48, generator=torch.Generator().manual_seed(0))
    real, made = torch.rand(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(1)).unbind()
    shares = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(2))
    found = gradient_penalty(lambda x: x.flatten(1) @ w, real, made, shares)
    torch.testing.assert_close(found, (w.norm() - 1).square())


def test_gradient_penalty_of_a_quadratic_critic_is_taken_between_the_images() -> None:
    """D(x) = ‖x‖² / 2 has the gradient x, which is x̂ there."""
    real, made = torch.rand(2, 5, 1, 2, 2, generator=torch.Generator().manual_seed(1)).unbind()
    shares = torch.tensor([0.0, 1.0, 0.25, 0.5, 0.75]).view(5, 1, 1, 1)
    between = shares * real + (1 - shares) * made
    expected = torch.stack([(row.norm() - 1) ** 2 for row in between]).mean()
    found = gradient_penalty(lambda x: x.flatten(1).square().sum(1) / 2, real, made, shares)
    torch.testing.assert_close(found, expected)


def test_gradient_penalty_reaches_the_critic() -> None:
    critic = Critic(SMALL)
    gradient_penalty(critic, images(), 1 - images(), torch.full((3, 1, 1, 1), 0.5)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for n, p in critic.named_parameters() if "weight" in n)


def test_critic_loss_by_hand() -> None:
    real, made = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -1.5])
    assert critic_loss(real, made, drift=0.1).item() == pytest.approx((0.5 - 1.5) / 2 - 1.5 + 0.1 * (1 + 4) / 2)


def test_kl_is_that_of_two_gaussians() -> None:
    mean, log_variance = torch.randn(2, 6, generator=torch.Generator().manual_seed(0)).unbind()
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros(6), torch.ones(6)))
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)


def test_images_of_another_shape_are_refused() -> None:
    purifier = AVAEPurifier(network())
    with pytest.raises(InputError, match=r"'a-vae' works on images \(3, 16, 16\), came \(1, 32, 32\)"):
        purifier.purify(torch.zeros(1, 1, 32, 32), purifier.noise(keys(1, 1)))
    with pytest.raises(InputError, match="3 rows of noise for 2 images"):
        purifier.purify(images(2), purifier.noise(keys(1)))


def test_a_file_holds_the_network(tmp_path: Path) -> None:
    model = network()
    save(model, tmp_path / "a.safetensors")
    again = build(AVAEConfig(weights=str(tmp_path / "a.safetensors"), temperature=0.0))
    torch.testing.assert_close(again.network.encode(images()), model.encode(images()), rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in again.network.parameters())


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither shipped"):
        load("nothing")
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="safetensors"):
        load(str(tmp_path / "broken.safetensors"))


def test_a_card_lies_beside_the_shipped_weights() -> None:
    (weights,) = mlvgm_robust.a_vae_purifier.weights
    file = Path(mlvgm_robust.__file__).parent / weights.file.partition(":")[2]
    assert weights.sha256 in file.with_suffix(".md").read_text()
    assert file.stat().st_size < 4_000_000
    assert load(weights.name).architecture.image == (1, 32, 32)
