"""StyleGAN2 training: learns, is a function of its seed, resumes exactly, and refuses what it cannot train on."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import short_training
from mlvgm.configuration.settings import from_assignments, nest
from mlvgm.errors import CheckFailed, InputError
from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys
from mlvgm.protocols.data import DataInfo, Split
from mlvgm.weights.file import read_weights
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.discriminator import load_discriminator
from mlvgm_stylegan.stylegan2.discriminator_architecture import DiscriminatorArchitecture
from mlvgm_stylegan.stylegan2.network import StyleGAN2, build
from mlvgm_stylegan.stylegan2.training import _adam
from mlvgm_stylegan.stylegan2.training_config import StyleGAN2TrainingConfig
from mlvgm_stylegan.stylegan2.weights import assemble

ARCHITECTURE = StyleGAN2Architecture(
    z_dim=6, w_dim=5, channels=(8, 6), image_channels=1, mapping_layers=2, mapping_learning_rate=0.1, noise=False
)
DISCRIMINATOR = DiscriminatorArchitecture(image=(1, 8, 8), channels=(8, 8), filter=(1.0, 1.0))
OPTIONS: dict[str, Any] = {
    "architecture": ARCHITECTURE.model_dump(),
    "discriminator": DISCRIMINATOR.model_dump(),
    "batch": 8,
    "r1_every": 4,
    "path_every": 3,
}


class Stripes:
    """Horizontal and vertical gradients of random strength, all of them bright."""

    info = DataInfo("stripes", ImageSpec(1, 8, 8), ("across", "down"), "MIT", "made up")

    def size(self, split: Split) -> int:
        return 50

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        ramp = torch.linspace(0.6, 1, 8).expand(8, 8)
        images = [(ramp if i % 2 else ramp.T) * (0.8 + 0.004 * i) for i in ids]
        return torch.stack(images).unsqueeze(1), torch.tensor([i % 2 for i in ids])


def run(folder: Path, *, seed: int = 0, resume: bool = False, **options: object) -> list[dict[str, float]]:
    """Figures of each step."""
    given = {**OPTIONS, "steps": 12, **options}
    return short_training.figures("generator", "stylegan2", given, Stripes(), folder, seed=seed, resume=resume)


def begun(folder: Path, **options: object) -> Any:
    return short_training.begin("generator", "stylegan2", {**OPTIONS, **options}, Stripes(), folder)


def load(folder: Path) -> StyleGAN2:
    path = folder / "weights.safetensors"
    model, encoder = assemble(read_weights(path), path)
    assert encoder is None
    return model


def test_samples_become_like_the_data_and_the_files_are_complete(tmp_path: Path) -> None:
    run(tmp_path, steps=120, ema=0.9, w_decay=0.9, learning_rate=1e-2, discriminator_rate=5e-3)
    model = load(tmp_path)
    assert model.architecture == ARCHITECTURE
    z = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = (2 * Stripes().batch("train", range(50))[0] - 1).mean(), model(z).mean()
        assert abs(build(ARCHITECTURE, seed=0)(z).mean() - before) > 0.3 > abs(after - before)
        # The mean style is tracked.
        assert (model.mapping.average - model.mapping(z).mean(0)).abs().max() < 0.2
        assert model.mapping.average.abs().max() > 0.02
    assert load_discriminator(tmp_path / "discriminator.safetensors").architecture == DISCRIMINATOR
    card = (tmp_path / "weights.md").read_text(encoding="utf-8")
    assert "mlvgm train generator stylegan2 --data stripes" in card and "--set 'train.steps=120'" in card
    assert "960 real images" in card


@pytest.mark.parametrize("noise", [False, True])
def test_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path, noise: bool) -> None:
    extras = {
        "augment": 0.6,
        "augment_ramp": 200,
        "flips": True,
        "architecture": ARCHITECTURE.model_copy(update={"noise": noise}).model_dump(),
    }
    options = {**OPTIONS, "steps": 12, **extras}
    short_training.check_killed_and_resumed("generator", "stylegan2", options, Stripes(), tmp_path, stop=6)


def test_more_steps_go_on_where_fewer_ended(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    run(tmp_path / "parts", steps=7)
    assert run(tmp_path / "parts", resume=True) == whole[7:]
    with pytest.raises(InputError, match="of step 12, beyond 7"):
        run(tmp_path / "parts", resume=True, steps=7)


def test_seed_decides_and_the_global_random_state_does_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = run(tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert run(tmp_path / "b") == first
    assert run(tmp_path / "c", seed=1) != first


def test_half_of_the_images_mix_two_styles_at_a_random_layer(tmp_path: Path) -> None:
    model = build(ARCHITECTURE.model_copy(update={"channels": (4, 4, 4)}), seed=0)
    training = begun(tmp_path, style_mixing=0.7)
    training.generator = model
    ws = training._styles(Keys.of(seed=0, purpose="train", samples=[0]), 2000)
    assert ws.shape == (2000, 6, 5)
    changes = (ws[:, 1:] != ws[:, :-1]).any(2)
    assert changes.sum(1).max() == 1
    assert changes.any(1).float().mean().item() == pytest.approx(0.7, abs=0.04)
    assert changes.float().mean(0).tolist() == pytest.approx([0.7 / 5] * 5, abs=0.03)
    assert (model.mapping.average - 0.005 * ws.detach().mean((0, 1))).abs().max() < 1e-3


def test_regularisation_is_lazy_and_weighted(tmp_path: Path) -> None:
    """Without any, steps are others; each is heard of in its own steps only."""
    plain = run(tmp_path / "plain", r1=0.0, path_length=0.0)
    paths = run(tmp_path / "paths", r1=0.0, path_length=2.0)
    assert all(metrics["path length"] == 0 for metrics in plain)
    lengths = [metrics["path length"] for metrics in paths]
    changed = [step for step in range(12) if lengths[step] != ([0.0, *lengths][step])]
    assert changed == [0, 3, 6, 9]
    assert run(tmp_path / "r1", r1=5.0, path_length=0.0)[1:] != plain[1:]


def test_augmentation_rises_while_the_discriminator_overfits(tmp_path: Path) -> None:
    # Real images get positive logits most of the time: r_t > −0.9.
    seen = run(tmp_path, augment=0.1, augment_ramp=320, learning_rate=1e-6)
    probabilities = [figures["augmentation"] for figures in seen]
    assert len(set(probabilities[:3])) == 1 and probabilities[3] in (0.0, pytest.approx(0.1))
    assert all(abs(b - a) < 0.11 for a, b in pairwise(probabilities))
    assert max(probabilities) > 0


def test_refusals(tmp_path: Path) -> None:
    class Wide(Stripes):
        info = dataclasses.replace(Stripes.info, image=ImageSpec(1, 32, 32))

    with pytest.raises(
        InputError, match=r"stripes has 1×32×32 images, the generator is for 1×8×8.*train\.architecture"
    ):
        short_training.begin("generator", "stylegan2", OPTIONS, Wide(), tmp_path)
    with pytest.raises(InputError, match=r"stripes has 1×8×8 images, the generator is for 1×32×32"):
        short_training.begin("generator", "stylegan2", {}, Stripes(), tmp_path)
    with pytest.raises(CheckFailed, match="diverged at step"):
        run(tmp_path, learning_rate=1e30, discriminator_rate=1e30)
    with pytest.raises(ValidationError, match="multiple of the discriminator's group of 4"):
        StyleGAN2TrainingConfig(batch=10)


def test_the_command_in_the_card_gives_the_same_configuration(tmp_path: Path) -> None:
    run(tmp_path, steps=1, augment=0.6)
    (command,) = re.findall(r"- Command: `(.*)`", (tmp_path / "weights.md").read_text(encoding="utf-8"))
    words = shlex.split(command)
    assignments = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    settings = from_assignments(assignments, source="card")
    given = nest({key.removeprefix("train."): setting.value for key, setting in settings.items()})
    expected = StyleGAN2TrainingConfig(**{**OPTIONS, "steps": 1, "checkpoint_every": 0.0, "augment": 0.6})
    assert StyleGAN2TrainingConfig.model_validate(given) == expected


def watched(training: Any) -> list[float]:
    """The losses that ``training`` follows from now on; it moves no parameter."""
    losses: list[float] = []
    training.session = SimpleNamespace(update=lambda optimiser, loss: losses.append(loss.item()))
    return losses


def test_the_lazy_penalty_is_scaled_by_its_interval(tmp_path: Path) -> None:
    """‖∇(2 Σ x)‖² is 4 in each of 4 pixels, times γ / 2 = 1.5, every fifth step."""
    training = begun(tmp_path, r1=3.0, r1_every=5)
    losses = watched(training)
    training.discriminator = lambda images: 2 * images.sum((1, 2, 3))
    training._penalise_gradients(torch.zeros(2, 1, 2, 2), Keys.of(seed=0, purpose="t", samples=[0]))
    assert losses == [pytest.approx(16 * 1.5 * 5)]


def test_the_path_penalty_is_scaled_by_its_interval_and_its_mean_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lengths 3 and 5 move a mean of 1 halfway, to 2.5: ((0.5)² + (2.5)²) / 2, times 2, every third step."""
    lengths = torch.tensor([3.0, 5.0])
    monkeypatch.setattr("mlvgm_stylegan.stylegan2.training.path_lengths", lambda *arguments: lengths)
    training = begun(tmp_path, batch=4, path_length=2.0, path_decay=0.5)
    losses, training.running.path_mean = watched(training), torch.tensor(1.0)
    training._penalise_paths(Keys.of(seed=0, purpose="t", samples=[0]))
    assert losses == [pytest.approx(3.25 * 2 * 3)] and training.running.path_mean.item() == pytest.approx(2.5)


