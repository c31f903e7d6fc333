"""All stored outputs of e4e and Style-Transformer, purification included, from files in the official layout."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate

from mlvgm import api
from mlvgm.latents import Latents
from mlvgm.noise import Noise
from mlvgm.weights.convert import convert
from mlvgm_stylegan.encoders.e4e import E4E
from mlvgm_stylegan.encoders.style_transformer import StyleTransformer
from mlvgm_stylegan.stylegan2.generator import EncodingStyleGAN2
from tolerance import GRADIENT, LAYER, close

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"

Io = dict[str, Tensor]


def stored(name: str) -> tuple[Io, Io, dict[str, object]]:
    """Inputs and outputs, tensors of encoder and decoder, and the options of a golden folder."""
    folder = GOLDEN / name
    weights = {**load_file(folder / "weights_encoder.safetensors"), **load_file(folder / "weights_decoder.safetensors")}
    return load_file(folder / "io.safetensors"), weights, json.loads((folder / "config.json").read_text())


def official(name: str, folder: Path, *, form: str = "namespace") -> Path:
    """A checkpoint in one of the forms they come in."""
    io, weights, options = stored(name)
    path = folder / f"{form}.{'safetensors' if form == 'merged' else 'pt'}"
    opts = options["opts"]
    if form == "merged":
        save_file({**weights, "latent_avg": io["latent_avg"]}, path)
    else:
        assert isinstance(opts, dict)
        kept = argparse.Namespace(**opts) if form == "namespace" else opts
        torch.save({"state_dict": weights, "latent_avg": io["latent_avg"], "opts": kept}, path)
    return path


def generator_of(path: Path, *, config: Path | None = None) -> EncodingStyleGAN2:
    generator = api.load("generators/stylegan2", weights=str(path), config=config)
    assert isinstance(generator, EncodingStyleGAN2)
    return generator


@pytest.fixture(scope="module")
def e4e(tmp_path_factory: pytest.TempPathFactory) -> EncodingStyleGAN2:
    # The face pool of 16 pixels is the reference data's own; official files need no options.
    config = GOLDEN / "e4e" / "config.json"
    return generator_of(official("e4e", tmp_path_factory.mktemp("e4e")), config=config)


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> EncodingStyleGAN2:
    # The files do not have the number of heads.
    folder = tmp_path_factory.mktemp("transformer")
    (folder / "heads.yaml").write_text("nhead: 4\n")
    return generator_of(official("style_transformer", folder), config=folder / "heads.yaml")


@pytest.fixture(scope="module")
def e4e_io() -> Io:
    return stored("e4e")[0]


@pytest.fixture(scope="module")
def transformer_io() -> Io:
    return stored("style_transformer")[0]


def pixels(quarter: Tensor) -> Tensor:
    """Images in [0, 1]: each stored number is a block of 4×4 pixels."""
    return quarter.repeat_interleave(4, 2).repeat_interleave(4, 3) / 255


def draws(io: Io, name: str) -> Noise:
    """The stored noise of all styles, untied; the same for every image where there is none."""
    noise = io.get(f"purify_{name}_noise", torch.zeros(8, 2, 20))
    return Noise(tuple(noise), tuple(range(8)))


@pytest.mark.parametrize("name", ["e4e", "style_transformer"])
def test_all_forms_of_a_file_are_the_same_model(name: str, tmp_path: Path) -> None:
    first, *others = (official(name, tmp_path, form=form) for form in ("namespace", "dict", "merged"))
    converted, heads = tmp_path / "converted.safetensors", tmp_path / "heads.yaml"
    heads.write_text("nhead: 4\n")
    convert(first, converted, options={"nhead": 4})
    generator = generator_of(first, config=heads)
    expected = {**generator.model.state_dict(), **generator.encoder.state_dict()}
    for path in (*others, converted):
        found = generator_of(path, config=heads)
        state = {**found.model.state_dict(), **found.encoder.state_dict()}
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[key], expected[key]) for key in expected)


# --- e4e -------------------------------------------------------------------------------------------------------------


def test_e4e_features_before_and_after_the_last_stages(e4e: EncodingStyleGAN2, e4e_io: Io) -> None:
    """The first unit of a stage of equal width skips by every second pixel; the stride is on the second convolution."""
    assert isinstance(e4e.encoder, E4E)
    _, c1, c2, c3 = e4e.encoder.pyramid.body(2 * pixels(e4e_io["x_u8_quarter"]) - 1)
    close(c1.mean((2, 3)), e4e_io["feat_mean_block6"])
    close(c2.mean((2, 3)), e4e_io["feat_mean_block20"])
    close(c3.mean((2, 3)), e4e_io["feat_mean_block23"])
    close(c3, e4e_io["feat_block23"])


def test_e4e_codes_are_one_style_and_offsets_from_it(e4e: EncodingStyleGAN2, e4e_io: Io) -> None:
    images = pixels(e4e_io["x_u8_quarter"])
    assert isinstance(e4e.encoder, E4E)
    close(e4e.encoder(2 * images - 1), e4e_io["encoder_raw"])
    close(torch.stack(e4e.encode(images).values, 1), e4e_io["codes"])


@pytest.mark.parametrize("stage", [0, 1, 3, 7])
def test_e4e_progressive_stages(e4e: EncodingStyleGAN2, e4e_io: Io, stage: int) -> None:
    images = pixels(e4e_io["x_u8_quarter"])
    assert isinstance(e4e.encoder, E4E)
    close(e4e.encoder(2 * images - 1, stage=stage), e4e_io[f"encoder_raw_stage{stage}"])


def test_e4e_decoded_codes(e4e: EncodingStyleGAN2, e4e_io: Io) -> None:
    decoded = 2 * e4e.decode(Latents(e4e_io["codes"].unbind(1))) - 1
    close(decoded, e4e_io["decoded_full"])
    close(2 * adaptive_avg_pool2d(e4e.encoder.restore((decoded + 1) / 2), 16) - 1, e4e_io["decoded"])


@pytest.mark.parametrize("name", ["a0", "a1", "amix"])
def test_e4e_purification(e4e: EncodingStyleGAN2, e4e_io: Io, name: str) -> None:
    encoding = e4e.encode(pixels(e4e_io["x_u8_quarter"]))
    blended = e4e.blend(encoding, draws(e4e_io, name), e4e_io[f"purify_{name}_alphas"].tolist())
    assert blended.images.shape == (2, *e4e.encoder_image.shape) == (2, 3, 256, 256)
    # The face pool of the reference data is 16 pixels wide, whole blocks of ours.
    close(2 * blended.images[:, :, ::16, ::16] - 1, e4e_io[f"purify_{name}"])
    close(2 * adaptive_avg_pool2d(e4e.decode(blended.latents), 16) - 1, e4e_io[f"purify_{name}"])


def test_e4e_gradient_of_a_reconstruction(e4e: EncodingStyleGAN2, e4e_io: Io) -> None:
    """Through decoder, pooling and encoder with its folded batch norms; values are about 1e-7."""
    x = (2 * pixels(e4e_io["x_u8_quarter"][:1]) - 1).requires_grad_(True)
    encoding = e4e.encode((x + 1) / 2)
    noise = Noise((torch.zeros(1, 20),), (0,) * 8)
    images = 2 * adaptive_avg_pool2d(e4e.blend(encoding, noise, [0.0] * 8).images, 16) - 1
    (images * e4e_io["purify_a0_grad_r"]).mean().backward()
    assert x.grad is not None
    expected = e4e_io["purify_a0_grad_x0_pooled8"]
    difference = avg_pool2d(x.grad, 8) - expected
    assert difference.norm() < 1e-4 * expected.norm()
    close(x.grad.norm(), e4e_io["purify_a0_grad_norm"][0], depth=GRADIENT)


# --- Style-Transformer -----------------------------------------------------------------------------------------------


def test_transformer_queries_are_learned_noise_through_the_mapping(
    transformer: EncodingStyleGAN2, transformer_io: Io
) -> None:
    assert isinstance(transformer.encoder, StyleTransformer)
    close(transformer.encoder.queries.expand(2, -1, -1), transformer_io["query"])


def test_transformer_sees_resized_images_without_margins(transformer: EncodingStyleGAN2, transformer_io: Io) -> None:
    encoder, images = transformer.encoder, 2 * pixels(transformer_io["x128_u8_quarter"]) - 1
    assert isinstance(encoder, StyleTransformer)
    framed = encoder.frame(images)
    close(avg_pool2d(framed, 8), transformer_io["xin_pooled8"], depth=LAYER)
    close(encoder(framed), transformer_io["encoder_codes"])
    # A resize that the numbers above would not forgive.
    aligned = interpolate(images, size=(256, 256), mode="bilinear", align_corners=True)[:, :, 32:224]
    assert (avg_pool2d(aligned, 8) - transformer_io["xin_pooled8"]).abs().max() > 1e-3


def test_transformer_codes_and_their_images(transformer: EncodingStyleGAN2, transformer_io: Io) -> None:
    encoding = transformer.encode(pixels(transformer_io["x128_u8_quarter"]))
    close(torch.stack(encoding.values, 1), transformer_io["codes"])
    decoded = 2 * transformer.decode(encoding) - 1
    close(decoded, transformer_io["decoded_full"])


@pytest.mark.parametrize(("name", "image"), [("a0", 0), ("amix", 1)])
def test_transformer_purification(transformer: EncodingStyleGAN2, transformer_io: Io, name: str, image: int) -> None:
    encoding = transformer.encode(pixels(transformer_io["x128_u8_quarter"]))
    alphas = transformer_io[f"purify_{name}_alphas"].tolist()
    purified = 2 * transformer.blend(encoding, draws(transformer_io, name), alphas).images - 1
    close(purified[image, None], transformer_io[f"purify_{name}"])


def test_transformer_borders_are_black_and_nothing_is_clamped(
    transformer: EncodingStyleGAN2, transformer_io: Io
) -> None:
    encoding = transformer.encode(pixels(transformer_io["x128_u8_quarter"]))
    images = transformer.blend(encoding, draws(transformer_io, "a0"), [0.0] * 8).images
    assert (images[:, :, :16] == 0).all() and (images[:, :, 112:] == 0).all()
    assert images.min() < 0 and images.max() > 1


def test_the_scale_of_the_reference_noise_is_irrelevant(transformer: EncodingStyleGAN2, transformer_io: Io) -> None:
    """It is drawn with deviation 0.8, but the mapping network normalises it first; so that is no option here."""
    noise = transformer_io["purify_amix_noise"]
    assert abs(noise.std() - 0.8) < 0.05
    drawn, standard = (
        torch.stack(transformer.to_latents(Noise(tuple(z), tuple(range(8)))).values) for z in (noise, noise / 0.8)
    )
    close(drawn, standard)
