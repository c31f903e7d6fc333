"""The StyleGAN2 network: initial state, folding, shared rows, and modulated convolution against grouped convolution."""

from __future__ import annotations

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from mlvgm.errors import InputError
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture, light
from mlvgm_stylegan.stylegan2.equalised import EqualisedLinear
from mlvgm_stylegan.stylegan2.fold import fold
from mlvgm_stylegan.stylegan2.modulated_convolution import ModulatedConvolution, ModulatedProjection
from mlvgm_stylegan.stylegan2.network import build
from mlvgm_stylegan.stylegan2.resampling import downsample_padding, fir, normalised_filter, upsample
from tolerance import close

SMALL = StyleGAN2Architecture(z_dim=8, w_dim=8, channels=(8, 6, 4), mapping_layers=2, classes=3)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_fresh_network_keeps_activations_of_order_one() -> None:
    model = build(light(image_channels=3).model_copy(update={"noise": True}), seed=0)
    w = model.mapping(random(256, 64))
    assert 0.5 < w.square().mean().sqrt() < 2
    with torch.no_grad():
        features = [x for x, _ in model.synthesis.trace([w] * 8)]
    for x in features:
        assert 0.3 < x.square().mean().sqrt() < 2
    assert all(parameter.requires_grad for parameter in model.parameters())
    for layer in model.synthesis.layers:
        assert layer.noise_strength == 0 and layer.noise.std() > 0.5
        close(layer.convolution.affine(torch.zeros(1, 64)), torch.ones(1, layer.convolution.weight.shape[1]))


def test_building_is_a_function_of_the_seed() -> None:
    before = torch.get_rng_state()
    first, again, other = (build(SMALL, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["synthesis.constant"], other["synthesis.constant"])


@pytest.mark.parametrize("output", ["skip", "resnet", "orig"])
def test_folding_changes_nothing(output: str) -> None:
    model = build(SMALL.model_copy(update={"output": output}), seed=0)
    before, z, condition = copy.deepcopy(model.state_dict()), random(3, 8), random(3, 8, seed=1)
    folded = fold(model)
    close(folded(z, condition), model(z, condition))
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    # Folding twice must not multiply gains twice.
    close(fold(folded)(z, condition), model(z, condition))


@pytest.mark.parametrize("up", [False, True])
def test_style_on_activations_equals_style_on_weights(up: bool) -> None:
    layer = ModulatedConvolution(4, 5, w_dim=3, up=up)
    layer.weight.data = random(5, 4, 3, 3)
    layer.affine.weight.data = random(4, 3, seed=1)
    x, w, low_pass = random(2, 4, 6, 6, seed=2), random(2, 3, seed=3), normalised_filter([1, 3, 3, 1])
    features, scale = layer(x, w, low_pass)
    style = layer.affine(w)
    weight = layer.weight * style[:, None, :, None, None]
    weight = weight / (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    for row in range(2):
        if up:
            # Upsample first, then a true convolution; the border of the padded image is what the filter reaches.
            wide = torch.nn.functional.pad(x[row : row + 1], (1, 1, 1, 1))
            expected = conv2d(upsample(wide, low_pass), weight[row].flip((2, 3)), padding=1)[:, :, 2:-2, 2:-2]
        else:
            expected = conv2d(x[row : row + 1], weight[row], padding=1)
        close((features * scale)[row : row + 1], expected)


def test_projection_does_not_demodulate() -> None:
    layer = ModulatedProjection(4, 3, w_dim=2)
    layer.weight.data = random(3, 4, 1, 1)
    x, w = random(2, 4, 5, 5, seed=2), torch.zeros(2, 2)
    close(layer(x, w), conv2d(x, layer.weight / 2))


def test_early_styles_may_have_fewer_rows() -> None:
    model = fold(build(SMALL, seed=0))
    few, many = random(2, 8), random(6, 8, seed=1)
    wide = few.repeat_interleave(3, 0)
    for split in range(7):
        ws = [few] * split + [many] * (6 - split)
        same = [wide] * split + [many] * (6 - split)
        ours = model.synthesis(ws)
        close(ours if len(ours) == 6 else ours.repeat_interleave(3, 0), model.synthesis(same))
    alternating = [few, many, few, many, few, many]
    close(model.synthesis(alternating), model.synthesis([wide, many, wide, many, wide, many]))


def test_wrong_numbers_of_styles_and_noise_images_are_refused() -> None:
    model = build(SMALL, seed=0)
    with pytest.raises(InputError, match="expected 6 styles, came 5"):
        model.synthesis(random(2, 5, 8))
    with pytest.raises(InputError, match="expected 5 noise images, came 1"):
        model.synthesis(random(2, 6, 8), [random(2, 1, 4, 4)])


def test_second_derivatives_exist() -> None:
    """Path-length regularisation differentiates a gradient."""
    model = build(SMALL, seed=0)
    ws = random(2, 6, 8).requires_grad_()
    (gradient,) = torch.autograd.grad(model.synthesis(ws).square().sum(), ws, create_graph=True)
    gradient.square().sum().backward()
    assert model.synthesis.blocks[0].layer.convolution.weight.grad.abs().max() > 0


def test_equalised_layer_scales_weight_and_bias() -> None:
    layer = EqualisedLinear(4, 3, bias=1.0, learning_rate=0.01)
    assert layer.bias[0].item() == pytest.approx(100)
    layer.weight.data = random(3, 4)
    x = random(2, 4, seed=1)
    close(layer(x), x @ layer.weight.T * 0.01 / 2 + 1)


def test_upsampling_with_a_box_repeats_pixels() -> None:
    x = random(2, 3, 4, 4)
    close(upsample(x, normalised_filter([1, 1])), interpolate(x, scale_factor=2))


def test_upsampling_with_1331_is_bilinear_inside() -> None:
    x = random(1, 2, 6, 6)
    bilinear = interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    close(upsample(x, normalised_filter([1, 3, 3, 1]))[:, :, 1:-1, 1:-1], bilinear[:, :, 1:-1, 1:-1])


def test_halving_with_a_box_averages_pixels() -> None:
    x, kernel = random(2, 3, 8, 8), normalised_filter([1, 1])
    close(fir(x, kernel, padding=downsample_padding(kernel), stride=2), torch.nn.functional.avg_pool2d(x, 2))


def test_filters_are_convolved_not_correlated() -> None:
    pulse = torch.zeros(1, 1, 5, 5)
    pulse[0, 0, 2, 2] = 1
    kernel = normalised_filter([[1.0, 2.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 2.0]])
    close(fir(pulse, kernel, padding=(1, 1, 1, 1))[0, 0, 1:4, 1:4], kernel)
    close(fir(pulse, kernel, padding=(2, 0, 2, 0))[0, 0, 2:5, 2:5], kernel)


@pytest.mark.parametrize(
    "change", [{"channels": ()}, {"w_dim": 0}, {"resample_filter": ((1.0, 2.0), (1.0,))}, {"x": 1}]
)
def test_architectures_that_make_no_sense_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StyleGAN2Architecture.model_validate({**SMALL.model_dump(), **change})


@pytest.mark.parametrize("rows", [(2, 2), (1, 6), (2, 6)])
def test_features_stay_channels_last_when_rows_widen(rows: tuple[int, int]) -> None:
    """Repeating rows loses the layout, and then the network is half as fast."""
    model = fold(build(SMALL, seed=0))
    few, many = (random(count, 8) for count in rows)
    for features, _ in model.synthesis.trace([few, few, many, many, many, many]):
        assert features.is_contiguous(memory_format=torch.channels_last)
