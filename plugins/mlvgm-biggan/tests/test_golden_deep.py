"""Everything stored of BigGAN-deep, and each point in which it is easy to be subtly wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import modf
from pathlib import Path

import pytest
import torch
from deep_files import decoded, load
from deep_reference import Options, images
from safetensors.torch import load_file
from torch import Tensor

from mlvgm_biggan.deep.generator import BigGANDeepGenerator
from mlvgm_biggan.deep.statistics import at_truncation
from tolerance import LAYER, close


@pytest.fixture(scope="module")
def folder(golden: Callable[[str], Path]) -> Path:
    return golden("biggan_deep_hf")


@pytest.fixture(scope="module")
def io(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "io.safetensors")


@pytest.fixture
def generator(folder: Path) -> BigGANDeepGenerator:
    return load(folder)


@pytest.mark.parametrize("truncation", [0.4, 0.45, 1.0])
def test_stored_images(generator: BigGANDeepGenerator, io: dict[str, Tensor], truncation: float) -> None:
    classes, expected = io["class_onehot"].argmax(1), io[f"img_trunc{truncation}"]
    close(decoded(generator, io["z"], classes, truncation=truncation), expected)
    others = {0.4, 0.45, 1.0} - {truncation}
    assert all((decoded(generator, io["z"], classes, truncation=t) - expected).abs().max() > 0.1 for t in others)


def test_z_comes_before_the_class_and_the_seed_has_channels_last(
    generator: BigGANDeepGenerator, io: dict[str, Tensor]
) -> None:
    embedded = generator.embed_classes(io["class_onehot"].argmax(1))
    joined = torch.cat([io["z"], embedded], 1)
    close(joined, io["cond_vector"])
    close(generator.model.seed(joined), io["gen_z"])
    seen: list[Tensor] = []
    generator.model.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    decoded(generator, io["z"], io["class_onehot"].argmax(1), truncation=1.0)
    close(seen[0][:, 5, 2, 3], io["gen_z"][:, (2 * 4 + 3) * 64 + 5], scale=io["gen_z"].abs().max().item())


def test_a_condition_between_classes_is_their_mixture(
    generator: BigGANDeepGenerator, io: dict[str, Tensor], folder: Path
) -> None:
    mixture = torch.tensor([[0.25, 0.75, *[0.0] * 8]])
    expected = mixture @ load_file(folder / "weights.safetensors")["embeddings.weight"].T
    close(mixture[:, :2] @ generator.embed_classes(torch.tensor([0, 1])), expected)


def test_stored_vectors_of_spectral_norm_are_used_as_they_are(generator: BigGANDeepGenerator, folder: Path) -> None:
    state, name = load_file(folder / "weights.safetensors"), "generator.layers.1.conv_1"
    stored, u, v = (state[f"{name}.weight_{part}"] for part in ("orig", "u", "v"))
    matrix, ours = stored.flatten(1), generator.model.blocks[1].convolutions[1].weight
    close(ours, stored / (u @ matrix @ v))
    step = matrix.T @ u / (matrix.T @ u).norm()
    # Neither a power step nor the exact value.
    assert abs((matrix @ step).norm() / (u @ matrix @ v) - 1) > 1e-4
    assert abs(torch.linalg.matrix_norm(matrix, 2) / (u @ matrix @ v) - 1) > 1e-4


def test_attention_moves_the_numbers_of_later_blocks(generator: BigGANDeepGenerator, folder: Path) -> None:
    config, state = json.loads((folder / "config.json").read_text()), load_file(folder / "weights.safetensors")
    position = config["attention_layer_position"]
    assert list(generator.model.attention) == [str(position)] and f"generator.layers.{position}.gamma" in state
    ours = generator.model.blocks[position].convolutions[0].bias
    close(ours, state[f"generator.layers.{position + 1}.conv_0.bias"], depth=LAYER)


def test_only_three_of_the_last_channels_are_colours(generator: BigGANDeepGenerator, folder: Path) -> None:
    assert len(load_file(folder / "weights.safetensors")["generator.conv_to_rgb.bias"]) == 4
    assert generator.image.channels == 3


def test_statistics_between_two_rows_are_the_wrong_way_round() -> None:
    table = torch.arange(6.0)[:, None]
    assert at_truncation(table, 0.4).item() == 2
    fraction, row = modf(0.45 / 0.2)
    assert abs(at_truncation(table, 0.45).item() - (row * fraction + (row + 1) * (1 - fraction))) < 1e-6
    assert at_truncation(table, 0.45).item() > 2.7  # where 2.25 would be meant


def test_a_quotient_just_below_an_integer_takes_the_row_before() -> None:
    table = torch.arange(11.0)[:, None]
    assert 0.7 / 0.1 < 7
    assert abs(at_truncation(table, 0.7).item() - 6) < 1e-6
    assert at_truncation(table, 0.5).item() == 5 and at_truncation(table, 1.0).item() == 10


def test_any_number_of_rows_has_a_row_for_full_truncation() -> None:
    """1 / (1 / (count − 1)) may come out on either side of count − 1."""
    quotients = [1 / (1 / (count - 1)) - (count - 1) for count in range(2, 300)]
    assert min(quotients) < 0 == quotients[0]
    for count in range(2, 300):
        table = torch.arange(float(count))[:, None]
        assert count - 2 - 1e-6 < at_truncation(table, 1.0).item() <= count - 1
        assert at_truncation(table, 1e-9).item() <= 1


def test_the_slow_evaluation_reproduces_the_stored_images(folder: Path, io: dict[str, Tensor]) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["output_dim"]
    options = Options(**(config | {"layers": tuple(map(tuple, config["layers"]))}))
    state, classes = load_file(folder / "weights.safetensors"), io["class_onehot"].argmax(1)
    close(images(state, options, io["z"], classes, truncation=0.45), io["img_trunc0.45"])
