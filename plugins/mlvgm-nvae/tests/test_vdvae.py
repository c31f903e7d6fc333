"""VDVAE checkpoints of other sizes and options, and the generator contract on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mlvgm.api import load
from mlvgm.errors import InputError
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Encodes, Inverts
from mlvgm.weights.container import Container
from mlvgm_nvae.generator import HierarchicalGenerator
from mlvgm_nvae.vdvae.architecture import VDVAEArchitecture, parse_decoder_blocks, parse_encoder_blocks
from mlvgm_nvae.vdvae.loader import convert
from mlvgm_nvae.vdvae.network import VDVAE
from tolerance import GRADIENT, close

HPARAMS: dict[str, Any] = {
    "dataset": "ffhq_256",
    "enc_blocks": "32x1,32d2,16x1,16d4,4x1,4d4,1x2",
    "dec_blocks": "1x2,4m1,4x1,16m4,32m16,32x1",
}
WIDTHS = {1: 12, 4: 12, 16: 8, 32: 6}


def published(*, no_bias_above: int = 16, mixtures: int = 3, prefix: str = "") -> dict[str, Tensor]:
    """A state dict in the published layout: two widths, a constant up to one resolution only."""
    encoder, decoder = parse_encoder_blocks(HPARAMS["enc_blocks"]), parse_decoder_blocks(HPARAMS["dec_blocks"])
    state: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(0)

    def convolution(name: str, outputs: int, inputs: int, side: int) -> None:
        state[f"{name}.weight"] = (
            torch.randn(outputs, inputs, side, side, generator=generator) / (inputs * side**2) ** 0.5
        )
        state[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=generator)

    def block(name: str, inputs: int, outputs: int, resolution: int) -> None:
        middle, side = WIDTHS[resolution] // 2, 3 if resolution > 2 else 1
        for layer, sizes in {
            "c1": (middle, inputs, 1),
            "c2": (middle, middle, side),
            "c3": (middle, middle, side),
        }.items():
            convolution(f"{name}.{layer}", *sizes)
        convolution(f"{name}.c4", outputs, middle, 1)

    convolution("encoder.in_conv", WIDTHS[32], 3, 3)
    for i, spec in enumerate(encoder):
        block(f"encoder.enc_blocks.{i}", WIDTHS[spec.resolution], WIDTHS[spec.resolution], spec.resolution)
    for i, latent in enumerate(decoder):
        name, width, resolution = f"decoder.dec_blocks.{i}", WIDTHS[latent.resolution], latent.resolution
        block(f"{name}.enc", 2 * width, 2 * 5, resolution)
        block(f"{name}.prior", width, 2 * 5 + width, resolution)
        block(f"{name}.resnet", width, width, resolution)
        convolution(f"{name}.z_proj", width, 5, 1)
    for k, resolution in enumerate(r for r in sorted(WIDTHS) if r <= no_bias_above):
        state[f"decoder.bias_xs.{k}"] = torch.randn(1, WIDTHS[resolution], resolution, resolution, generator=generator)
    state["decoder.gain"], state["decoder.bias"] = torch.rand(1, 6, 1, 1) + 0.5, torch.zeros(1, 6, 1, 1)
    convolution("decoder.out_net.out_conv", 10 * mixtures, 6, 1)
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.fixture
def generator(tmp_path: Path) -> HierarchicalGenerator:
    torch.save(published(prefix="module."), tmp_path / "ema.th")
    (tmp_path / "hparams.json").write_text(json.dumps(HPARAMS))
    loaded: HierarchicalGenerator = load(
        "generators/vdvae", weights=str(tmp_path / "ema.th"), config=str(tmp_path / "hparams.json"), temperature=0.8
    )
    return loaded


def architecture(generator: HierarchicalGenerator) -> VDVAEArchitecture:
    assert isinstance(generator.model, VDVAE)
    return generator.model.architecture


def test_sizes_come_from_the_tensors(generator: HierarchicalGenerator) -> None:
    a = architecture(generator)
    assert a.widths == WIDTHS and a.bottlenecks == {r: width // 2 for r, width in WIDTHS.items()}
    assert (a.latent_channels, a.mixtures, a.bits, a.biases) == (5, 3, 5, (1, 4, 16))
    assert a.image == (3, 32, 32) and (a.shift, a.scale) == (-112.8666757481, 1 / 69.84780273)
    assert [spec.resolution for spec in generator.latents] == [1, 1, 4, 4, 16, 32, 32]


def test_contract(generator: HierarchicalGenerator) -> None:
    assert isinstance(generator, Encodes) and isinstance(generator, Inverts)
    keys = Keys.of(seed=0, purpose="test", samples=range(2), draws=range(2))
    noise = generator.draw_noise(keys)
    made = generator.generate(noise)
    latents = generator.to_latents(noise)
    close(generator.decode(latents), made)
    back = generator.to_noise(latents)
    for ours, drawn in zip(back.values, noise.values, strict=True):
        close(ours, drawn, depth=GRADIENT)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    count = len(generator.latents)
    close(generator.blend(generator.encode(images), noise, [1.0] * count).images, made)
    alphas = [0.0, 0.0, 0.3, 0.5, 0.0, 1.0, 0.2]
    whole = generator.blend(generator.encode(images), noise, alphas).images
    part = generator.blend(generator.encode(images[1:]), noise[torch.tensor([3])], alphas).images
    close(part, whole[3:])


def test_resolutions_without_a_constant_start_from_zeros_and_wider_ones_are_padded(
    generator: HierarchicalGenerator,
) -> None:
    groups = generator.model.decoder.groups
    assert groups[5].bias is None and groups[4].bias is not None  # type: ignore[attr-defined]
    features = generator.model.encode(torch.rand(1, 3, 32, 32))
    assert [feature.shape[1] for feature in features] == [12, 12, 12, 12, 8, 6, 6]


def test_published_models_are_known_by_their_blocks() -> None:
    state = {f"encoder.enc_blocks.{i}.c1.weight": torch.zeros(1) for i in range(27)}
    state |= {f"decoder.dec_blocks.{i}.c1.weight": torch.zeros(1) for i in range(43)}
    state |= {"encoder.in_conv.weight": torch.zeros(1), "decoder.gain": torch.zeros(1)}
    with pytest.raises(InputError, match=r"no published model has 27 encoder and 43 decoder blocks.*--config"):
        convert(Container(Path("x.th"), state))


@pytest.mark.parametrize("missing", ["decoder.dec_blocks.3.z_proj.bias", "decoder.bias_xs.1", "encoder.in_conv.bias"])
def test_incomplete_checkpoints(tmp_path: Path, missing: str) -> None:
    state = published()
    del state[missing]
    torch.save(state, tmp_path / "ema.th")
    (tmp_path / "hparams.json").write_text(json.dumps({"hparams": HPARAMS}))
    with pytest.raises(InputError, match=r"ema\.th"):
        load("generators/vdvae", weights=str(tmp_path / "ema.th"), config=str(tmp_path / "hparams.json"))


def test_other_families_are_not_vdvae() -> None:
    assert convert(Container(Path("x.pt"), {"const_prior": torch.zeros(1)})) is None
    assert convert(Container(Path("x.pt"), [1, 2])) is None


@pytest.mark.parametrize("text", ["32x1000000000", "32x0", "32x-3"])
def test_counts_of_blocks_that_no_network_has(text: str) -> None:
    for parse in (parse_encoder_blocks, parse_decoder_blocks):
        with pytest.raises(ValueError, match=r"says .* blocks, expected 1 … 4096"):
            parse(text)
