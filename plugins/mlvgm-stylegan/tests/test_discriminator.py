"""The discriminator: the official one's logits, its parts against slow formulas, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from mlvgm.latents import ImageSpec
from mlvgm_stylegan.stylegan2.discriminator import (
    Discriminator,
    DiscriminatorArchitecture,
    EqualisedConv2d,
    build_discriminator,
    light_discriminator,
    minibatch_deviations,
)
from tolerance import close

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "stylegan2_ada"


def official(tensors: dict[str, Tensor], *, sides: list[int]) -> dict[str, Tensor]:
    """The official names in ours; every layer's filter is the architecture's."""
    names = {f"b{sides[0]}.fromrgb": "fromrgb", "b4.conv": "conv", "b4.fc": "fc", "b4.out": "out"}
    names |= {
        f"b{side}.{part}": f"blocks.{i}.{part}" for i, side in enumerate(sides) for part in ("conv0", "conv1", "skip")
    }
    split = [(*name.rsplit(".", 1), tensor) for name, tensor in tensors.items() if "resample_filter" not in name]
    return {f"{names[layer]}.{kind}": tensor for layer, kind, tensor in split}


def test_logits_of_the_official_discriminator() -> None:
    options = json.loads((GOLDEN / "config.json").read_text(encoding="utf-8"))["discriminator"]
    sides = [32, 16, 8, 4]
    assert options["img_resolution"] == sides[0]
    architecture = DiscriminatorArchitecture(
        image=(options["img_channels"], 32, 32),
        channels=tuple(min(options["channel_base"] // side, options["channel_max"]) for side in sides),
        group=options["epilogue"]["mbstd_group_size"],
        group_channels=options["epilogue"]["mbstd_num_channels"],
    )
    model = Discriminator(architecture)
    tensors = load_file(GOLDEN / "weights_D.safetensors")
    model.load_state_dict(official(tensors, sides=sides[:-1]))
    close(tensors["b8.resample_filter"], model.blocks[0].skip.filter)
    io = load_file(GOLDEN / "io.safetensors")
    close(model(io["img_const"]), io["D_logits"].squeeze(1))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("filter", [(1.0, 1.0), (1.0, 3.0, 3.0, 1.0), (1.0, 2.0, 5.0)])
def test_one_strided_convolution_filters_convolves_and_halves(kernel: int, filter: tuple[float, ...]) -> None:
    layer = EqualisedConv2d(2, 3, kernel, filter=filter)
    torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(0))
    images = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    size, taps = len(filter), torch.tensor(filter) / sum(filter)
    before, after = (size - 1) // 2 + kernel // 2, (size - 2) // 2 + kernel // 2
    padded = F.pad(images, (before, after, before, after))
    rows = padded.shape[2] - size + 1
    blurred = torch.zeros(2, 2, rows, rows)
    for i in range(size):
        for j in range(size):
            # A true convolution: the last tap meets the first pixel.
            blurred += taps[size - 1 - i] * taps[size - 1 - j] * padded[:, :, i : i + rows, j : j + rows]
    expected = F.conv2d(blurred, layer.weight / (2 * kernel**2) ** 0.5, stride=2)
    assert expected.shape == (2, 3, 4, 4)
    close(layer(images), expected)


def test_minibatch_deviations_group_every_nth_image() -> None:
    features = torch.randn(8, 4, 2, 3, generator=torch.Generator().manual_seed(0))
    found = minibatch_deviations(features, group=4, channels=2)
    assert found.shape == (8, 2, 2, 3)
    for image in range(8):
        group = [other for other in range(8) if other % 2 == image % 2]
        for part in range(2):
            values = features[group, 2 * part : 2 * part + 2]
            expected = (values.var(0, correction=0) + 1e-8).sqrt().mean()
            close(found[image, part], expected.expand(2, 3))
    assert minibatch_deviations(features[:3], group=4, channels=1).shape == (3, 1, 2, 3)


@pytest.mark.parametrize("image", [ImageSpec(1, 32, 32), ImageSpec(3, 16, 24), ImageSpec(2, 8, 8)])
def test_the_light_discriminator_starts_with_logits_of_order_one(image: ImageSpec) -> None:
    model = build_discriminator(light_discriminator(image), seed=0)
    images = torch.randn(64, *image.shape, generator=torch.Generator().manual_seed(0))
    logits = model(images)
    assert logits.shape == (64,) and 0.1 < logits.std() < 10
    maps = model.features(images)
    assert [len(map[0]) for map in maps] == list(model.architecture.channels)
    again = build_discriminator(light_discriminator(image), seed=0)
    assert torch.equal(again(images), logits) and not torch.equal(
        build_discriminator(light_discriminator(image), seed=1)(images), logits
    )


def test_refusals() -> None:
    with pytest.raises(ValidationError, match="images of 12×12 cannot be halved to 4 feature maps"):
        DiscriminatorArchitecture(image=(1, 12, 12), channels=(4, 4, 4, 4))
    with pytest.raises(ValidationError, match="5 channels do not split into 2 equal parts"):
        DiscriminatorArchitecture(image=(1, 8, 8), channels=(4, 5), group_channels=2)
