"""All stored outputs of StyleGAN2-ADA and of rosinality's StyleGAN2, from every form of checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mlvgm import api
from mlvgm.noise import Noise
from mlvgm.weights.container import read_container
from mlvgm_stylegan.stylegan2.generator import StyleGAN2Generator
from mlvgm_stylegan.stylegan2.loaders.convert import convert
from mlvgm_stylegan.stylegan2.weights import ENCODERS
from tolerance import GRADIENT, LAYER, close

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"
ADA, ROSINALITY = GOLDEN / "stylegan2_ada", GOLDEN / "stylegan2_rosinality"

Io = dict[str, Tensor]


@pytest.fixture(scope="module", params=["network_snapshot.pkl", "weights.safetensors", "tf_variables.safetensors"])
def ada(request: pytest.FixtureRequest) -> StyleGAN2Generator:
    return loaded(ADA / request.param)


@pytest.fixture(scope="module", params=["checkpoint.pt", "weights.safetensors"])
def rosinality(request: pytest.FixtureRequest) -> StyleGAN2Generator:
    return loaded(ROSINALITY / request.param)


@pytest.fixture(scope="module")
def ada_io() -> Io:
    return load_file(ADA / "io.safetensors")


@pytest.fixture(scope="module")
def rosinality_io() -> Io:
    return load_file(ROSINALITY / "io.safetensors")


def loaded(path: Path, **options: object) -> StyleGAN2Generator:
    generator = api.load("generators/stylegan2", weights=str(path), **options)
    assert isinstance(generator, StyleGAN2Generator)
    return generator


def drawn(shapes: list[tuple[int, ...]], seed: int) -> list[Tensor]:
    """Noise images as the references draw them, layer by layer from one generator."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def tied(z: Tensor) -> Noise:
    return Noise((z,), (0,) * 8)


def test_ada_mapping_and_truncation(ada: StyleGAN2Generator, ada_io: Io) -> None:
    styles = {
        "ws": ada,
        "ws_psi0.7": ada.with_sampling(psi=0.7),
        "ws_psi0.5_cutoff3": ada.with_sampling(psi=0.5, cutoff=3),
    }
    for name, generator in styles.items():
        close(torch.stack(generator.to_latents(tied(ada_io["z"])).values, 1), ada_io[name], depth=LAYER)
    image = 2 * styles["ws_psi0.7"].generate(tied(ada_io["z"])) - 1
    close(image, ada_io["img_psi0.7_const"])


def test_ada_noise_modes(ada: StyleGAN2Generator, ada_io: Io) -> None:
    synthesis, ws = ada.model.synthesis, ada_io["ws"]
    close(synthesis(ws, "const"), ada_io["img_const"])
    close(synthesis(ws, "none"), ada_io["img_none"])
    close(synthesis(ws[:1]), ada_io["img_const_unfused"])
    noise = drawn([(4, 1, side, side) for side in (4, 8, 8, 16, 16, 32, 32)], 777)
    close(synthesis(ws, noise), ada_io["img_random_seed777"])


def test_ada_random_noise_through_the_generator(ada: StyleGAN2Generator, ada_io: Io) -> None:
    generator = ada.with_sampling(noise_mode="random")
    images = drawn([(4, *spec.shape) for spec in generator.nuisances], 777)
    nuisance = {spec.name: image for spec, image in zip(generator.nuisances, images, strict=True)}
    noise = Noise((ada_io["z"],), (0,) * 8, nuisance=nuisance)
    close(2 * generator.generate(noise) - 1, ada_io["img_random_seed777"])


def test_ada_style_mixing(ada: StyleGAN2Generator, ada_io: Io) -> None:
    """A style at one index reaches the convolution and the layer to colours before it."""
    synthesis, ws = ada.model.synthesis, ada_io["ws"]
    for row, layer in enumerate(ada_io["mix_single_layers"].tolist()):
        mixed = ws[:1].clone()
        mixed[:, layer] = ws[1:2, layer]
        assert torch.equal(mixed[0], ada_io["mix_single_ws"][row])
        close(synthesis(mixed, "none"), ada_io["mix_single_img_none"][row : row + 1])
    for row, length in enumerate(ada_io["mix_prefix_lengths"].tolist()):
        mixed = torch.cat([ws[1:2, :length], ws[:1, length:]], 1)
        close(synthesis(mixed), ada_io["mix_prefix_img_const"][row : row + 1])
    close(synthesis(ada_io["wplus"]), ada_io["wplus_img_const"])


def test_ada_blocks(ada: StyleGAN2Generator, ada_io: Io) -> None:
    states = ada.model.synthesis.trace(ada_io["ws"][:2])
    for side, (features, image) in zip((4, 8, 16), states, strict=False):
        assert image is not None
        close(image, ada_io[f"block_b{side}_img"])
        if f"block_b{side}_x" in ada_io:
            close(features, ada_io[f"block_b{side}_x"])


