"""Folding changes the operations, not the function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mlvgm_nvae.architecture import NVAEArchitecture, light
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.convolutions import MaskedConv2d, WeightNormConv2d
from mlvgm_nvae.fold import fold
from mlvgm_nvae.network import NVAE, build
from tolerance import GRADIENT, close


@pytest.mark.parametrize(
    ("name", "output"), [("serez", "fwd_kl"), ("nvlabs", "smp_kl_all"), ("nvlabs_flows", "smp_kl_all")]
)
def test_folded_golden_models_give_the_golden_outputs(name: str, output: str, golden: Callable[[str], Path]) -> None:
    io = load_file(golden(f"nvae_{name}") / "io.safetensors")
    model = load_weights(str(golden(f"nvae_{name}") / "weights.safetensors")).eval()
    prefix = output.split("_")[0]
    noise = [io[f"{prefix}_eps_{j}"] for j in range(io[output].shape[1])]
    plain, folded = model(io["x"], noise), fold(model)(io["x"], noise)
    means = [model.pixels(result.parameters).mean() for result in (folded, plain)]
    close(*means)
    close(folded.kl, io[output], depth=GRADIENT)


def test_nothing_is_left_to_fold(tiny: NVAEArchitecture, awake: Callable[..., NVAE]) -> None:
    model = awake(tiny)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold(model)
    kinds = {type(layer) for layer in folded.modules()}
    assert not kinds & {nn.BatchNorm2d, WeightNormConv2d, MaskedConv2d}
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    # Two of three in a residual cell and all four of an inverted one vanish; those before an activation remain.
    remaining = sum(type(layer).__name__ == "ScaleShift" for layer in folded.modules())
    cells = sum(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    assert 0 < remaining < cells / 2


@pytest.mark.parametrize("changes", [{}, {"flows": 1}, {"flows": 1, "flow_weight_norm": False, "flow_cell": "raster"}])
def test_folding_keeps_the_function(
    tiny: NVAEArchitecture, awake: Callable[..., NVAE], changes: dict[str, object]
) -> None:
    model = awake(tiny.model_copy(update=changes)).double()
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    noise = [torch.randn(2, *shape, dtype=torch.float64) for shape in tiny.latent_shapes]
    plain, folded = model(images, noise), fold(model)(images, noise)
    close(folded.parameters, plain.parameters)
    close(folded.kl, plain.kl)


def test_the_light_variant_survives_folding() -> None:
    model = build(light(), seed=3).eval()
    images = torch.rand(2, 1, 32, 32)
    close(fold(model)(images).parameters, model(images).parameters)
