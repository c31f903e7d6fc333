"""StyleGAN3 checkpoints of other sizes and options (rotation type, labels), and filters against their definition."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from mlvgm.api import load
from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Conditional, Encodes
from mlvgm.weights.container import Container
from mlvgm_stylegan.stylegan3.architecture import StyleGAN3Architecture, plan
from mlvgm_stylegan.stylegan3.filters import downsampled, upsampled
from mlvgm_stylegan.stylegan3.generator import StyleGAN3Generator
from mlvgm_stylegan.stylegan3.loader import convert
from tolerance import close

ROTATION = StyleGAN3Architecture(
    z_dim=10, w_dim=12, classes=4, mapping_layers=3, resolution=64, channels=(16, 16, 14, 12, 10, 8, 6, 1),
    kernel_size=1, radial=True, critical_layers=1, first_cutoff=2.5, margin=6, filter_size=4, output_scale=0.5,
)  # fmt: skip
OPTIONS = {"num_critical": 1, "first_cutoff": 2.5, "margin_size": 6, "filter_size": 4, "output_scale": 0.5}


def published(a: StyleGAN3Architecture, *, seed: int = 0) -> dict[str, Tensor]:
    """A state dict in the published layout with random weights."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    state = {"mapping.w_avg": normal(a.w_dim), "mapping.embed.weight": normal(a.w_dim, a.classes)}
    state["mapping.embed.bias"] = normal(a.w_dim)
    widths = [a.z_dim + a.w_dim, *[a.w_dim] * a.mapping_layers]
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        state |= {f"mapping.fc{i}.weight": 100 * normal(outputs, inputs), f"mapping.fc{i}.bias": normal(outputs)}
    waves = a.channels[0]
    state |= {
        "synthesis.input.weight": normal(waves, waves),
        "synthesis.input.freqs": normal(waves, 2),
        "synthesis.input.phases": normal(waves),
        "synthesis.input.transform": torch.eye(3),
        "synthesis.input.affine.weight": 0.1 * normal(4, a.w_dim),
        "synthesis.input.affine.bias": torch.tensor([1.0, 0, 0, 0]),
    }
    for i, step in enumerate(plan(a)):
        inputs, outputs = a.channels[i : i + 2]
        name, kernel = f"synthesis.L{i}_{step.size}_{outputs}", 1 if step.colours else a.kernel_size
        state |= {
            f"{name}.weight": normal(outputs, inputs, kernel, kernel),
            f"{name}.bias": 0.1 * normal(outputs),
            f"{name}.magnitude_ema": torch.tensor(0.7),
            f"{name}.affine.weight": normal(inputs, a.w_dim),
            f"{name}.affine.bias": torch.ones(inputs),
        }
        if step.up_taps > 1:
            state[f"{name}.up_filter"] = torch.rand(step.up_taps, generator=random) / step.up_taps
        if step.down_taps > 1:
            shape = (step.down_taps,) * (2 if step.radial else 1)
            state[f"{name}.down_filter"] = torch.rand(*shape, generator=random) / step.down_taps ** len(shape)
    return state


@pytest.fixture
def generator(tmp_path: Path) -> StyleGAN3Generator:
    torch.save(published(ROTATION), tmp_path / "rotation.pt")
    (tmp_path / "arguments.json").write_text(json.dumps({"synthesis_kwargs": OPTIONS}))
    loaded: StyleGAN3Generator = load(
        "generators/stylegan3", weights=str(tmp_path / "rotation.pt"), config=str(tmp_path / "arguments.json")
    )
    return loaded


def test_sizes_come_from_tensors_and_names(generator: StyleGAN3Generator) -> None:
    assert generator.model.architecture == ROTATION
    assert generator.image.shape == (1, 64, 64) and len(generator.latents) == 8
    assert isinstance(generator, Conditional) and not isinstance(generator, Encodes)


def test_contract(generator: StyleGAN3Generator) -> None:
    keys = Keys.of(seed=0, purpose="test", samples=range(3))
    noise = generator.draw_noise(keys)
    images = generator.generate(noise)
    assert noise.source == (0,) * 8 and images.shape == (3, 1, 64, 64) and bool(images.isfinite().all())
    close(generator.generate(noise[[2]]), images[2:])
    untied = generator.draw_noise(keys, tied=False)
    assert untied.source == tuple(range(8))
    # Coarse styles of one row are shared by the fine ones of three.
    shared = generator.to_latents(untied)
    values = tuple(value[:1] if i < 4 else value for i, value in enumerate(shared.values))
    widened = tuple(value[:1].expand(3, -1) if i < 4 else value for i, value in enumerate(shared.values))
    synthesis = generator.model.synthesis
    close(synthesis(values), synthesis(widened))


def test_the_class_changes_the_image(generator: StyleGAN3Generator) -> None:
    assert isinstance(generator, Conditional)
    with pytest.raises(InputError, match=r"0 … 3"):
        generator.embed_classes(torch.tensor([4]))
    assert (generator.embed_classes(torch.tensor([0])) - generator.embed_classes(torch.tensor([1]))).abs().max() > 0.1


@pytest.mark.parametrize(
    ("factor", "taps", "padding"), [(2, 12, (9, 8)), (4, 16, (-6, -9)), (2, 5, (0, 3)), (3, 4, (1, 0))]
)
def test_upsampling_is_zeros_padding_and_a_convolution(factor: int, taps: int, padding: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(0)
    x, kernel = torch.randn(2, 3, 9, 9, generator=random), torch.rand(taps, generator=random)
    low, high = padding
    zeros = torch.zeros(2, 3, 9, factor, 9, factor)
    zeros[:, :, :, 0, :, 0] = x
    spread = pad(zeros.reshape(2, 3, 9 * factor, 9 * factor), (low, high, low, high))
    square = torch.outer(kernel, kernel).flip(0, 1)[None, None].expand(3, 1, -1, -1) * factor**2
    close(upsampled(x, kernel, factor=factor, padding=padding), conv2d(spread, square, groups=3))


@pytest.mark.parametrize("radial", [False, True])
def test_downsampling_is_a_convolution_and_a_choice_of_pixels(radial: bool) -> None:
    random = torch.Generator().manual_seed(0)
    x, kernel = torch.randn(2, 3, 21, 21, generator=random), torch.rand(6, generator=random)
    square = torch.rand(6, 6, generator=random) if radial else torch.outer(kernel, kernel)
    full = conv2d(x, square.flip(0, 1)[None, None].expand(3, 1, -1, -1), groups=3)
    ours = downsampled(x, square if radial else kernel, factor=2)
    close(ours, full[:, :, ::2, ::2])


@pytest.mark.parametrize("change", ["options", "missing", "size"])
def test_inconsistent_checkpoints(tmp_path: Path, change: str) -> None:
    state: dict[str, Any] = published(ROTATION)
    options = {"synthesis_kwargs": OPTIONS if change != "options" else {}}
    if change == "missing":
        del state[
            "synthesis.L3_28_10.bias" if "synthesis.L3_28_10.bias" in state else next(n for n in state if "L3_" in n)
        ]
    if change == "size":
        state = {name.replace("L2_", "L2_9"): tensor for name, tensor in state.items()}
    with pytest.raises(InputError, match=r"x\.pkl.*StyleGAN3"):
        convert(Container(Path("x.pkl"), state, options))


def test_weights_are_needed() -> None:
    with pytest.raises(ConfigError, match=r"generator\.weights"):
        load("generators/stylegan3")
