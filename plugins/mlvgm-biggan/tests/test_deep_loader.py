"""BigGAN-deep of other sizes and options, against a slow evaluation of the layout; what is refused."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from deep_files import decoded, load, written
from deep_reference import Options, checkpoint, images
from torch import Tensor

import mlvgm
from mlvgm.errors import ConfigError, InputError
from mlvgm.weights.container import Container
from mlvgm.weights.file import WeightsFile, write_weights
from mlvgm_biggan.deep.loader import convert
from tolerance import close

VARIANTS = {
    "small": Options(),
    "attention first": Options(attention_layer_position=0),
    "attention last, eleven truncations": Options(attention_layer_position=2, n_stats=11),
    "no attention": Options(attention_layer_position=9),
    "other pattern": Options(layers=((True, 8, 8), (True, 8, 8), (False, 8, 4)), channel_width=4, n_stats=3),
    "other sizes": Options(z_dim=7, class_embed_dim=2, num_classes=9, eps=1e-2, channel_width=3),
    "one class": Options(num_classes=1),
}
variants = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())


@pytest.fixture(scope="module")
def folder(golden: Callable[[str], Path]) -> Path:
    return golden("biggan_deep_hf")


@variants
@pytest.mark.parametrize("truncation", [1.0, 0.37])
def test_images_are_those_of_the_slow_evaluation(options: Options, truncation: float, tmp_path: Path) -> None:
    state = checkpoint(options)
    generator = written(state, tmp_path, config=options.config())
    z = torch.randn(3, options.z_dim, generator=torch.Generator().manual_seed(1))
    classes = torch.tensor([0, options.num_classes - 1, options.num_classes // 2])
    exact = {name: tensor.double() for name, tensor in state.items()}
    expected = images(exact, options, z.double(), classes, truncation=truncation).float()
    assert expected.std() > 0.1
    close(decoded(generator, z, classes, truncation=truncation), expected)
    assert generator.image.shape == (3, options.output_dim, options.output_dim)
    assert len(generator.latents) == len(options.layers) + 1


def test_nested_options_and_prefixes(tmp_path: Path) -> None:
    options = Options(layers=((True, 8, 8), (True, 8, 4)), channel_width=4, attention_layer_position=1)
    state = {f"module.{name}": tensor for name, tensor in checkpoint(options).items()}
    nested = json.dumps({"model": json.loads(options.config())})
    assert written(state, tmp_path, config=nested).model.architecture.doubles == (True, True)


def test_layers_in_plain_weights(tmp_path: Path) -> None:
    """Spectral norm that was taken off before saving."""
    options = Options()
    state = checkpoint(options)
    plain = {name: value for name, value in state.items() if not name.endswith(("_orig", "_u", "_v"))}
    for name in [name.removesuffix("_orig") for name in state if name.endswith("_orig")]:
        sigma = state[f"{name}_u"] @ state[f"{name}_orig"].flatten(1) @ state[f"{name}_v"]
        plain[name] = state[f"{name}_orig"] / sigma
    first, second = (written(s, tmp_path, config=options.config()).model.state_dict() for s in (state, plain))
    for name in first:
        close(second[name], first[name])


def test_pytorch_files_are_read(tmp_path: Path) -> None:
    state = checkpoint(Options())
    torch.save(OrderedDict(state), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(Options().config())
    first = load(tmp_path, weights=str(tmp_path / "pytorch_model.bin")).model.state_dict()
    second = written(state, tmp_path, config=Options().config()).model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_loading_draws_nothing(folder: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_converted_files_are_read_again(tmp_path: Path) -> None:
    options = Options()
    converted = convert(Container(Path("x.bin"), checkpoint(options), json.loads(options.config())))
    assert converted is not None and converted.format == "mlvgm-biggan-deep/1"
    write_weights(
        tmp_path / "weights.safetensors",
        WeightsFile(converted.format, converted.architecture, converted.tensors),
    )
    again = load(tmp_path, config=None)
    direct = written(checkpoint(options), tmp_path, config=options.config())
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, direct.model.state_dict()[name])
    with pytest.raises(InputError, match="expected weights of format 'mlvgm-biggan/1'"):
        write_weights(
            tmp_path / "weights.safetensors",
            WeightsFile(converted.format, converted.architecture, converted.tensors),
        )
        mlvgm.load("generators/biggan", weights=str(tmp_path / "weights.safetensors"))


def test_other_families_are_left_to_others() -> None:
    for content in ({}, [], None, {"linear.weight": torch.zeros(1)}, {"embeddings.weight": torch.zeros(1)}):
        assert convert(Container(Path("x.bin"), content)) is None


def test_what_nothing_tells_is_required() -> None:
    given = json.loads(Options().config())
    for missing in (("layers",), ("eps",), ("layers", "eps")):
        options = {name: value for name, value in given.items() if name not in missing}
        with pytest.raises(InputError, match=f"nor anything beside them tell {' and '.join(missing)} "):
            convert(Container(Path("x.bin"), checkpoint(Options()), options))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": [[False, 16, 16]]}, "the layers of the configuration do not"),
        ({"layers": "all"}, "the layers of the configuration do not"),
        ({"channel_width": 128}, "the layers of the configuration do not"),
        ({"eps": "tiny"}, "positive number for eps"),
        ({"num_classes": 1000}, "num_classes 4, the configuration says 1000"),
        ({"n_stats": 51}, "n_stats 6, the configuration says 51"),
    ],
)
def test_wrong_options_are_refused(change: dict[str, object], message: str) -> None:
    options = Options()
    given = json.loads(options.config()) | change
    with pytest.raises(InputError, match=message):
        convert(Container(Path("x.bin"), checkpoint(options), given))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("generator.layers.0.bn_1.running_vars", None, "KeyError: 'generator.layers.0.bn_1.running_vars'"),
        ("generator.layers.0.conv_1.weight_v", torch.zeros(3), "damaged"),
        ("generator.gen_z.bias", torch.zeros(3), "do not fit"),
        ("embeddings.weight", torch.zeros(3), "damaged"),
        ("generator.bn.bias", torch.full((8,), float("inf")), "not finite"),
        ("generator.layers.x.bias", torch.zeros(3), "damaged"),
    ],
)
def test_broken_checkpoints_are_refused(name: str, value: Tensor | None, message: str, tmp_path: Path) -> None:
    state = checkpoint(Options())
    state = {key: tensor for key, tensor in state.items() if key != name} | ({} if value is None else {name: value})
    with pytest.raises(InputError, match=message):
        written(state, tmp_path, config=Options().config())


def test_bad_options_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="label must be in 0 … 9"):
        load(folder, label=10)
    for option in ({"truncation": 0.0}, {"truncation": 1.1}, {"noise": "none"}):
        with pytest.raises(ConfigError):
            load(folder, **option)
    assert replace(load(folder, truncation=0.4, label=3).sampling, label=None).truncation == 0.4
