"""Alpha schedules against the papers' published values."""

from __future__ import annotations

import pytest

from mlvgm.errors import ConfigError
from mlvgm_robust.purifiers import schedules


def test_cosine_for_18_latents_is_the_published_list() -> None:
    published = [0.008, 0.030, 0.067, 0.117, 0.179, 0.250, 0.329, 0.413, 0.500]
    published += [0.587, 0.671, 0.750, 0.821, 0.883, 0.933, 0.970, 0.992, 1]
    assert schedules.cosine(18) == pytest.approx(published, abs=5e-4)


def test_linear_for_16_latents_ends_at_one() -> None:
    assert schedules.linear(16)[0] == pytest.approx(0.0625)
    assert schedules.linear(16)[-1] == 1


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("none", (0, 0, 0)),
        ("linear", (1 / 3, 2 / 3, 1)),
        ("constant:0.5", (0.5, 0.5, 0.5)),
        ("keep:2", (0, 0, 1)),
        ("keep:3", (0, 0, 0)),
        ([0.1, 0.2, 0.3], (0.1, 0.2, 0.3)),
    ],
)
def test_every_form(spec: str | list[float], expected: tuple[float, ...]) -> None:
    assert schedules.resolve(spec, 3) == pytest.approx(expected)
    assert schedules.resolve(spec, 3, attenuation=0.7) == pytest.approx([0.7 * alpha for alpha in expected])


@pytest.mark.parametrize(
    "spec", ["cosin", "constant", "constant:2", "constant:x", "keep:-1", "keep", "linear:3", "keep:4", [1.0]]
)
def test_refusals(spec: str | list[float]) -> None:
    with pytest.raises(ConfigError):
        schedules.resolve(spec, 3)
