"""The light encoder and its training: finds draws again, resumes exactly, never needs a label of a real image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from stripes import ARCHITECTURE, Stripes
from torch import Tensor
from torch.nn import functional as F

import mlvgm
import short_training
from mlvgm.errors import CheckFailed, InputError
from mlvgm.noise import Keys
from mlvgm.protocols.data import Split
from mlvgm.weights.file import read_weights
from mlvgm_biggan.biggan.architecture import BigGANArchitecture
from mlvgm_biggan.biggan.discriminator import DiscriminatorArchitecture, build_discriminator, save_discriminator
from mlvgm_biggan.biggan.network import BigGAN, build
from mlvgm_biggan.biggan.training_data import draw
from mlvgm_biggan.biggan.training_statistics import standing_statistics
from mlvgm_biggan.biggan.weights import assemble, save
from mlvgm_biggan.encoder.light import LightEncoderArchitecture, build_encoder
from mlvgm_biggan.encoder.losses import encoder_losses
from tolerance import close

SIZES = LightEncoderArchitecture(
    image=(1, 8, 8), dim_z=5, classes=2, embedding=4, widths=(8, 16, 16), squeezed=16, hidden=32
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Weights of a generator whose classes are far apart, and of a discriminator."""
    folder = tmp_path_factory.mktemp("generator")
    network = build(ARCHITECTURE, seed=0)
    network.embedding.weight.data.mul_(3)
    standing_statistics(network, batches=10, batch=50, seed=0)
    save(network, folder / "weights.safetensors")
    widths = DiscriminatorArchitecture(channels=1, classes=2, widths=(8, 8))
    save_discriminator(build_discriminator(widths, seed=0), folder / "discriminator.safetensors")
    return {part: str(folder / f"{name}.safetensors") for part, name in PARTS.items()}


PARTS = {"generator": "weights", "discriminator": "discriminator"}


SMALL = {"widths": SIZES.widths, "squeezed": SIZES.squeezed, "hidden": SIZES.hidden}
OPTIONS: Mapping[str, Any] = {**SMALL, "steps": 12, "batch": 8, "warmup_steps": 3}


def run(folder: Path, files: Mapping[str, str], *, data: Any = None, **options: object) -> list[float]:
    """Losses of a training."""
    given = {**OPTIONS, **files, **options}
    seen = short_training.figures("encoder", "biggan", given, data or Stripes(), folder)
    return [figures["loss"] for figures in seen]


