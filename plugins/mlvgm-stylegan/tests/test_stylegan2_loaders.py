"""Checkpoints of other sizes and options, in every layout, against the definitions written down slowly."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from stylegan2_layouts import (
    Options,
    State,
    ada_pickle,
    ada_state,
    arguments,
    reference_image,
    reference_styles,
    rosinality_state,
    tf_pickle,
    tf_variables,
)
from torch import Tensor

from mlvgm import api
from mlvgm.errors import InputError
from mlvgm.noise import Noise
from mlvgm.protocols.generator import Conditional, Encodes
from mlvgm.weights.container import Container
from mlvgm.weights.file import WeightsFile, write_weights
from mlvgm_stylegan.stylegan2.generator import StyleGAN2Generator
from mlvgm_stylegan.stylegan2.loaders.convert import convert
from pickled import EasyDict, foreign_modules
from tolerance import close

NETWORKS = {
    "16×16": Options(),
    "64×64, one colour": Options(channels=(5, 4, 4, 3, 2), colours=1, layers=2),
    "4×4": Options(channels=(4,)),
    "residual": Options(architecture="resnet", clamp=0.9),
    "image from the last block": Options(architecture="orig"),
    "conditional": Options(classes=4),
    "conditional, other widths": Options(classes=3, embedding=5, width=9, layers=4),
    "one mapping layer": Options(layers=1),
    "learning rate 0.1": Options(lr_multiplier=0.1),
    "clamped": Options(clamp=0.8),
    "without noise": Options(noise=False),
    "longer filter": Options(taps=(1, 4, 6, 4, 1), channels=(4, 4)),
    "filter of eight taps, stored on one axis": Options(taps=(1, 2, 4, 5, 5, 4, 2, 1)),
    "filter that is not square": Options(taps=((1, 3, 3, 1), (2, 5, 4, 1))),
    "no filter": Options(taps=(1,)),
    "residual, filter of three taps": Options(architecture="resnet", taps=(1, 2, 1)),
}
every = pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS.keys())


def loaded(path: Path, config: dict[str, Any] | None = None) -> StyleGAN2Generator:
    file = None
    if config is not None:
        file = path.with_name("config.json")
        file.write_text(json.dumps(config))
    generator = api.load("generators/stylegan2", weights=str(path), config=file)
    assert isinstance(generator, StyleGAN2Generator)
    return generator


def saved(folder: Path, state: State) -> Path:
    path = folder / "state.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def pickled(folder: Path, content: Any) -> Path:
    path = folder / "network.pkl"
    with foreign_modules():
        path.write_bytes(pickle.dumps(content))
    return path


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def agrees(generator: StyleGAN2Generator, state: State, options: Options) -> None:
    """Mapping and every noise mode are those of the definitions."""
    z, ws = random(3, options.z_dim), random(3, options.num_ws, options.w_dim)
    classes = torch.tensor([0, 2, 1]) if options.classes else None
    condition = None
    if classes is not None:
        assert isinstance(generator, Conditional)
        condition = generator.embed_classes(classes)
    noise = Noise((z,), (0,) * options.num_ws, condition=condition)
    for style in generator.to_latents(noise).values:
        close(style, reference_styles(state, options, z, classes))
    close(generator.model.mapping.average, state["mapping.w_avg"])
    synthesis = generator.model.synthesis
    for mode in ("const", "none"):
        close(synthesis(ws, mode), reference_image(state, options, ws, noise=mode))
    sides = [4, *(side for side in options.sides[1:] for _ in range(2))]
    if options.noise:
        drawn = [random(3, 1, side, side, seed=side) for side in sides]
        close(synthesis(ws, drawn), reference_image(state, options, ws, noise=drawn))


@every
@pytest.mark.parametrize("form", ["snapshot", "bare network", "nested options", "flat options"])
def test_ada_checkpoints(options: Options, form: str, tmp_path: Path) -> None:
    state = ada_state(options)
    if form in ("snapshot", "bare network"):
        generator = loaded(pickled(tmp_path, ada_pickle(options, state, snapshot=form == "snapshot")))
    else:
        nested = {"generator": arguments(options), "num_ws": options.num_ws}
        flat = {"conv_clamp": options.clamp, "lr_multiplier": options.lr_multiplier}
        generator = loaded(saved(tmp_path, state), nested if form == "nested options" else flat)
    agrees(generator, state, options)
    assert isinstance(generator, Conditional) == bool(options.classes) and not isinstance(generator, Encodes)


@every
@pytest.mark.parametrize("form", ["pickle", "variables"])
def test_tensorflow_checkpoints(options: Options, form: str, tmp_path: Path) -> None:
    """Of the tuple (G, D, Gs) it is the last, the average, that is meant."""
    state = ada_state(options)
    static: dict[str, Any] = {"mapping_lrmul": options.lr_multiplier, "conv_clamp": options.clamp}
    static |= {"resample_kernel": list(options.taps), "nonlinearity": "lrelu", "fmap_base": 77}
    variables = tf_variables(state)
    if form == "pickle":
        generator = loaded(pickled(tmp_path, tf_pickle(variables, static)))
    else:
        generator = loaded(saved(tmp_path, variables), static)
    agrees(generator, state, options)


@pytest.mark.parametrize(
    "name", ["16×16", "64×64, one colour", "one mapping layer", "learning rate 0.1", "longer filter"]
)
@pytest.mark.parametrize("form", ["g_ema", "bare"])
def test_rosinality_checkpoints(name: str, form: str, tmp_path: Path) -> None:
    options = NETWORKS[name]
    state = ada_state(options)
    theirs, path = rosinality_state(state, options), tmp_path / "checkpoint.pt"
    average = {"latent_avg": state["mapping.w_avg"]}
    torch.save({"g_ema": theirs, "g": {}, **average} if form == "g_ema" else {**theirs, **average}, path)
    agrees(loaded(path, {"lr_mlp": options.lr_multiplier, "size": options.sides[-1]}), state, options)


def test_rosinality_files_without_noise_images_get_the_same_ones_each_time(tmp_path: Path) -> None:
    options = Options()
    theirs = {k: v for k, v in rosinality_state(ada_state(options), options).items() if not k.startswith("noises.")}
    first, second = (loaded(saved(tmp_path, theirs)).model.synthesis for _ in range(2))
    for one, other in zip(first.layers, second.layers, strict=True):
        assert one.noise is not None and other.noise is not None
        assert torch.equal(one.noise, other.noise) and one.noise.std() > 0.5
    assert torch.equal(first.blocks[0].layer.noise, first.blocks[0].layer.noise)


def test_the_epsilon_of_rosinality_acts_on_scaled_weights(tmp_path: Path) -> None:
    """With tiny filters the 1e-8 under the root decides, and there the two code bases differ."""
    options = Options()
    state = ada_state(options)
    for name, tensor in state.items():
        if ".conv" in name and name.endswith("weight") and tensor.ndim == 4:
            tensor.mul_(3e-5)
    ws = random(2, options.num_ws, options.w_dim)
    reference = reference_image(state, options, ws)
    close(loaded(saved(tmp_path, state)).model.synthesis(ws), reference)
    close(loaded(saved(tmp_path, rosinality_state(state, options))).model.synthesis(ws), reference)
    assert (reference - reference_image(state, options, ws, eps=0)).abs().max() > 0.01


def test_clamp_of_a_pickle_is_that_of_its_layers(tmp_path: Path) -> None:
    """NVlabs/stylegan3 clamps at 256 without being told, so the constructor's arguments do not say it."""
    options = Options(clamp=0.5)
    generator = loaded(pickled(tmp_path, ada_pickle(options, ada_state(options))))
    assert generator.model.architecture.conv_clamp == 0.5


