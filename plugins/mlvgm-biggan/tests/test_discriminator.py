"""Projection discriminator: its formula, its spectral norm, and its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from mlvgm.errors import InputError
from mlvgm.weights.file import WeightsFile, write_weights
from mlvgm_biggan.biggan.discriminator import (
    FORMAT,
    Discriminator,
    DiscriminatorArchitecture,
    build_discriminator,
    load_discriminator,
    save_discriminator,
)
from tolerance import close

ARCHITECTURE = DiscriminatorArchitecture(channels=3, classes=4, widths=(6, 8))


def images(count: int = 5, *, seed: int = 0) -> torch.Tensor:
    return torch.rand((count, 3, 16, 16), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_projection_formula() -> None:
    """The class enters as ⟨embedding(y), φ(x)⟩ and nowhere else (arXiv 1802.05637, equation 3)."""
    discriminator = build_discriminator(ARCHITECTURE, seed=0).eval()
    x, classes = images(), torch.tensor([0, 1, 2, 3, 0])
    phi = discriminator.features(x)[-1].clamp(min=0).sum((2, 3))
    weight, bias = discriminator.output.weight[0], discriminator.output.bias[0]
    for i, row in enumerate(phi):
        expected = sum(weight * row) + bias + sum(discriminator.embedding.weight[classes[i]] * row)
        assert discriminator(x, classes)[i].item() == pytest.approx(expected.item(), abs=1e-4)
    assert phi.shape == (5, 8) and phi.std() > 0


def test_features_halve_but_for_the_last_block() -> None:
    shapes = [tuple(level.shape[1:]) for level in Discriminator(ARCHITECTURE).features(images())]
    assert shapes == [(6, 8, 8), (8, 4, 4), (8, 4, 4)]


def test_every_weight_has_spectral_norm_one() -> None:
    discriminator = build_discriminator(ARCHITECTURE, seed=0)
    generator = torch.Generator().manual_seed(1)
    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(layers) == 8  # stem, twice two convolutions, one shortcut, output, embedding
    for layer in layers:
        original = layer.parametrizations.weight.original
        original.data.copy_(torch.randn(original.shape, generator=generator))
    for _ in range(60):  # each forward takes one power step
        discriminator(images(), torch.tensor([0, 1, 2, 3, 0]))
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()
        assert norm == pytest.approx(1, abs=0.02)


def test_file_round_trip_has_plain_weights(tmp_path: Path) -> None:
    discriminator = build_discriminator(ARCHITECTURE, seed=0)
    for _ in range(3):
        discriminator(images(), torch.tensor([0, 1, 2, 3, 0]))
    path = tmp_path / "discriminator.safetensors"
    save_discriminator(discriminator, path)
    loaded = load_discriminator(path)
    classes = torch.tensor([3, 2, 1, 0, 0])
    close(loaded(images(), classes), discriminator.eval()(images(), classes))
    assert not any("parametrizations" in name for name in loaded.state_dict())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WeightsFile("mlvgm-biggan/1", "{}", {}), "came 'mlvgm-biggan/1'"),
        (WeightsFile(FORMAT, "{}", {}), "no valid Discriminator architecture"),
        (WeightsFile(FORMAT, ARCHITECTURE.model_dump_json(), {"stem.bias": torch.zeros(5)}), "do not fit"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: WeightsFile, message: str) -> None:
    path = tmp_path / "file.safetensors"
    write_weights(path, content)
    with pytest.raises(InputError, match=message):
        load_discriminator(path)


def test_seed_decides_and_the_global_random_state_does_not() -> None:
    before = torch.get_rng_state()
    first = build_discriminator(ARCHITECTURE, seed=0).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    again = build_discriminator(ARCHITECTURE, seed=0).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = build_discriminator(ARCHITECTURE, seed=1).state_dict()
    assert not torch.equal(
        first["stem.parametrizations.weight.original"], other["stem.parametrizations.weight.original"]
    )
