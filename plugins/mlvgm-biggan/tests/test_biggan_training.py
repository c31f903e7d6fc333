"""Training a BigGAN: learns, is a function of its seed, resumes exactly, and refuses what it cannot train on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from stripes import ARCHITECTURE, Stripes
from torch import Tensor

import short_training
from mlvgm.errors import CheckFailed, InputError
from mlvgm.noise import Keys
from mlvgm.training.minibatches import minibatch
from mlvgm.weights.file import read_weights
from mlvgm_biggan.biggan.architecture import light
from mlvgm_biggan.biggan.discriminator import load_discriminator
from mlvgm_biggan.biggan.network import BigGAN, build
from mlvgm_biggan.biggan.training_config import BigGANTrainingConfig
from mlvgm_biggan.biggan.training_data import draw
from mlvgm_biggan.biggan.training_statistics import standing_statistics
from mlvgm_biggan.biggan.weights import assemble
from tolerance import close

OPTIONS: Mapping[str, Any] = {
    "architecture": ARCHITECTURE.model_dump(),
    "discriminator_widths": (8, 16),
    "steps": 12,
    "batch": 8,
    "ema": 0.5,
    "standing_batches": 2,
}


def run(folder: Path, *, seed: int = 0, resume: bool = False, **options: object) -> list[tuple[float, float]]:
    """Losses of both players."""
    given = {**OPTIONS, **options}
    seen = short_training.figures("generator", "biggan", given, Stripes(), folder, seed=seed, resume=resume)
    return [(figures["discriminator"], figures["generator"]) for figures in seen]


def begun(folder: Path, **options: object) -> Any:
    return short_training.begin("generator", "biggan", {**OPTIONS, **options}, Stripes(), folder)


def trained(folder: Path) -> BigGAN:
    path = folder / "weights.safetensors"
    return assemble(read_weights(path), path)[0]


def samples(network: BigGAN, label: int) -> Tensor:
    chunks = draw(ARCHITECTURE, Keys.of(seed=9, purpose="test", samples=[0]), count=20, device="cpu")[0]
    with torch.no_grad():
        return (network(chunks, network.embed(torch.full((20,), label))) + 1) / 2


def test_classes_are_learned_and_the_files_are_complete(tmp_path: Path) -> None:
    run(tmp_path, steps=150, batch=16, ema=0.9, generator_rate=2e-3, discriminator_rate=4e-3, standing_batches=20)
    network = trained(tmp_path)
    for label, side in ((0, (..., slice(None), slice(0, 4))), (1, (..., slice(0, 4), slice(None)))):
        images = samples(network, label)
        share = images[side].sum() / images.sum()
        assert share > 0.8, f"class {label} has {share:.2f} of its light where it belongs"
    card = (tmp_path / "weights.md").read_text(encoding="utf-8")
    assert "mlvgm train generator biggan --data stripes --seed 0" in card and "'train.steps=150'" in card
    assert "stripes, train split (MIT)" in card
    discriminator = load_discriminator(tmp_path / "discriminator.safetensors")
    assert discriminator.architecture.widths == (8, 16)


@pytest.mark.exact
def test_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    options = {**OPTIONS, "flips": True}
    short_training.check_killed_and_resumed("generator", "biggan", options, Stripes(), tmp_path, stop=5)


def test_seed_decides_and_the_global_random_state_does_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = run(tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert run(tmp_path / "b") == first
    assert run(tmp_path / "c", seed=1) != first


def test_rates_fall_to_nothing(tmp_path: Path) -> None:
    """With half the training as decay, the last of 4 steps is taken at half of the rates."""
    training, factors = begun(tmp_path, steps=4, decay=0.5, generator_rate=0.01, discriminator_rate=0.02), []
    for number in range(4):
        training.step(number)
        optimisers = training.generator_optimiser, training.discriminator_optimiser
        factors.append([optimiser.param_groups[0]["lr"] for optimiser in optimisers])
    assert factors == [pytest.approx([0.01 * factor, 0.02 * factor]) for factor in (1, 1, 1, 0.5)]


def test_standing_statistics_are_means_over_the_batches() -> None:
    """The first norm sees the seed, whose statistics can be had without the rest of the network."""
    network = build(ARCHITECTURE, seed=0)
    norm = network.blocks[0].norm1.norm
    momentum = norm.momentum
    standing_statistics(network, batches=3, batch=10, seed=4)
    means, variances = [], []
    for number in range(3):
        keys = Keys.of(seed=4, purpose="standing", samples=[number])
        chunks, _ = draw(ARCHITECTURE, keys, count=10, device="cpu")
        seed = network.seed(chunks[0]).reshape(10, 16, 16).transpose(0, 1).flatten(1)
        means.append(seed.mean(1))
        variances.append(seed.var(1))
    close(norm.running_mean, torch.stack(means).mean(0))
    close(norm.running_var, torch.stack(variances).mean(0))
    assert norm.momentum == momentum and not network.training


def test_draws_are_standard_normal_and_classes_uniform() -> None:
    chunks, classes = draw(ARCHITECTURE, Keys.of(seed=0, purpose="test", samples=[0]), count=4000, device="cpu")
    assert [tuple(chunk.shape) for chunk in chunks] == [(4000, 3), (4000, 2)]
    z = torch.cat(chunks, 1)
    assert (z.T.cov() - torch.eye(5)).abs().max() < 0.08
    assert classes.bincount(minlength=2).tolist() == pytest.approx([2000, 2000], abs=150)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stripes has 1×8×8 images, the architecture is for 1×32×32"):
        short_training.begin("generator", "biggan", {}, Stripes(), tmp_path)
    with pytest.raises(InputError, match=r"stripes has 2 classes, the architecture is for 5"):
        run(tmp_path / "a", architecture=ARCHITECTURE.model_copy(update={"classes": 5}).model_dump())
    with pytest.raises(CheckFailed, match="diverged at step"):
        run(tmp_path / "b", generator_rate=1e38)
    with pytest.raises(ValidationError, match="halve the side 32"):
        BigGANTrainingConfig(architecture=light(), discriminator_widths=(8,) * 6)


def test_chunks_of_one_size_are_drawn_apart() -> None:
    alike = ARCHITECTURE.model_copy(update={"chunks": (3, 3)})
    chunks, _ = draw(alike, Keys.of(seed=0, purpose="test", samples=[0]), count=4000, device="cpu")
    assert (torch.cat(chunks, 1).T.cov() - torch.eye(6)).abs().max() < 0.08


def test_generated_images_are_judged_under_the_classes_they_were_drawn_for(tmp_path: Path) -> None:
    training, judged = begun(tmp_path), list[list[int]]()
    forward = training.discriminator.forward

    def watched(images: Tensor, classes: Tensor) -> Tensor:
        judged.append(classes.tolist())
        return forward(images, classes)  # type: ignore[no-any-return]

    training.discriminator.forward = watched
    training.step(0)
    real = minibatch(Stripes(), step=0, batch=8, seed=0)[1].tolist()
    drawn = draw(ARCHITECTURE, Keys.of(seed=0, purpose="train", samples=[0]), count=8, device="cpu")[1].tolist()
    assert real != drawn
    assert judged == [real + drawn, drawn]
