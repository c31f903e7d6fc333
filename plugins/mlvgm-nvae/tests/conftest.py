"""Shared: reference data, a tiny architecture, and layouts made of its tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mlvgm_nvae.architecture import Cell, NVAEArchitecture
from mlvgm_nvae.network import NVAE, build

# Test modules are imported without their folder on the path.
sys.path.insert(0, str(Path(__file__).parent))

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    return lambda name: GOLDEN / name


@pytest.fixture(scope="session")
def serez_io() -> dict[str, Tensor]:
    return load_file(GOLDEN / "nvae_serez" / "io.safetensors")


@pytest.fixture
def tiny() -> NVAEArchitecture:
    """Every kind of part, as small as it goes."""
    return NVAEArchitecture(
        image=(3, 16, 16),
        groups=(2, 1),
        latent_channels=(2, 1),
        encoder_widths=(8, 4),
        decoder_widths=(8, 4),
        encoder_cells=1,
        decoder_cells=1,
        decoder_cell=Cell(kind="inverted", kernels=(5,), expansion=2),
        postprocess_cell=Cell(kind="inverted", kernels=(5,), expansion=2),
        mixtures=2,
    )


def awake(architecture: NVAEArchitecture, *, seed: int = 0) -> NVAE:
    """A fresh network whose batch norms and biases all matter."""
    model = build(architecture, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.running_var):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            for tensor in (layer.bias.data, layer.running_mean):
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    return model.eval()


@pytest.fixture(name="awake")
def awake_fixture() -> Callable[..., NVAE]:
    return awake
