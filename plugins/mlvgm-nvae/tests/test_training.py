"""Training: learns, is a function of its seed, resumes exactly, and refuses what it cannot train on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import short_training
from mlvgm.errors import CheckFailed, ConfigError, InputError
from mlvgm.latents import ImageSpec
from mlvgm.protocols.data import DataInfo, Split
from mlvgm_nvae.architecture import Cell, NVAEArchitecture
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.weights import load
from tolerance import LAYER, close

ARCHITECTURE = NVAEArchitecture(
    image=(1, 8, 8),
    groups=(1, 1),
    latent_channels=(2, 2),
    encoder_widths=(8, 8),
    decoder_widths=(8, 8),
    preprocess_blocks=1,
    preprocess_cells=1,
    postprocess_cells=1,
    encoder_cells=1,
    decoder_cells=1,
    decoder_cell=Cell(kind="inverted", kernels=(3,), expansion=2),
    postprocess_cell=Cell(kind="inverted", kernels=(3,), expansion=2),
    mixtures=1,
)
OPTIONS = {
    "architecture": ARCHITECTURE.model_dump(),
    "kl_start": (0.1, 0.5),
    "kl_end": (1.0, 1.0),
    "evaluation_images": 16,
    "steps": 12,
    "batch": 8,
}


class Stripes:
    """Horizontal and vertical gradients of random strength."""

    info = DataInfo("stripes", ImageSpec(1, 8, 8), ("across", "down"), "MIT", "made up")

    def size(self, split: Split) -> int:
        return 50

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        ramp = torch.linspace(0, 1, 8).expand(8, 8)
        images = [(ramp if i % 2 else ramp.T) * (0.2 + 0.016 * i) for i in ids]
        grid = (torch.stack(images).unsqueeze(1) * 255).round() / 255
        return grid, torch.tensor([i % 2 for i in ids])


def run(folder: Path, *, seed: int = 0, resume: bool = False, **options: object) -> list[float]:
    """Bits per dimension of each step."""
    given = {**OPTIONS, **options}
    seen = short_training.figures("generator", "nvae", given, Stripes(), folder, seed=seed, resume=resume)
    return [figures["bits_per_dimension"] for figures in seen]


def begun(folder: Path, **options: object) -> Any:
    return short_training.begin("generator", "nvae", {**OPTIONS, "steps": 8, "batch": 4, **options}, Stripes(), folder)


def test_the_loss_falls_and_the_files_are_complete(tmp_path: Path) -> None:
    losses = run(tmp_path, steps=60, learning_rate=1e-2, warmup_steps=5, ema=0.9, snapshots=(3,))
    assert sum(losses[-10:]) / 10 < losses[0] - 1.5
    model = load(tmp_path / "weights.safetensors")
    assert model.architecture == ARCHITECTURE
    assert load_weights(str(tmp_path / "weights-step000003.safetensors")).architecture == ARCHITECTURE
    card = (tmp_path / "weights.md").read_text(encoding="utf-8")
    assert "--set 'train.steps=60'" in card and "KL of each latent" in card and "stripes, train split (MIT)" in card
    assert "step beyond" not in card
    reconstruction = model.eval().pixels(model(Stripes().batch("test", [3])[0]).parameters).mean()
    assert (reconstruction - Stripes().batch("test", [3])[0]).abs().mean() < 0.1


@pytest.mark.exact
def test_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    extras = {"spectral": 0.01, "batch_norm": 0.01, "kl_balancing": True, "noise_range": (0.0, 0.3)}
    short_training.check_killed_and_resumed("generator", "nvae", {**OPTIONS, **extras}, Stripes(), tmp_path, stop=5)


def test_seed_decides_and_the_global_random_state_does_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = run(tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert run(tmp_path / "b") == first
    assert run(tmp_path / "c", seed=1) != first


def test_starting_from_weights(tmp_path: Path) -> None:
    run(tmp_path / "first")
    start = tmp_path / "first" / "weights.safetensors"
    run(tmp_path / "second", init_from=str(start), steps=1, learning_rate=1e-9, noise_range=(0.0, 0.2))
    one, other = load(start).state_dict(), load(tmp_path / "second" / "weights.safetensors").state_dict()
    for name in one:
        if "running" not in name and "tracked" not in name:
            close(one[name], other[name], depth=LAYER)
    assert "step beyond" in (tmp_path / "second" / "weights.md").read_text(encoding="utf-8")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stripes has 1×8×8 images, the architecture is for 1×32×32"):
        short_training.begin("generator", "nvae", {}, Stripes(), tmp_path)
    with pytest.raises(ConfigError, match="one weight for each of 2 scales"):
        run(tmp_path / "a", kl_start=(0.1, 0.2, 0.3))
    with pytest.raises(CheckFailed, match="diverged at step"):
        run(tmp_path / "b", learning_rate=1e30, warmup_steps=0)
    with pytest.raises(ConfigError, match="from the least to the largest"):
        run(tmp_path / "c", noise_range=(0.3, 0.1))


def test_a_checkpoint_of_other_options_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(InputError, match=r"checkpoint of another training: weight_decay 0\.0001 → 0\.5"):
        run(tmp_path, resume=True, weight_decay=0.5)


def test_latents_of_one_shape_and_steps_have_noise_of_their_own(tmp_path: Path) -> None:
    training = begun(tmp_path, architecture=ARCHITECTURE.model_copy(update={"groups": (2, 2)}).model_dump())
    seen: list[Tensor] = []
    forward = training.model.forward

    def watched(images: Tensor, noise: list[Tensor]) -> Any:
        seen.extend(noise)
        return forward(images, noise)

    training.model.forward = watched
    for number in range(2):
        training.step(number)
    alike = [(a, b) for a, b in combinations(seen, 2) if a.shape == b.shape]
    assert len(alike) == 12  # of each of two shapes 4
    assert all((a - b).abs().max() > 0.1 for a, b in alike)


def test_each_regulariser_has_its_own_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = []
    monkeypatch.setattr("mlvgm_nvae.training.batch_norm_penalty", lambda model: torch.tensor(70.0))
    for weights in ({}, {"spectral": 0.5, "batch_norm": 0.25}):
        training = begun(tmp_path, **weights)
        training.spectral = lambda: torch.tensor(30.0)
        losses.append(training.step(0)["loss"])
    assert losses[1] - losses[0] == pytest.approx(0.5 * 30 + 0.25 * 70, abs=1e-2)


def test_balancing_lasts_while_the_weights_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    balanced: list[int] = []
    training = begun(tmp_path, kl_balancing=True, kl_warmup=0.5, warmup_steps=2)

    def watched(kl: Tensor, targets: Tensor, *, carried: Tensor) -> Tensor:
        balanced.append(number)
        return kl.sum(1)

    monkeypatch.setattr("mlvgm_nvae.training.balanced_kl", watched)
    for number in range(6):
        training.step(number)
    assert balanced == [0, 1, 2, 3]  # half of 8
