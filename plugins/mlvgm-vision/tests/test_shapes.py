from __future__ import annotations

import colorsys
import math
from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageDraw
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from mlvgm.errors import InputError
from mlvgm.protocols.data import Split
from mlvgm_vision.datasets.shapes import Shapes, ShapesConfig, shapes
from mlvgm_vision.datasets.shapes_factors import COMBINATIONS, FACTORS, factors_of
from tolerance import GRADIENT, close

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
DATA = shapes(ShapesConfig())
COUNTS = [len(factor) for factor in FACTORS]
Points = list[tuple[float, float]]


def _factors(**values: int) -> Tensor:
    """One row; factors that are not named have value 0."""
    return torch.tensor([[values.pop(factor.name, 0) for factor in FACTORS]])


def _polygon(x: float, y: float, radii: list[float], *, turn: float = 0.0) -> Points:
    angles = [turn - math.pi / 2 + 2 * math.pi * i / len(radii) for i in range(len(radii))]
    return [(x + r * math.cos(angle), y + r * math.sin(angle)) for r, angle in zip(radii, angles, strict=True)]


def _square(x: float, y: float, r: float) -> Points:
    return _polygon(x, y, [0.85 * r * math.sqrt(2)] * 4, turn=math.pi / 4)


def _cross(x: float, y: float, r: float) -> Points:
    a, corners = 0.3 * r, [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    outline = []
    for i, (u, v) in enumerate(corners):
        arms = [(u * r, v * a), (u * a, v * a), (u * a, v * r)]
        outline += arms if i % 2 == 0 else arms[::-1]
    return [(x + u, y + v) for u, v in outline]


OUTLINES: dict[str, Callable[[float, float, float], list[Points]]] = {
    "disc": lambda x, y, r: [_polygon(x, y, [r] * 720)],
    "square": lambda x, y, r: [_square(x, y, r)],
    "triangle": lambda x, y, r: [_polygon(x, y, [r] * 3)],
    "cross": lambda x, y, r: [_cross(x, y, r)],
    "ring": lambda x, y, r: [_polygon(x, y, [r] * 720), _polygon(x, y, [0.44 * r] * 720)],
    "star": lambda x, y, r: [_polygon(x, y, [r, r / math.sqrt(3)] * 6)],
}


@pytest.mark.parametrize("name", FACTORS[1].values)
def test_shapes_have_the_outline_another_library_draws(name: str) -> None:
    fine = 40 * 32
    for scale, column, row in ((0, 0, 4), (1, 3, 1), (2, 4, 0)):
        x, y, r = 0.3 + 0.1 * column, 0.3 + 0.1 * row, (0.15, 0.21, 0.28)[scale]
        canvas = Image.new("L", (fine, fine))
        for level, outline in enumerate(OUTLINES[name](fine * x, fine * y, fine * r)):
            ImageDraw.Draw(canvas).polygon(outline, fill=1 - level)
        expected = F.avg_pool2d(torch.tensor(list(canvas.get_flattened_data())).view(1, fine, fine).float(), 40)
        image = DATA.render(_factors(shape=FACTORS[1].values.index(name), scale=scale, x=column, y=row))
        inside = (image[:, 1] - 0.95) / (0 - 0.95)  # red on white: the green channel
        assert (inside - expected).abs().max() < 0.3  # pixels at sharp corners, which distances round off
        assert float(inside.sum()) == pytest.approx(float(expected.sum()), rel=0.03)
        assert (inside - expected).abs().sum() < 0.05 * expected.sum()


def test_hues_are_equally_spaced_and_backgrounds_fill_the_corners() -> None:
    for hue in range(6):
        image = DATA.render(_factors(background=5, scale=2, x=2, y=2, hue=hue))[0]
        assert image[:, 16, 16].tolist() == pytest.approx(colorsys.hsv_to_rgb(hue / 6, 1, 0.85))
    every = factors_of(torch.arange(0, COMBINATIONS, 7))  # 7 divides no factor's count: all values meet
    images = torch.cat([DATA.render(part) for part in every.split(2000)])
    corners = images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    colours = [corners[every[:, 0] == i].amax(0)[:, 0] for i in range(6)]
    assert torch.equal(corners, torch.stack(colours)[every[:, 0]][:, :, None].expand(-1, -1, 4))
    assert torch.pdist(torch.stack(colours)).min() > 0.2


def test_textures_are_stripes_fixed_to_the_object() -> None:
    def texture(number: int, **values: int) -> Tensor:
        plain = DATA.render(_factors(shape=1, scale=2, x=2, y=2, **values))[0, 0]
        return DATA.render(_factors(shape=1, scale=2, x=2, y=2, texture=number, **values))[0, 0] - plain

    _, rows, columns, checks = (texture(number)[9:23, 9:23] for number in range(4))  # the inside of the square
    assert torch.equal(rows, rows[:, :1].expand_as(rows)) and torch.equal(columns, rows.T)
    assert torch.equal(rows[:-4], rows[4:]) and not torch.allclose(rows[:-2], rows[2:])  # a period of an eighth
    dark = 0.85 * (0.35 - 1)
    u, v = rows / dark, columns / dark
    close(checks / dark, u * (1 - v) + v * (1 - u))
    assert float(u.mean()) == pytest.approx(0.5, abs=0.1)
    wide = Shapes(ShapesConfig(size=160))
    left, right = (wide.render(_factors(x=x, y=2, texture=2)) for x in (0, 4))  # 0.4 of 160 pixels apart
    close(left.roll(64, 3), right, depth=GRADIENT)


@pytest.mark.parametrize("background", [*(pytest.param(i, marks=pytest.mark.slow) for i in range(5)), 5])
def test_no_two_images_of_a_background_look_alike(background: int) -> None:
    """All pairs are at least 1.2 apart. Pooling by 4, times 4, lengthens no distance, so it finds the near ones."""
    rest = COMBINATIONS // 6
    factors = factors_of(background * rest + torch.arange(rest))
    images = torch.cat([DATA.render(part) for part in factors.split(2000)])
    pooled = 4 * F.avg_pool2d(images, 4).flatten(1)
    squares, least, pairs = pooled.square().sum(1), math.inf, 0
    for start in range(0, rest, 900):
        block = slice(start, start + 900)
        distances = squares[block, None] + squares - 2 * pooled[block] @ pooled.T
        first, second = (distances < 1.2**2 + 0.05).nonzero().unbind(1)
        first, second = (first + start)[first + start < second], second[first + start < second]
        pairs += len(first)
        least = min([least, *(images[first] - images[second]).flatten(1).norm(dim=1).tolist()])
    assert pairs > 1000  # textures whose pooled images agree: the exact comparison has something to do
    assert least > 1.2


def test_every_combination_is_in_one_split() -> None:
    places = torch.tensor([math.prod(COUNTS[i + 1 :]) for i in range(7)])
    found = [DATA.factors(split, range(DATA.size(split))) for split in SPLITS]
    assert torch.equal(torch.cat(found).mul(places).sum(1).sort().values, torch.arange(COMBINATIONS))
    assert [len(part) for part in found] == [50_000, 4_800, 10_000]
    for part in found:  # and each split has its share of each value, as a random draw would
        for column, count in zip(part.T, COUNTS, strict=True):
            spread = (len(part) * (count - 1)) ** 0.5 / count
            assert (column.bincount(minlength=count) - len(part) / count).abs().max() < 5 * spread
        centred = part.double() - part.double().mean(0)
        assert torch.corrcoef(centred.T).fill_diagonal_(0).abs().max() < 5 / len(part) ** 0.5


def test_the_order_never_changes() -> None:
    assert DATA.factors("test", [0, 1]).tolist() == [[1, 5, 2, 0, 0, 2, 0], [5, 4, 1, 2, 4, 5, 2]]
    assert DATA.factors("train", [0, 49_999]).tolist() == [[3, 2, 0, 4, 2, 2, 2], [1, 2, 1, 3, 4, 4, 0]]


def test_batches_are_pure_functions_of_ids() -> None:
    ids = [17, 3, 3, 9_999]
    images, labels = DATA.batch("test", ids)
    assert images.shape == (4, 3, 32, 32) and images.dtype == torch.float32 and labels.dtype == torch.int64
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    for i, (image, label) in zip(ids, zip(images, labels, strict=True), strict=True):
        alone, own = shapes(ShapesConfig()).batch("test", [i])
        assert torch.equal(alone[0], image) and own[0] == label == DATA.factors("test", [i])[0, 1]
    assert torch.equal(DATA.render(DATA.factors("test", ids).int()), images)
    assert DATA.batch("test", [])[0].shape == (0, 3, 32, 32)


def test_sizes() -> None:
    large, few = Shapes(ShapesConfig(size=64)), Shapes(ShapesConfig(train=10))
    ids = range(100)
    images, labels = large.batch("train", ids)
    usual, same = DATA.batch("train", ids)
    assert torch.equal(labels, same) and (F.avg_pool2d(images, 2) - usual).abs().mean() < 0.005
    assert large.info.image.shape == (3, 64, 64) and large.info.classes == 6 and not large.info.sample
    assert few.size("train") == 10 and torch.equal(few.factors("train", range(10)), DATA.factors("train", range(10)))
    assert torch.equal(few.factors("test", ids), DATA.factors("test", ids))


def test_slips() -> None:
    with pytest.raises(InputError, match="from 0 to 9999, came 0 to 10000"):
        DATA.batch("test", [0, 10_000])
    with pytest.raises(InputError, match="came -1 to -1"):
        DATA.factors("train", [-1])
    with pytest.raises(InputError, match="factor hue from 0 to 5, came 6"):
        DATA.render(_factors(hue=6))
    with pytest.raises(InputError, match=r"integer factors \(B, 7\), came \(1, 6\)"):
        DATA.render(_factors()[:, :6])
    with pytest.raises(InputError, match="float32"):
        DATA.render(_factors().float())
    for options in ({"size": 8}, {"train": 50_001}, {"count": 3}):
        with pytest.raises(ValidationError):
            ShapesConfig(**options)
