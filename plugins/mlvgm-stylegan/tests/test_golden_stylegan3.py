"""All stored outputs of the published StyleGAN3 (translation type), and the traps its description names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mlvgm.api import load
from mlvgm.errors import ConfigError
from mlvgm.latents import Latents
from mlvgm.noise import Noise
from mlvgm_stylegan.stylegan3.architecture import plan
from mlvgm_stylegan.stylegan3.generator import StyleGAN3Generator
from tolerance import GRADIENT, close

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "stylegan3"


@pytest.fixture(scope="module")
def io() -> dict[str, Tensor]:
    return load_file(GOLDEN / "io.safetensors")


@pytest.fixture(scope="module")
def generator() -> StyleGAN3Generator:
    loaded: StyleGAN3Generator = load(
        "generators/stylegan3", weights=str(GOLDEN / "weights.safetensors"), config=str(GOLDEN / "config.json")
    )
    return loaded


def raw(images: Tensor) -> Tensor:
    """Images in [−1, 1], as they are stored."""
    return 2 * images - 1


def latents(ws: Tensor) -> Latents:
    return Latents(ws.unbind(1))


@pytest.mark.parametrize(
    ("name", "sampling"), [("ws", {}), ("ws_psi0.7", {"psi": 0.7}), ("ws_psi0.5_cutoff2", {"psi": 0.5, "cutoff": 2})]
)
def test_mapping_and_truncation(
    generator: StyleGAN3Generator, io: dict[str, Tensor], name: str, sampling: dict[str, float]
) -> None:
    noise = Noise((io["z"],), (0,) * len(generator.latents))
    styles = torch.stack(generator.with_sampling(**sampling).to_latents(noise).values, 1)
    close(styles, io[name])


def test_fourier_input_is_moved_by_style_0(generator: StyleGAN3Generator, io: dict[str, Tensor]) -> None:
    close(generator.model.synthesis.input(io["ws"][:, 0]), io["input_features"])  # type: ignore[operator]


def test_synthesis(generator: StyleGAN3Generator, io: dict[str, Tensor]) -> None:
    close(raw(generator.decode(latents(io["ws"]))), io["img"])


def test_swapping_single_styles(generator: StyleGAN3Generator, io: dict[str, Tensor]) -> None:
    """Style 0 reaches the input only, style i + 1 layer i."""
    assert len(generator.latents) == len(io["single_swap_layers"]) == generator.model.architecture.num_ws
    for row, layer in enumerate(io["single_swap_layers"].tolist()):
        swapped = latents(io["ws"][:1]).replaced([layer], latents(io["ws"][1:2]))
        close(raw(generator.decode(swapped)), io["img_single_swap"][row : row + 1])


def test_transform_acts_from_output_to_input(generator: StyleGAN3Generator, io: dict[str, Tensor]) -> None:
    moved = generator.to("cpu")
    moved.model.synthesis.input.transform.copy_(io["transform"])  # type: ignore[union-attr]
    close(raw(moved.decode(latents(io["ws"]))), io["img_transformed"])
    close(raw(generator.decode(latents(io["ws"]))), io["img"])


def test_gradient(generator: StyleGAN3Generator, io: dict[str, Tensor]) -> None:
    ws = io["grad_ws"].clone().requires_grad_()
    (raw(generator.decode(latents(ws))) * io["grad_target"]).mean().backward()
    assert ws.grad is not None
    close(ws.grad, io["grad_dws"], depth=GRADIENT)


def test_images_do_not_depend_on_their_neighbours(generator: StyleGAN3Generator, io: dict[str, Tensor]) -> None:
    """The published code normalises styles over the batch; the demodulation undoes it up to its epsilon."""
    others = torch.cat([io["ws"][:1], 100 * io["ws"][1:]])
    close(raw(generator.decode(latents(others)))[:1], io["img"][:1])


def test_plan_is_that_of_the_published_code(generator: StyleGAN3Generator) -> None:
    layers = json.loads((GOLDEN / "config.json").read_text())["layers"]
    for ours, theirs in zip(plan(generator.model.architecture), layers, strict=True):  # type: ignore[arg-type]
        assert (ours.rate, ours.size) == (theirs["out_sampling_rate"], theirs["out_size"][0])
        assert (ours.up, ours.down) == (theirs["up_factor"], theirs["down_factor"])
        assert (ours.up_taps, ours.down_taps) == (theirs["up_taps"], theirs["down_taps"])
        assert [*ours.padding, *ours.padding] == theirs["padding"]
        assert ours.cutoff == pytest.approx(theirs["out_cutoff"])


def test_no_noise_images(generator: StyleGAN3Generator) -> None:
    assert generator.nuisances == ()
    with pytest.raises(ConfigError, match="sampling option of stylegan3 'noise_mode'"):
        generator.with_sampling(noise_mode="const")


def test_squared_magnitude_scales_inputs(generator: StyleGAN3Generator, io: dict[str, Tensor]) -> None:
    louder = generator.to("cpu")
    layer = louder.model.synthesis.layers[0]  # type: ignore[index]
    with torch.no_grad():
        layer.magnitude.mul_(4)
        layer.weight.mul_(3)
    # Demodulation undoes the weights' scale, and the input is divided by the root of the stored squares.
    x = torch.randn(2, 24, 36, 36, generator=torch.Generator().manual_seed(0))
    ours = layer._convolved(x, layer.affine(io["ws"][:2, 1]))
    reference = generator.model.synthesis.layers[0]._convolved(x, layer.affine(io["ws"][:2, 1]))  # type: ignore[index]
    close(2 * ours, reference)
