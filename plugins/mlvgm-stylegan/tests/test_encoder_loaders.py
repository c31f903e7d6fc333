"""e4e and Style-Transformer files of other sizes than the reference data's, against a slow formula; and broken ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_layouts import (
    State,
    e4e_offsets,
    features,
    filled,
    prefixed,
    pyramid,
    style_blocks,
    transformed,
    transformer_layers,
)
from safetensors.torch import load_file
from stylegan2_layouts import Options, ada_state, rosinality_state
from torch import Tensor

import test_families
from mlvgm import api
from mlvgm.errors import InputError
from mlvgm.noise import Keys
from mlvgm_stylegan.encoders.e4e import E4E
from mlvgm_stylegan.encoders.style_transformer import StyleTransformer
from mlvgm_stylegan.stylegan2.generator import EncodingStyleGAN2
from tolerance import GRADIENT, LAYER, close

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"

BODY = {"stem": 6, "widths": (6, 7, 8, 12), "units": (1, 2, 2, 1), "squeezed": 2}


def e4e_state(
    *, channels: tuple[int, ...] = (8, 8, 6, 4, 4), depths: tuple[int, ...] = (2, 2, 2, 3, 3, 3, 3, 4, 4, 4),
    w_dim: int = 10, layers: int = 2, colours: int = 3, **body: Any,
) -> State:  # fmt: skip
    sizes = {**BODY, **body, "colours": colours}
    encoder = pyramid(**sizes) | style_blocks(inputs=sizes["widths"][3], w_dim=w_dim, depths=depths)
    generator = Options(channels=channels, z_dim=w_dim, w_dim=w_dim, layers=layers, colours=colours)
    return {**filled(prefixed("encoder", encoder)), **decoder("decoder", generator)}


def transformer_state(
    *, channels: tuple[int, ...] = (8, 8, 6, 4, 4), feed_forward: int = 20, layers: int = 2, colours: int = 3,
    **body: Any,
) -> State:  # fmt: skip
    sizes = {**BODY, **body, "colours": colours}
    w_dim = sizes["widths"][3]
    encoder = pyramid(**sizes)
    encoder |= transformer_layers(w_dim=w_dim, feed_forward=feed_forward, queries=2 * len(channels))
    generator = Options(channels=channels, z_dim=w_dim, w_dim=w_dim, layers=layers, colours=colours)
    return {**filled(prefixed("encoder.module", encoder)), **decoder("decoder.module", generator)}


def decoder(prefix: str, options: Options) -> State:
    return {f"{prefix}.{name}": tensor for name, tensor in rosinality_state(ada_state(options), options).items()}


def load(state: State, folder: Path, average: Tensor | None = None, **options: Any) -> EncodingStyleGAN2:
    """The generator in an official file, with ``options`` beside it as a user gives them; 4 heads by default."""
    if any(name.endswith(".z") for name in state):
        options = {"nhead": 4, **options}
    content: dict[str, Any] = {"state_dict": state, "opts": {"start_from_latent_avg": True, "lr": 0.1}}
    if average is not None:
        content["latent_avg"] = average
    torch.save(content, folder / "official.pt")
    (folder / "config.json").write_text(json.dumps(options))
    config = folder / "config.json" if options else None
    generator = api.load("generators/stylegan2", weights=str(folder / "official.pt"), config=config)
    assert isinstance(generator, EncodingStyleGAN2)
    return generator


def doubles(state: State, prefix: str = "encoder.") -> State:
    return {name.removeprefix(prefix): tensor.double() for name, tensor in state.items() if name.startswith(prefix)}


def purifies(generator: EncodingStyleGAN2) -> None:
    """Reconstructs, mixes and samples images that can take the place of the encoded ones, with gradients."""
    images = torch.rand(2, *generator.encoder_image.shape, requires_grad=True)
    encoding, count = generator.encode(images), len(generator.latents)
    noise = generator.draw_noise(Keys.of(seed=0, purpose="test", samples=range(2), draws=range(2)), tied=False)
    for alphas in ([0.0] * count, [i / (count - 1) for i in range(count)], [1.0] * count):
        blended = generator.blend(encoding, noise, alphas)
        assert blended.images.shape == (4, *generator.encoder_image.shape)
        close(blended.images, generator.encoder.restore(generator.decode(blended.latents)))
    close(torch.stack(blended.latents.values), torch.stack(generator.to_latents(noise).values))
    gradient = torch.autograd.grad(generator.blend(encoding, noise, [0.0] * count).images.square().mean(), images)[0]
    assert gradient.abs().amax((1, 2, 3)).min() > 0


def test_the_described_layouts_are_those_of_the_reference_data() -> None:
    body = {"stem": 16, "widths": (16, 17, 18, 20), "units": (3, 4, 14, 3), "squeezed": 1}
    channels = (24, 24, 20, 16)
    for name, state in {
        "e4e": e4e_state(channels=channels, depths=(4,) * 3 + (5,) * 4 + (6,), w_dim=20, layers=8, **body),
        "style_transformer": transformer_state(channels=channels, feed_forward=48, layers=4, **body),
    }.items():
        stored = {
            key: tuple(tensor.shape)
            for part in ("encoder", "decoder")
            for key, tensor in load_file(GOLDEN / name / f"weights_{part}.safetensors").items()
            if not key.endswith(".upsample.kernel")  # the blur kernel again, which nothing reads
        }
        assert {key: tuple(tensor.shape) for key, tensor in state.items()} == stored


@pytest.mark.parametrize(
    ("changes", "options", "size"),
    [
        ({}, {}, (64, 64)),
        ({"stem": 5, "layers": 3, "w_dim": 7}, {}, (64, 64)),
        ({"colours": 1, "squeezed": 1}, {}, (64, 64)),
        ({"widths": (6, 6, 6, 6), "units": (3, 4, 14, 3)}, {}, (64, 64)),
        ({"widths": (6, 6, 8, 8), "units": (2, 1, 1, 2)}, {"stage_units": [2, 1, 1, 2]}, (64, 64)),
        ({"channels": (8, 4, 4), "depths": (1, 1, 1, 2, 2, 2)}, {}, (32, 32)),
        ({"channels": (8,), "depths": (2, 2)}, {}, (64, 64)),
        ({}, {"input_resolution": 48}, (48, 48)),
        ({}, {"opts": {"dataset_type": "cars_encode"}}, (48, 64)),
        ({}, {"input_resolution": [64, 48], "coarse_ind": 3, "middle_ind": 7}, (64, 48)),
        ({"depths": (4, 4, 4, 5, 5, 5, 5, 6, 6, 6)}, {"face_pool": 256}, (256, 256)),
    ],
)
def test_e4e_of_any_size(
    changes: dict[str, Any], options: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    state = e4e_state(**changes)
    channels = changes.get("channels", (8, 8, 6, 4, 4))
    average = torch.randn(2 * len(channels), changes.get("w_dim", 10))
    generator = load(state, tmp_path, average, **options)
    assert generator.encoder_image.shape == (changes.get("colours", 3), *size)
    assert len(generator.latents) == 2 * len(channels)
    images = torch.rand(2, *generator.encoder_image.shape)
    pyramid = features(doubles(state), 2 * images.double() - 1, changes.get("units", BODY["units"]))
    expected = e4e_offsets(doubles(state), pyramid, coarse=3, middle=7) + average
    close(torch.stack(generator.encode(images).values, 1), expected.float(), depth=GRADIENT)
    purifies(generator)


@pytest.mark.parametrize(
    ("changes", "options", "size"),
    [
        ({}, {"input_resolution": 64}, 32),
        ({"stem": 5, "layers": 3, "feed_forward": 7}, {"input_resolution": 64, "nhead": 2}, 32),
        ({"widths": (6, 7, 8, 10)}, {"input_resolution": 64, "nhead": 5, "image_size": 48}, 48),
        ({"colours": 1}, {"input_resolution": 64, "opts": {"dataset_type": "cars_encode"}}, 32),
        ({}, {"input_resolution": 64, "opts": {"dataset_type": "ffhq_encode"}}, 64),
        ({"channels": (8, 4)}, {}, 128),
    ],
)
def test_style_transformer_of_any_size(
    changes: dict[str, Any], options: dict[str, Any], size: int, tmp_path: Path
) -> None:
    state = transformer_state(**changes)
    channels = changes.get("channels", (8, 8, 6, 4, 4))
    w_dim = changes.get("widths", BODY["widths"])[3]
    average = torch.randn(2 * len(channels), w_dim)
    generator = load(state, tmp_path, average, **options)
    encoder = generator.encoder
    assert isinstance(encoder, StyleTransformer)
    assert generator.encoder_image.shape == (changes.get("colours", 3), size, size)
    images = torch.rand(2, *generator.encoder_image.shape)
    seen = encoder.frame(2 * images - 1)
    resolution = options.get("input_resolution", 256)
    faces = "ffhq" in str(options)
    assert seen.shape[2:] == (resolution if faces else resolution * 3 // 4, resolution)
    if faces:
        close(seen, 2 * images - 1)
    ours = doubles(state, "encoder.module.")
    queries = generator.model.mapping(state["encoder.module.z"][0]).double()
    expected = transformed(ours, queries, features(ours, seen.double(), BODY["units"]), heads=options.get("nhead", 4))
    close(torch.stack(generator.encode(images).values, 1), expected.float() + average, depth=GRADIENT)
    purifies(generator)


@pytest.mark.parametrize("kind", ["e4e", "style-transformer"])
@pytest.mark.parametrize(
    "holds",
    [
        test_families.test_rows_do_not_influence_each_other,
        test_families.test_noise_is_a_function_of_the_keys_alone,
        test_families.test_latents_of_two_images_are_exchanged,
        test_families.test_alphas_and_rows_are_checked,
    ],
)
def test_what_holds_for_every_generator(holds: Callable[..., None], kind: str, tmp_path: Path) -> None:
    state = e4e_state() if kind == "e4e" else transformer_state()
    generator = load(state, tmp_path, input_resolution=64)
    holds(generator, **({"tied": False} if "tied" in holds.__annotations__ else {}))


def test_surplus_styles_of_the_car_encoder_are_left_out(tmp_path: Path) -> None:
    """It was trained with as many as for faces, and its generator is smaller."""
    state = e4e_state(depths=(2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4))
    average = torch.randn(12, 10)
    generator = load(state, tmp_path, average)
    pyramid = features(doubles(state), 2 * (images := torch.rand(1, 3, 64, 64)).double() - 1, BODY["units"])
    expected = (e4e_offsets(doubles(state), pyramid, coarse=3, middle=7) + average)[:, :10]
    close(torch.stack(generator.encode(images).values, 1), expected.float(), depth=GRADIENT)


def test_a_missing_mean_latent_is_estimated_the_same_every_time(tmp_path: Path) -> None:
    first, second = (load(e4e_state(), tmp_path).encoder for _ in range(2))
    assert isinstance(first, E4E) and isinstance(second, E4E)
    assert torch.equal(first.average, second.average)
    close(first.average, first.average[:1].expand_as(first.average), depth=LAYER)
    generator = load(e4e_state(), tmp_path)
    styles = generator.model.mapping(torch.randn(20000, 10, generator=torch.Generator().manual_seed(1)))
    error = styles.std(0) * (1 / 4096 + 1 / 20000) ** 0.5
    assert ((first.average[0] - styles.mean(0)).abs() < 5 * error).all()


@pytest.mark.parametrize("shape", [(10,), (1, 10), (10, 10)])
def test_a_mean_latent_for_all_layers_or_for_each(shape: tuple[int, ...], tmp_path: Path) -> None:
    average = torch.randn(shape)
    encoder = load(e4e_state(), tmp_path, average).encoder
    assert isinstance(encoder, E4E)
    close(encoder.average, average.expand(10, 10), depth=LAYER)


def test_codes_need_not_start_from_the_mean_latent(tmp_path: Path) -> None:
    encoder = load(e4e_state(), tmp_path, torch.randn(10, 10), start_from_latent_avg=False).encoder
    assert isinstance(encoder, E4E) and (encoder.average == 0).all()


def test_prefixes_end_with_a_dot(tmp_path: Path) -> None:
    """The reference takes every name that starts with "encoder", without looking at what follows."""
    state = e4e_state()
    strange = {"encoder_ema.z": torch.ones(1), "encoderx": torch.ones(1), "decoder_old.input.input": torch.ones(1)}
    images = torch.rand(1, 3, 64, 64)
    with_others = load({**strange, **state}, tmp_path, torch.zeros(10)).encode(images)
    alone = load(state, tmp_path, torch.zeros(10)).encode(images)
    assert all(map(torch.equal, alone.values, with_others.values))


def test_other_image_sizes_are_refused_and_not_mixed_into_the_batch(tmp_path: Path) -> None:
    generator = load(e4e_state(), tmp_path)
    assert isinstance(generator.encoder, E4E)
    with pytest.raises(InputError, match=r"expected float.* \(N, 3, 64, 64\), got .* \(1, 3, 128, 128\)"):
        generator.encode(torch.rand(1, 3, 128, 128))
    with pytest.raises(InputError, match=r"\(N, 3, 64, 64\)"):
        generator.encoder(torch.rand(1, 3, 128, 128))


@pytest.mark.parametrize(
    ("state", "options", "complaint"),
    [
        ({"drop": "decoder."}, {}, "an encoder of omertov/encoder4editing without its StyleGAN2"),
        ({"drop": "encoder.latlayer2.bias"}, {}, "latlayer2.bias"),
        ({"drop": "encoder.body.3.res_layer.4.running_var"}, {}, "body.3.res_layer.4.running_var"),
        ({"drop": "encoder.styles.2.linear.bias"}, {}, "styles.2.linear.bias"),
        ({"extra": "encoder.styles.2.norm.weight"}, {}, r"unknown tensors of the encoder.*styles.2.norm.weight"),
        ({"extra": "decoder.strange"}, {}, "strange"),
        ({"depths": (2, 2, 2, 3, 3, 3)}, {}, "6 styles of 10 numbers .* its generator needs 10"),
        ({"depths": (2, 2, 2, 4, 4, 3, 3, 4, 4, 4)}, {}, "style blocks of .* convolutions are not for images of 64"),
        ({"widths": (6, 6, 8, 8)}, {}, "do not tell the four stages; give stage_units"),
        ({"widths": (6, 6, 8, 8)}, {"stage_units": [1, 1, 1, 1]}, "do not make the 6 residual units"),
        ({"widths": (6, 7, 8, 8)}, {"stage_units": [2, 1, 2, 1]}, "change within the stages"),
        ({}, {"input_resolution": 256}, "style blocks of .* convolutions are not for images of 256 × 256"),
        ({}, {"middle_ind": 6}, "middle_ind is 6, but by their depth style 7 is the first of its features"),
        ({}, {"encoder_type": "GradualStyleEncoder"}, "encoder_type 'GradualStyleEncoder' is not supported"),
        ({}, {"input_resolution": "large"}, "large"),
        ({}, {"face_pool": 0}, "face_pool"),
    ],
)
def test_one_message_for_each_kind_of_broken_e4e(
    state: dict[str, Any], options: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    sizes = {name: value for name, value in state.items() if name not in ("drop", "extra")}
    tensors = {
        name: tensor for name, tensor in e4e_state(**sizes).items() if not name.startswith(state.get("drop", "-"))
    }
    if "extra" in state:
        tensors[state["extra"]] = torch.zeros(1)
    with pytest.raises(InputError, match=complaint) as caught:
        load(tensors, tmp_path, **options)
    assert "official.pt" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "average", "complaint"),
    [
        ({"learn_in_w": True}, None, "learn_in_w, one style for all layers, is not supported"),
        ({"nhead": 5}, None, "5 heads do not divide 12 numbers"),
        ({"nhead": None}, None, r"nor anything beside them tell nhead \(give it in a JSON or YAML file with --config"),
        ({"nhead": "many"}, None, "heads: Input should be a valid integer"),
        ({}, torch.zeros(6, 12), "latent_avg is of 6 layers, the generator has 10"),
        ({"input_resolution": 0}, None, "image.1: Input should be greater than or equal to 1"),
    ],
)
def test_one_message_for_each_kind_of_broken_style_transformer(
    options: dict[str, Any], average: Tensor | None, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        load(transformer_state(), tmp_path, average, **options)
    assert "official.pt" in str(caught.value) and "\n" not in str(caught.value)