def test_ada_gradient(ada: StyleGAN2Generator, ada_io: Io) -> None:
    ws = ada_io["grad_ws"].clone().requires_grad_()
    terms = ada.model.synthesis(ws) * ada_io["grad_target"]
    terms.mean().backward()
    close(terms.mean(), ada_io["grad_loss"][0], scale=terms.abs().mean().item())
    assert ws.grad is not None
    close(ws.grad, ada_io["grad_dws"], depth=GRADIENT)


def test_tensorflow_variables_are_the_same_weights() -> None:
    """Transposed matrices, kernels in another order, Conv0_up flipped, modulation biases without their 1."""
    ours, theirs = (convert(read_container(ADA / f"{name}.safetensors")) for name in ("weights", "tf_variables"))
    assert ours is not None and theirs is not None
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name, tensor in ours.tensors.items():
        if name.endswith("affine.bias"):  # stored as b − 1, which rounds
            close(theirs.tensors[name], tensor, depth=LAYER)
        else:
            assert torch.equal(theirs.tensors[name], tensor)


def test_rosinality_mapping_and_truncation(rosinality: StyleGAN2Generator, rosinality_io: Io) -> None:
    """The learning-rate multiplier 0.01 is on weights and biases."""
    io, model = rosinality_io, rosinality.model
    close(model.mapping(io["z"]), io["w"], depth=LAYER)
    close(torch.stack(rosinality.to_latents(tied(io["z"])).values, 1), io["latents_z"], depth=LAYER)
    close(2 * rosinality.generate(tied(io["z"])) - 1, io["img_z_fixed"])
    close(model.synthesis([io["w"]] * 8), io["img_w"])
    truncated = io["latent_avg"] + 0.7 * (io["w"] - io["latent_avg"])
    close(model.synthesis([truncated] * 8), io["img_trunc0.7"])


def test_rosinality_mean_style_is_in_the_container_or_estimated(rosinality_io: Io) -> None:
    io, checkpoint = rosinality_io, loaded(ROSINALITY / "checkpoint.pt")
    close(checkpoint.model.mapping.average[None], io["latent_avg"], depth=LAYER)
    close(2 * checkpoint.with_sampling(psi=0.7).generate(tied(io["z"])) - 1, io["img_trunc0.7"])
    bare = loaded(ROSINALITY / "weights.safetensors").model.mapping.average
    # Two sample means of styles with standard deviation 0.6, of 512 and of 4096 draws.
    assert 0 < (bare - io["latent_avg"][0]).abs().max() < 0.15


def test_rosinality_mixing_and_wplus(rosinality: StyleGAN2Generator, rosinality_io: Io) -> None:
    """A layer to colours shares its latent with the next upsampling convolution."""
    io, synthesis = rosinality_io, rosinality.model.synthesis
    w, other = rosinality.model.mapping(io["z"]), rosinality.model.mapping(io["z2"])
    for k in (1, 4):
        close(synthesis([w] * k + [other] * (8 - k)), io[f"img_mix_inject{k}"])
    close(synthesis(io["wplus"]), io["img_wplus"])
    for row, layer in enumerate(io["single_swap_layers"].tolist()):
        mixed = io["wplus"][:1].clone()
        mixed[:, layer] = io["wplus"][1:2, layer]
        close(synthesis(mixed), io["img_single_swap"][row : row + 1])


def test_rosinality_noise(rosinality: StyleGAN2Generator, rosinality_io: Io) -> None:
    """Noise comes before bias and activation; images of seed 777 are drawn layer by layer."""
    io, synthesis = rosinality_io, rosinality.model.synthesis
    ws = io["wplus"]
    given = [io[f"noise_{layer}"] for layer in range(7)]
    close(synthesis(ws, given), io["img_custom_noise"])
    close(synthesis(ws, [torch.zeros_like(image) for image in given]), io["img_zero_noise"])
    close(synthesis(ws, "none"), io["img_zero_noise"])
    close(synthesis(ws, drawn([tuple(image.shape) for image in given], 777)), io["img_random_seed777"])


def test_rosinality_gradient(rosinality: StyleGAN2Generator, rosinality_io: Io) -> None:
    ws = rosinality_io["wplus"][:1].clone().requires_grad_()
    (rosinality.model.synthesis(ws) * rosinality_io["grad_target"]).mean().backward()
    assert ws.grad is not None
    close(ws.grad, rosinality_io["grad_dwplus"], depth=GRADIENT)


@pytest.mark.parametrize("folder", [ADA, ROSINALITY])
def test_options_of_the_published_form_are_accepted_nested_and_flat(folder: Path, tmp_path: Path) -> None:
    nested = loaded(folder / "weights.safetensors", config=folder / "config.json")
    flat = tmp_path / "flat.yaml"
    flat.write_text("lr_multiplier: 0.01\nlr_mlp: 0.01\n")
    for name, tensor in loaded(folder / "weights.safetensors", config=flat).model.state_dict().items():
        assert torch.equal(tensor, nested.model.state_dict()[name])


def test_every_kind_of_encoder_has_a_home() -> None:
    assert set(ENCODERS) == {"light", "e4e", "style-transformer"}
