"""Everything stored of BigGAN and BigBiGAN, and each point in which it is easy to be subtly wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from biggan_reference import Options, images
from safetensors.torch import load_file, save_file
from torch import Tensor

import mlvgm
from mlvgm.errors import InputError
from mlvgm.latents import Latents
from mlvgm.noise import Keys
from mlvgm_biggan.biggan.generator import BigGANGenerator
from mlvgm_biggan.biggan.spectral_norm import power_step
from tolerance import GRADIENT, LAYER, close

Io = dict[str, Tensor]


@pytest.fixture(scope="module", params=["biggan", "bigbigan"])
def folder(request: pytest.FixtureRequest, golden: Callable[[str], Path]) -> Path:
    return golden(request.param)


@pytest.fixture(scope="module")
def io(folder: Path) -> Io:
    return load_file(folder / "io.safetensors")


@pytest.fixture(scope="module")
def state(folder: Path) -> Io:
    return load_file(folder / "weights.safetensors")


@pytest.fixture(scope="module")
def generator(folder: Path) -> BigGANGenerator:
    return load(folder)


def load(
    folder: Path, *, config: Path | None = None, weights: Path | None = None, **options: object
) -> BigGANGenerator:
    weights, config = weights or folder / "weights.safetensors", config or folder / "config.json"
    return mlvgm.load("generators/biggan", weights=str(weights), config=str(config), **options)


def labels(io: Io) -> Tensor:
    return io.get("labels", torch.zeros(2, dtype=torch.long))


def decode(generator: BigGANGenerator, z: Tensor, condition: Tensor) -> Tensor:
    """Images in [−1, 1]."""
    chunks = z.split(list(generator.model.architecture.chunks), 1)
    return 2 * generator.decode(Latents(chunks, condition=condition.expand(len(z), -1))) - 1


def test_images(generator: BigGANGenerator, io: Io) -> None:
    close(decode(generator, io["z"], generator.embed_classes(labels(io))), io["img"])


def test_one_chunk_from_another_z(generator: BigGANGenerator, io: Io) -> None:
    first = generator.embed_classes(labels(io)[:1])
    close(decode(generator, io["z_chunk_swap"], first), io["img_chunk_swap"])
    ours = generator.to_latents(generator.to_noise(Latents(chunks(generator, io["z"][:1]), condition=first)))
    theirs = Latents(chunks(generator, io["z"][1:]), condition=first)
    for i in range(len(generator.latents)):
        close(2 * generator.decode(ours.replaced([i], theirs)) - 1, io["img_chunk_swap"][i : i + 1])


def chunks(generator: BigGANGenerator, z: Tensor) -> tuple[Tensor, ...]:
    return z.split(list(generator.model.architecture.chunks), 1)


def test_embeddings_of_classes(generator: BigGANGenerator, io: Io) -> None:
    expected = io["embed"] if "embed" in io else io["embed_class0"].expand(2, -1)
    close(generator.embed_classes(labels(io)), expected, depth=LAYER)


def test_a_condition_between_two_classes(golden: Callable[[str], Path]) -> None:
    generator, io = load(golden("biggan")), load_file(golden("biggan") / "io.safetensors")
    halfway = generator.embed_classes(io["labels"]).mean(0, keepdim=True)
    close(decode(generator, io["z"][:1], halfway), io["img_interp_class"])


def test_bigbigan_draws_are_of_class_0_in_the_papers_range(golden: Callable[[str], Path]) -> None:
    generator, io = load(golden("bigbigan"), label=0), load_file(golden("bigbigan") / "io.safetensors")
    noise = generator.draw_noise(Keys.of(seed=0, purpose="test", samples=range(50)))
    close(noise.condition, io["embed_class0"].expand(50, -1), depth=LAYER)
    given = replace(noise[:1], values=chunks(generator, io["z"][:1]))
    close(generator.generate(given).clamp(0, 1), io["decoded01_first"])


def test_features(folder: Path, io: Io) -> None:
    generator, found = load(folder), dict[str, Tensor]()
    network = generator.model
    network.seed.register_forward_hook(lambda *call: found.update(h_linear=call[2].reshape(io["h_linear"].shape)))
    for i in (0, 1):
        after = network.attention[str(i)] if str(i) in network.attention else network.blocks[i]
        after.register_forward_hook(lambda *call, i=i: found.update({f"h_block{i}": call[2]}))
    decode(generator, io["z"], generator.embed_classes(labels(io)))
    for name, value in found.items():
        close(value, io[name])
    assert len(found) == 3


def test_gradient(generator: BigGANGenerator, io: Io) -> None:
    z = io["z"][:1].clone().requires_grad_()
    image = decode(generator, z, generator.embed_classes(labels(io)[:1]))
    (gradient,) = torch.autograd.grad((image * io["grad_target"]).mean(), z)
    close(gradient, io["grad_dz"], depth=GRADIENT)


def test_the_slow_reference_agrees(folder: Path, state: Io, io: Io) -> None:
    config = json.loads((folder / "config.json").read_text())
    options = Options(
        widths=(config["arch"]["in_channels"][0], *config["arch"]["out_channels"]),
        chunk=config["z_chunk_size"],
        attention=tuple(i for i, on in enumerate(config["arch"]["attention"].values()) if on),
        BN_eps=config["BN_eps"],
        SN_eps=config["SN_eps"],
    )
    close(images(state, options, io["z"], labels(io)), io["img"])


@pytest.mark.parametrize("layer", ["linear", "b0conv1"])
def test_spectral_norm_takes_one_power_step_and_is_not_exact(
    generator: BigGANGenerator, state: Io, io: Io, layer: str
) -> None:
    theirs = {"linear": "linear", "b0conv1": "blocks.0.0.conv1"}[layer]
    ours = {"linear": generator.model.seed, "b0conv1": generator.model.blocks[0].convolution1}[layer]
    stored, expected = state[f"{theirs}.weight"], io[f"sn_sigma_{layer}"][0]
    close(power_step(stored.flatten(1), state[f"{theirs}.u0"], eps=1e-6)[0], expected)
    close(ours.weight, stored / expected)
    exact = torch.linalg.matrix_norm(stored.flatten(1), 2)
    assert abs(exact - expected) > 1e-3  # neither the top singular value …
    assert abs(state[f"{theirs}.sv0"] - expected) > 1e-3  # … nor what was logged


def test_z_is_rounded_down_to_equal_chunks(generator: BigGANGenerator, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    sizes = [spec.shape[0] for spec in generator.latents]
    assert sizes == [config["z_chunk_size"]] * config["num_slots"]
    assert sum(sizes) == config["effective_dim_z"] <= config["dim_z"]
    assert [spec.resolution for spec in generator.latents] == [4, *config["arch"]["resolution"]]


def test_eps_of_the_blocks_is_an_option_and_that_of_the_output_is_not(folder: Path, io: Io, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    other = tmp_path / "config.json"
    other.write_text(json.dumps(config | {"BN_eps": 1e-2}))
    wrong = load(folder, config=other)
    assert (decode(wrong, io["z"], wrong.embed_classes(labels(io))) - io["img"]).abs().max() > 1e-4
    right = load(folder)
    assert right.model.norm.eps == 1e-5
    right.model.norm.eps = 1e-2
    assert (decode(right, io["z"], right.embed_classes(labels(io))) - io["img"]).abs().max() > 1e-4


def test_nested_options_and_defaults(golden: Callable[[str], Path], tmp_path: Path) -> None:
    config = json.loads((golden("bigbigan") / "config.json").read_text())
    nested = tmp_path / "config.json"
    nested.write_text(json.dumps({"G": config}))
    assert load(golden("bigbigan"), config=nested).model.architecture.batch_norm_eps == 1e-4
    assert load(golden("biggan"), label=None).model.architecture.label is None


@pytest.mark.parametrize("prefix", ["big_gan.", "module.", "module.big_gan."])
def test_prefixes(golden: Callable[[str], Path], tmp_path: Path, prefix: str) -> None:
    state, io = (load_file(golden("bigbigan") / f"{name}.safetensors") for name in ("weights", "io"))
    path = tmp_path / "wrapped.safetensors"
    save_file({f"{prefix}{name}": tensor for name, tensor in state.items()}, path)
    generator = load(golden("bigbigan"), weights=path)
    close(decode(generator, io["z"], generator.embed_classes(labels(io))), io["img"])


def test_bigbigan_is_recognised_without_options(golden: Callable[[str], Path], tmp_path: Path) -> None:
    state, io = (load_file(golden("bigbigan") / f"{name}.safetensors") for name in ("weights", "io"))
    named, prefixed, unknown = (tmp_path / f"{name}.safetensors" for name in ("BigBiGAN_x1", "prefixed", "unknown"))
    save_file(state, named)
    save_file(state, unknown)
    save_file({f"big_gan.{name}": tensor for name, tensor in state.items()}, prefixed)
    for path in (named, prefixed):
        generator = mlvgm.load("generators/biggan", weights=str(path))
        assert generator.sampling.label == 0
        close(decode(generator, io["z"], generator.embed_classes(labels(io))), io["img"])
    with pytest.raises(InputError, match="nor anything beside them tell BN_eps and SN_eps"):
        mlvgm.load("generators/biggan", weights=str(unknown))