def fresh(network: BigGAN, *, count: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    chunks, classes = draw(ARCHITECTURE, Keys.of(seed=7, purpose="test", samples=[0]), count=count, device="cpu")
    with torch.no_grad():
        return (network(chunks, network.embed(classes)) + 1) / 2, torch.cat(chunks, 1), classes


def test_condition_is_the_mean_embedding_under_the_predicted_classes() -> None:
    encoder = build_encoder(SIZES, seed=0).eval()
    encoder.embeddings.copy_(torch.randn(2, 4, generator=torch.Generator().manual_seed(0)))
    images = torch.rand((3, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    z, condition = encoder.encode(images)
    logits = encoder(images)[1]
    for row in range(3):
        shares = [torch.exp(logit) for logit in logits[row]]
        expected = sum(s * e for s, e in zip(shares, encoder.embeddings, strict=True)) / sum(shares)
        close(condition[row], expected)
    close(encoder.encode(images[:1])[0], z[:1])
    assert encoder.image.shape == (1, 8, 8)


def test_draws_behind_generated_images_are_found_again(files: dict[str, str], tmp_path: Path) -> None:
    run(tmp_path, files, steps=200, batch=16, learning_rate=5e-3, noise_range=(0, 0))
    path = tmp_path / "weights.safetensors"
    network, encoder = assemble(read_weights(path), path)
    assert encoder is not None
    images, z, classes = fresh(network)
    with torch.no_grad():
        found, logits = encoder(images)
    assert (logits.argmax(1) == classes).float().mean() > 0.9
    assert (found - z).square().mean() < 0.5  # of 1 for guessing 0
    close(encoder.embeddings, network.embedding.weight.data)
    generator = mlvgm.load("generators/biggan", weights=str(path))
    noise = generator.draw_noise(Keys.of(seed=1, purpose="test", samples=range(200)))
    blended = generator.blend(generator.encode(images), noise, [0.0, 0.0]).images
    assert (blended - images).square().mean() < 0.5 * images.var(0).mean()
    card = (tmp_path / "weights.md").read_text(encoding="utf-8")
    assert "mlvgm train encoder biggan --data stripes --seed 0" in card and "without labels of real images" in card
    assert "step beyond" not in card


@pytest.mark.exact
def test_the_generator_stays_as_it_was(files: dict[str, str], tmp_path: Path) -> None:
    run(tmp_path, files)
    before, after = read_weights(Path(files["generator"])), read_weights(tmp_path / "weights.safetensors")
    assert all(torch.equal(before.tensors[name], after.tensors[name]) for name in before.tensors)


def test_labels_of_real_images_have_no_part(files: dict[str, str], tmp_path: Path) -> None:
    class Mislabelled(Stripes):
        def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
            images, labels = super().batch(split, ids)
            return images, 1 - labels

    assert run(tmp_path / "wrong", files, data=Mislabelled()) == run(tmp_path / "right", files)


@pytest.mark.exact
def test_killed_and_resumed_ends_with_the_same_weights(files: dict[str, str], tmp_path: Path) -> None:
    options = {**OPTIONS, **files, "noise_range": (0.0, 0.3)}
    short_training.check_killed_and_resumed("encoder", "biggan", options, Stripes(), tmp_path, stop=5)
    assert "step beyond" in (tmp_path / "parts" / "weights.md").read_text(encoding="utf-8")


def test_losses_are_what_they_say(files: dict[str, str]) -> None:
    path = Path(files["generator"])
    network = assemble(read_weights(path), path)[0]
    encoder = build_encoder(SIZES, seed=0).eval()
    encoder.embeddings.copy_(network.embedding.weight.data)
    generated, z, classes = fresh(network, count=4)
    real = Stripes().batch("train", range(6))[0]
    losses = encoder_losses(
        encoder,
        network,
        None,
        generated=generated,
        z=z,
        classes=classes,
        real=real,
        inputs=torch.cat([generated, real]),
    )
    found, logits = encoder(generated)
    assert losses.latent.item() == pytest.approx((found - z).square().mean().item(), rel=1e-4)
    picked = F.log_softmax(logits, 1)[torch.arange(4), classes]
    assert losses.label.item() == pytest.approx(-picked.mean().item(), rel=1e-4)
    codes, condition = encoder.encode(real)
    rebuilt = network([codes[:, :3], codes[:, 3:]], condition)
    assert losses.pixel.item() == pytest.approx((rebuilt - (2 * real - 1)).square().mean().item(), rel=1e-4)
    assert losses.prior.item() == pytest.approx(codes.square().mean().item(), rel=1e-4)
    assert losses.feature.item() == 0


def test_refusals(files: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="diverged at step"):
        run(tmp_path / "a", files, pixel=1e39)
    with pytest.raises(InputError, match="neither shipped"):
        run(tmp_path / "b", {**files, "generator": "nosuch"})
    with pytest.raises(InputError, match="expected weights of format 'mlvgm-biggan-discriminator/1'"):
        run(tmp_path / "c", {**files, "discriminator": files["generator"]})
    small = BigGANArchitecture(chunks=(3, 2), classes=2, embedding=4, side=6, widths=(8, 8), image_channels=1)
    save(build(small, seed=0), tmp_path / "small.safetensors")
    with pytest.raises(InputError, match="1×8×8 images, the architecture is for 1×12×12"):
        run(tmp_path / "d", {**files, "generator": str(tmp_path / "small.safetensors")})
    with pytest.raises(ValidationError, match="multiples of 8, came 12 and 12"):
        LightEncoderArchitecture(image=(1, 12, 12), dim_z=5, classes=2, embedding=4)


def test_features_are_compared_in_the_range_of_the_generator(files: dict[str, str]) -> None:
    """A discriminator whose only feature is the image: the error of pixels in [−1, 1], as a share of their square."""
    path = Path(files["generator"])
    network, encoder = assemble(read_weights(path), path)[0], build_encoder(SIZES, seed=0).eval()
    encoder.embeddings.copy_(network.embedding.weight.data)
    generated, z, classes = fresh(network, count=4)
    real = Stripes().batch("train", range(6))[0]
    looking: Any = SimpleNamespace(features=lambda images: [images])
    given = {"generated": generated, "z": z, "classes": classes, "real": real}
    losses = encoder_losses(encoder, network, looking, **given, inputs=torch.cat([generated, real]))
    expected = losses.pixel / (2 * real - 1).square().mean()
    assert losses.feature.item() == pytest.approx(expected.item(), rel=1e-5)