def test_names_of_noise_and_latents_follow_resolution(tmp_path: Path) -> None:
    generator = loaded(saved(tmp_path, ada_state(Options()))).with_sampling(noise_mode="random")
    assert [(spec.name, spec.resolution, spec.group) for spec in generator.latents] == [
        ("w0", 4, "b4"), ("w1", 8, "b8"), ("w2", 8, "b8"), ("w3", 16, "b16"), ("w4", 16, "b16"), ("w5", 16, "b16"),
    ]  # fmt: skip
    assert [spec.shape for spec in generator.nuisances] == [(1, side, side) for side in (4, 8, 8, 16, 16)]


BROKEN = {
    "missing": lambda s: s.pop("synthesis.b8.conv1.affine.bias"),
    "missing mapping": lambda s: s.pop("mapping.w_avg"),
    "missing block": lambda s: [s.pop(k) for k in list(s) if k.startswith("synthesis.b8.")],
    "superfluous": lambda s: s.update({"synthesis.b8.conv1.extra": torch.ones(1)}),
    "other shape": lambda s: s.update({"synthesis.b8.conv0.weight": torch.ones(5, 7, 3, 3)}),
    "another kernel size": lambda s: s.update({"synthesis.b8.conv0.weight": torch.ones(5, 6, 5, 5)}),
    "a number instead of a matrix": lambda s: s.update({"mapping.fc0.weight": torch.ones(())}),
    "not finite": lambda s: s["synthesis.b4.const"].fill_(float("nan")),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_broken_checkpoints_are_refused(change: Any, tmp_path: Path) -> None:
    state = ada_state(Options())
    change(state)
    with pytest.raises(InputError, match=r"state\.safetensors"):
        loaded(saved(tmp_path, state))


@pytest.mark.parametrize("layout", ["tensorflow", "rosinality"])
@pytest.mark.parametrize("change", ["missing", "superfluous"])
def test_broken_checkpoints_of_other_layouts_are_refused(layout: str, change: str, tmp_path: Path) -> None:
    options = Options()
    state = ada_state(options)
    theirs = tf_variables(state) if layout == "tensorflow" else rosinality_state(state, options)
    if change == "missing":
        theirs.pop("synthesis/8x8/Conv1/mod_bias" if layout == "tensorflow" else "convs.1.conv.modulation.bias")
    else:
        theirs["synthesis/8x8/Conv1/strange"] = torch.ones(1)
    with pytest.raises(InputError, match="incomplete or unsupported StyleGAN2"):
        loaded(saved(tmp_path, theirs))


@pytest.mark.parametrize(
    "content", [{}, None, 3, (), (None, None), {"G_ema": None}, {"state_dict": {"weight": torch.ones(1)}}, [EasyDict()]]
)
def test_other_families_are_left_to_others(content: Any) -> None:
    assert convert(Container(Path("some.pkl"), content)) is None


def test_other_activations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="activation 'relu'"):
        loaded(saved(tmp_path, ada_state(Options())), {"synthesis_kwargs": {"activation": "relu"}})


def test_weights_of_ours_go_through_a_file(tmp_path: Path) -> None:
    """What the converter makes, written and read again, is the same network."""
    options = replace(NETWORKS["conditional"], architecture="resnet", clamp=0.9)
    state = ada_state(options)
    converted = convert(Container(Path("x.pkl"), state, arguments(options)))
    assert converted is not None
    path = tmp_path / "ours.safetensors"
    write_weights(path, WeightsFile(converted.format, converted.architecture, converted.tensors))
    agrees(loaded(path), state, options)


def test_unknown_weights_are_a_friendly_error() -> None:
    with pytest.raises(InputError, match=r"weights 'nosuch': neither shipped .* nor an existing file"):
        api.load("generators/stylegan2", weights="nosuch")
