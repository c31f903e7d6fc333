"""Masks and flows against their definitions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.flows import causal_mask, flow, raster_mask
from mlvgm_nvae.network import NVAE
from tolerance import close


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 6), (6, 2), (3, 3)])
def test_causal_mask_position_by_position(inputs: int, outputs: int, kernel: int, strict: bool) -> None:
    mask = causal_mask(inputs, outputs, kernel, strict=strict)
    middle, shares = kernel // 2, min(inputs, outputs)
    for o in range(outputs):
        for i in range(inputs):
            for row in range(kernel):
                for column in range(kernel):
                    reader, read = o // (outputs // shares), i // (inputs // shares)
                    earlier = row < middle or (row == middle and column < middle)
                    centre = row == middle == column and (read < reader or (read == reader and not strict))
                    assert mask[o, i, row, column] == float(earlier or centre)


def test_depthwise_mask() -> None:
    loose = causal_mask(4, 4, 3, groups=4)
    assert loose.shape == (4, 1, 3, 3)
    assert loose[0, 0].tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]
    assert causal_mask(4, 4, 3, groups=4, strict=True)[0, 0].tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]


def test_raster_mask() -> None:
    assert raster_mask(3, keep_centre=True)[0, 0].tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]
    assert raster_mask(3, keep_centre=False)[0, 0].tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert raster_mask(1, keep_centre=False).item() == 0


@pytest.mark.parametrize("weight_norm", [False, True])
def test_each_cell_is_triangular_with_unit_diagonal(tiny: NVAEArchitecture, weight_norm: bool) -> None:
    architecture = tiny.model_copy(update={"flows": 1, "flow_weight_norm": weight_norm})
    torch.manual_seed(0)
    forwards, mirrored = flow(2, architecture).double()
    latent = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    for cell, order in ((forwards, 1), (mirrored, -1)):
        jacobian = torch.autograd.functional.jacobian(cell, latent).reshape(2, 16, 2, 16)
        # Reading order: pixels first, channels within a pixel; mirroring turns the pixels round, not the channels.
        jacobian = jacobian.permute(1, 0, 3, 2)[::1].reshape(16, 2, 16, 2)
        if order < 0:
            jacobian = jacobian.flip(0).flip(2)
        matrix = jacobian.reshape(32, 32)
        close(matrix.diagonal(), torch.ones(32, dtype=torch.float64))
        assert matrix.triu(1).abs().max() == 0
        assert matrix.tril(-1).abs().max() > 1e-3


def test_the_kl_with_flows_is_the_density_ratio_at_the_sample(
    tiny: NVAEArchitecture, awake: Callable[..., NVAE]
) -> None:
    model = awake(tiny.model_copy(update={"flows": 1}))
    noise = [torch.randn(2, *shape) for shape in tiny.latent_shapes]
    result = model(torch.rand(2, 3, 16, 16), noise)
    close(result.kl.sum(1), result.log_q - result.log_p, scale=result.log_q.abs().max().item())
