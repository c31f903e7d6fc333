"""Checkpoints of other sizes and options than the stored ones, against a slow evaluation of the official layout."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from biggan_reference import Options, checkpoint, images
from safetensors.torch import load_file, save_file
from torch import Tensor

import mlvgm
from mlvgm.errors import InputError
from mlvgm.latents import Latents
from mlvgm.noise import Keys
from mlvgm.weights.container import Container
from mlvgm.weights.load import converted
from mlvgm_biggan.biggan.generator import BigGANGenerator
from mlvgm_biggan.biggan.loader import convert
from tolerance import GRADIENT, close

VARIANTS = {
    "hierarchical": Options(),
    "mybn": Options(mybn=True),
    "eps 1e-3": Options(BN_eps=1e-3, SN_eps=1e-2),
    "attention once": Options(widths=(16, 16, 8, 8), attention=(1,)),
    "attention at several": Options(widths=(16, 16, 8, 8), attention=(0, 1, 2)),
    "one z": Options(hier=False, chunk=7),
    "one z, mybn, attention": Options(hier=False, mybn=True, attention=(0,)),
    "tables in the norms": Options(hier=False, G_shared=False),
    "one class": Options(n_classes=1),
    "other seed": Options(bottom_width=6, widths=(12, 8), n_classes=11, shared_dim=2),
    "no spectral norm": Options(spectral_norm=False),
}
EPS = {"BN_eps": 1e-5, "SN_eps": 1e-6}
variants = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())


def load(state: dict[str, Tensor], options: Options, folder: Path) -> BigGANGenerator:
    weights, config = folder / "weights.safetensors", folder / "config.json"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, weights)
    config.write_text(json.dumps(options.config()))
    return mlvgm.load("generators/biggan", weights=str(weights), config=str(config))


def inputs(options: Options) -> tuple[Tensor, Tensor]:
    z = torch.randn(3, options.dim_z, generator=torch.Generator().manual_seed(1))
    return z, torch.tensor([0, options.n_classes - 1, options.n_classes // 2])


def expected_images(state: dict[str, Tensor], options: Options, z: Tensor, classes: Tensor) -> Tensor:
    """The slow evaluation in double precision."""
    return images({name: tensor.double() for name, tensor in state.items()}, options, z.double(), classes).float()


def decoded(generator: BigGANGenerator, z: Tensor, classes: Tensor) -> Tensor:
    values = z.split([spec.shape[0] for spec in generator.latents], 1)
    return 2 * generator.decode(Latents(values, condition=generator.embed_classes(classes))) - 1


@variants
def test_images_are_those_of_the_slow_evaluation(options: Options, tmp_path: Path) -> None:
    state = checkpoint(options)
    generator, (z, classes) = load(state, options, tmp_path), inputs(options)
    expected = expected_images(state, options, z, classes)
    assert expected.std() > 0.1 and expected.abs().max() < 1
    close(decoded(generator, z, classes), expected)
    assert generator.image.shape == (3, *(2 * [options.bottom_width * 2**options.blocks]))
    assert generator.classes == options.n_classes
    assert len(generator.latents) == (options.blocks + 1 if options.hier else 1)
    assert [int(i) for i in generator.model.attention] == list(options.attention)


def test_both_flavours_of_batch_norm_are_the_same_function(tmp_path: Path, golden: Callable[[str], Path]) -> None:
    plain, io = (load_file(golden("biggan") / f"{name}.safetensors") for name in ("weights", "io"))
    own = {name.replace(".stored_", ".bn.stored_"): tensor for name, tensor in plain.items()}
    synchronised = {name.replace(".stored_", ".bn.running_"): tensor for name, tensor in plain.items()}
    # Counts standing statistics, which this is not.
    counters = {name.replace("stored_mean", "accumulation_counter") for name in own if name.endswith("stored_mean")}
    own |= {name: torch.full((1,), 16.0) for name in counters}
    assert len(counters) == 7
    for state in (own, synchronised):
        path = tmp_path / "weights.safetensors"
        save_file(state, path)
        generator = mlvgm.load("generators/biggan", weights=str(path), config=str(golden("biggan") / "config.json"))
        close(decoded(generator, io["z"], io["labels"]), io["img"])


@pytest.mark.parametrize("wrapped", [False, True])
def test_pytorch_files_are_read(wrapped: bool, tmp_path: Path) -> None:
    options = Options()
    state, (z, classes) = checkpoint(options), inputs(options)
    torch.save({"G_ema": OrderedDict(state), "itr": 7} if wrapped else OrderedDict(state), tmp_path / "G_ema.pth")
    (tmp_path / "config.json").write_text(json.dumps(options.config()))
    paths = {"weights": str(tmp_path / "G_ema.pth"), "config": str(tmp_path / "config.json")}
    generator = mlvgm.load("generators/biggan", **paths)
    expected = expected_images(state, options, z, classes)
    close(decoded(generator, z, classes), expected)


def test_loading_draws_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    load(checkpoint(Options()), Options(), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_half_precision_and_further_singular_values_are_read(tmp_path: Path) -> None:
    options = Options()
    state = {name: tensor.half() for name, tensor in checkpoint(options).items()}
    state |= {name.replace(".u0", ".u1"): torch.randn_like(u) for name, u in state.items() if name.endswith(".u0")}
    z, classes = inputs(options)
    expected = expected_images(state, options, z, classes)
    generator = load(state, options, tmp_path)
    assert generator.embed_classes(classes).dtype == torch.float32
    close(decoded(generator, z, classes), expected)


def test_other_families_are_left_to_others() -> None:
    for content in ({}, [], None, {"linear.weight": torch.zeros(1)}, {"embeddings.weight": torch.zeros(1)}, "text"):
        assert convert(Container(Path("x.pth"), content)) is None


def broken(change: str) -> dict[str, Tensor]:
    state = checkpoint(Options(attention=(0,)))
    if change == "missing":
        del state["blocks.1.0.bn2.bias.weight"]
    if change == "shape":
        state["blocks.1.0.conv2.weight"] = torch.zeros(8, 5, 3, 3)
    if change == "nan":
        state["output_layer.2.bias"][0] = float("nan")
    if change == "dimensions":
        state["linear.weight"] = torch.zeros(3)
    if change == "deep":
        state["blocks.0.0.conv3.weight"] = torch.zeros(1)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "KeyError: 'blocks.1.0.bn2.bias.weight'"),
        ("shape", "do not fit"),
        ("nan", "not finite"),
        ("dimensions", "damaged"),
        ("deep", "BigGAN-deep in the layout of ajbrock"),
    ],
)
def test_broken_checkpoints_are_refused(change: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load(broken(change), Options(), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"BN_eps": "small"}, "positive number for BN_eps"),
        ({"BN_eps": -1.0}, "positive number for BN_eps"),
        ({"SN_eps": True}, "positive number for SN_eps"),
        ({"SN_eps": [1e-6]}, "positive number for SN_eps"),
        ({"BN_eps": float("inf")}, "positive number for BN_eps"),
        ({"label": -1}, "a class number or null for label"),
        ({"label": True}, "a class number or null for label"),
        ({"label": 6}, "label 6 is not one of 6 classes"),
        ({"norm_style": "gn"}, "norm_style must be 'bn'"),
        ({"n_classes": 1000}, "n_classes 6, the configuration says 1000"),
        ({"G": {"hier": False}}, "hier True, the configuration says False"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        converted(convert, Container(Path("x.pth"), checkpoint(Options()), {**EPS, **options}))


@pytest.mark.parametrize(
    ("options", "missing"),
    [({}, "BN_eps and SN_eps"), ({"BN_eps": 1e-5}, "SN_eps"), ({"G": {"SN_eps": 1e-8}, "hier": True}, "BN_eps")],
)
def test_what_nothing_tells_is_required(options: dict[str, object], missing: str) -> None:
    with pytest.raises(InputError, match=rf"nor anything beside them tell {missing} \(give (it|them) in a JSON"):
        convert(Container(Path("G_ema.pth"), checkpoint(Options()), options))


def test_without_spectral_norm_its_eps_is_not_needed() -> None:
    plain = checkpoint(Options(spectral_norm=False))
    assert convert(Container(Path("G_ema.pth"), plain, {"BN_eps": 1e-5})) is not None


@pytest.mark.parametrize("mybn", [False, True])
def test_an_eps_of_1e_4_makes_no_bigbigan(mybn: bool, tmp_path: Path) -> None:
    options = Options(mybn=mybn, BN_eps=1e-4, SN_eps=1e-4)
    state, (z, classes) = checkpoint(options), inputs(options)
    generator = load(state, options, tmp_path)
    assert generator.sampling.label is None and generator.model.architecture.label is None
    drawn = generator.draw_noise(Keys.of(seed=0, purpose="test", samples=range(40))).condition
    assert len(torch.unique(drawn, dim=0)) == options.n_classes
    close(decoded(generator, z, classes), expected_images(state, options, z, classes))


@pytest.mark.parametrize(
    ("name", "options", "bound"),
    [
        ("G_ema", {"label": 2}, 2),
        ("G_ema", {}, None),
        ("BigBiGAN_x1", {}, 0),
        ("BigBiGAN_x1", {"label": 3}, 3),
        ("BigBiGAN_x1", {"label": None}, None),
    ],
)
def test_what_weights_are_bound_to_and_what_undoes_it(
    name: str, options: dict[str, object], bound: int | None, tmp_path: Path
) -> None:
    weights, config = tmp_path / f"{name}.safetensors", tmp_path / "config.json"
    save_file(checkpoint(Options()), weights)
    config.write_text(json.dumps({**EPS, **options}))

    def drawn(**given: object) -> tuple[int, int | None]:
        generator = mlvgm.load("generators/biggan", weights=str(weights), config=str(config), **given)
        condition = generator.draw_noise(Keys.of(seed=0, purpose="test", samples=range(40))).condition
        return len(torch.unique(condition, dim=0)), generator.sampling.label

    assert drawn() == ((6, None) if bound is None else (1, bound))
    assert drawn(label=None) == (6, None)
    assert drawn(label=4) == (1, 4)


def test_options_may_be_yaml(tmp_path: Path) -> None:
    save_file(checkpoint(Options()), tmp_path / "weights.safetensors")
    (tmp_path / "config.yaml").write_text("G:\n  BN_eps: 3e-05\n  SN_eps: 1e-06\n  n_classes: 6\n")
    paths = {"weights": str(tmp_path / "weights.safetensors"), "config": str(tmp_path / "config.yaml")}
    assert mlvgm.load("generators/biggan", **paths).model.architecture.batch_norm_eps == 3e-5


def test_unreadable_options_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(checkpoint(Options()), path)
    for content in ("{", "[1]"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(InputError, match="constructor arguments"):
            mlvgm.load("generators/biggan", weights=str(path), config=str(tmp_path / "config.json"))
    with pytest.raises(InputError, match="constructor arguments"):
        mlvgm.load("generators/biggan", weights=str(path), config=str(tmp_path / "nothing.json"))


def test_eps_of_the_power_step_is_a_lower_bound_of_norms(tmp_path: Path) -> None:
    """Only tiny weights meet it; then it matters."""
    options = Options(SN_eps=1e-2)
    state = checkpoint(options)
    state["blocks.0.0.conv1.weight"] *= 1e-3
    z, classes = inputs(options)
    ours = decoded(load(state, options, tmp_path), z, classes)
    close(ours, expected_images(state, options, z, classes), depth=GRADIENT)
    assert (ours - expected_images(state, replace(options, SN_eps=1e-6), z, classes)).abs().max() > 1e-2