def test_lazy_updates_correct_both_the_rate_and_the_decay_of_adam() -> None:
    """Four updates of the loss and one of its penalty count as four (arXiv 1912.04958, appendix B)."""
    (group,) = _adam([torch.nn.Parameter(torch.zeros(1))], 0.01, 4).param_groups
    assert group["lr"] == pytest.approx(0.01 * 0.8) and group["betas"] == (0.0, pytest.approx(0.99**0.8))
    (group,) = _adam([torch.nn.Parameter(torch.zeros(1))], 0.01, 0).param_groups
    assert group["lr"] == 0.01 and group["betas"] == (0.0, 0.99)


def test_layers_of_one_size_have_noise_of_their_own(tmp_path: Path) -> None:
    model = build(ARCHITECTURE.model_copy(update={"noise": True, "channels": (4, 4, 4)}), seed=0)
    training = begun(tmp_path)
    training.generator = model
    noise = training._noise(Keys.of(seed=0, purpose="t", samples=[0]), 50)
    sides = model.architecture.layer_resolutions
    assert len(set(sides)) < len(sides) == len(noise)
    for one, other in pairwise(noise):
        assert isinstance(one, Tensor) and isinstance(other, Tensor)
        if one.shape == other.shape:  # 5 standard errors
            assert (one * other).mean().abs() < 5 / one.numel() ** 0.5
