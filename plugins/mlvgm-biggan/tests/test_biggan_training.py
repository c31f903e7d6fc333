"""Training a BigGAN: learns, is a function of its seed, resumes exactly, and refuses what it cannot train on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from stripes import ARCHITECTURE, Stripes
from torch import Tensor

from mlvgm.errors import CheckFailed, InputError
from mlvgm.noise import Keys
from mlvgm.protocols.train import TrainContext
from mlvgm.training.minibatches import minibatch
from mlvgm.weights.file import read_weights
from mlvgm_biggan.biggan.architecture import light
from mlvgm_biggan.biggan.discriminator import load_discriminator
from mlvgm_biggan.biggan.network import BigGAN, build
from mlvgm_biggan.biggan.training import BigGANTraining
from mlvgm_biggan.biggan.training_config import BigGANTrainingConfig
from mlvgm_biggan.biggan.training_data import draw
from mlvgm_biggan.biggan.training_statistics import standing_statistics
from mlvgm_biggan.biggan.weights import assemble
from tolerance import close

OPTIONS: Mapping[str, object] = {
    "architecture": ARCHITECTURE,
    "discriminator_widths": (8, 16),
    "steps": 12,
    "batch": 8,
    "ema": 0.5,
    "standing_batches": 2,
    "checkpoint_every": 5,
}


def run(
    folder: Path, *, seed: int = 0, resume: bool = False, stop: int | None = None, **options: object
) -> list[tuple[float, float]]:
    """Losses of both players; ``stop`` kills the training after that step."""
    folder.mkdir(exist_ok=True)
    losses: list[tuple[float, float]] = []

    def progress(step: int, steps: int, metrics: Mapping[str, float]) -> None:
        losses.append((metrics["discriminator"], metrics["generator"]))
        if step == stop:
            raise KeyboardInterrupt

    config = BigGANTrainingConfig.model_validate({**OPTIONS, **options})
    BigGANTraining(config).train(Stripes(), context=TrainContext(folder, seed=seed, resume=resume, progress=progress))
    return losses


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
@pytest.mark.parametrize("stop", [5, 7])
def test_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path, stop: int) -> None:
    whole = run(tmp_path / "whole", flips=True)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop=stop, flips=True)
    assert run(tmp_path / "parts", resume=True, flips=True) == whole[5:]
    for name in ("weights", "discriminator"):
        one, other = (read_weights(tmp_path / part / f"{name}.safetensors").tensors for part in ("whole", "parts"))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_seed_decides_and_the_global_random_state_does_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = run(tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert run(tmp_path / "b") == first
    assert run(tmp_path / "c", seed=1) != first


def test_rates_fall_to_nothing(tmp_path: Path) -> None:
    """With the whole training as decay, the last of n steps is taken at 1/n of the rate."""
    rates = []
    config = BigGANTrainingConfig.model_validate({**OPTIONS, "steps": 4, "decay": 0.5})
    training, context = BigGANTraining(config), TrainContext(tmp_path)
    state = training._begin(Stripes(), context)
    while state.step < 4:
        training._step(state, Stripes(), context)
        rates.append(state.generator_optimiser.param_groups[0]["lr"] / config.generator_rate)
        ratio = config.discriminator_rate / config.generator_rate
        assert state.discriminator_optimiser.param_groups[0]["lr"] == pytest.approx(
            ratio * state.generator_optimiser.param_groups[0]["lr"]
        )
    assert rates == pytest.approx([1, 1, 1, 0.5])


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
    context, data = TrainContext(tmp_path), Stripes()
    with pytest.raises(InputError, match="only a sample"):
        sample = Stripes(info=dataclasses.replace(data.info, sample=True))
        BigGANTraining(BigGANTrainingConfig()).train(sample, context=context)
    with pytest.raises(InputError, match=r"stripes has 1×8×8 images, the architecture is for 1×32×32"):
        BigGANTraining(BigGANTrainingConfig()).train(data, context=context)
    with pytest.raises(InputError, match=r"stripes has 2 classes, the architecture is for 5"):
        run(tmp_path, architecture=ARCHITECTURE.model_copy(update={"classes": 5}))
    with pytest.raises(CheckFailed, match="diverged at step"):
        run(tmp_path, generator_rate=1e38)
    (tmp_path / "checkpoint.pt").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"checkpoint\.pt: not a readable training checkpoint"):
        run(tmp_path, resume=True)
    with pytest.raises(ValidationError, match="halve the side 32"):
        BigGANTrainingConfig(architecture=light(), discriminator_widths=(8,) * 6)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(InputError, match="another training: seed 0 → 4"):
        run(tmp_path, resume=True, seed=4)
    with pytest.raises(InputError, match="another training: batch 8 → 4"):
        run(tmp_path, resume=True, batch=4)


def test_chunks_of_one_size_are_drawn_apart() -> None:
    alike = ARCHITECTURE.model_copy(update={"chunks": (3, 3)})
    chunks, _ = draw(alike, Keys.of(seed=0, purpose="test", samples=[0]), count=4000, device="cpu")
    assert (torch.cat(chunks, 1).T.cov() - torch.eye(6)).abs().max() < 0.08


def test_generated_images_are_judged_under_the_classes_they_were_drawn_for(tmp_path: Path) -> None:
    training, context = BigGANTraining(BigGANTrainingConfig.model_validate(OPTIONS)), TrainContext(tmp_path)
    state, judged = training._begin(Stripes(), context), list[list[int]]()
    forward = state.discriminator.forward

    def watched(images: Tensor, classes: Tensor) -> Tensor:
        judged.append(classes.tolist())
        return forward(images, classes)

    state.discriminator.forward = watched  # type: ignore[method-assign]
    training._step(state, Stripes(), context)
    real = minibatch(Stripes(), step=0, batch=8, seed=0)[1].tolist()
    drawn = draw(ARCHITECTURE, Keys.of(seed=0, purpose="train", samples=[0]), count=8, device="cpu")[1].tolist()
    assert real != drawn
    assert judged == [real + drawn, drawn]
