"""Addressing latents by name, index, range and group."""

from __future__ import annotations

import pytest
import torch

from mlvgm.errors import ConfigError
from mlvgm.latents import Latents, LatentSpec, select_latents

SPECS = tuple(LatentSpec(f"w{i}", (4,), (4,), group="coarse" if i < 4 else "fine") for i in range(8))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("w3", (3,)),
        ("3", (3,)),
        (3, (3,)),
        ("4:8", (4, 5, 6, 7)),
        ("4_8", (4, 5, 6, 7)),
        (":2", (0, 1)),
        ("6:", (6, 7)),
        ("fine", (4, 5, 6, 7)),
        ("7, w0, 1:3", (0, 1, 2, 7)),
    ],
)
def test_addresses(address: str | int, expected: tuple[int, ...]) -> None:
    assert select_latents(SPECS, address) == expected


@pytest.mark.parametrize("address", ["w8", "8", "4:4", "5:3", "0:9", "fin", ""])
def test_wrong_addresses_are_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        select_latents(SPECS, address)


def test_replaced_takes_only_the_named_latents() -> None:
    ours = Latents(tuple(torch.zeros(2, 1) for _ in range(3)))
    theirs = Latents(tuple(torch.ones(2, 1) for _ in range(3)))
    mixed = ours.replaced([1], theirs)
    assert [float(value.sum()) for value in mixed.values] == [0, 2, 0]


def test_draws_of_an_image_are_neighbours() -> None:
    latents = Latents((torch.arange(3.0)[:, None],), condition=torch.arange(3)[:, None])
    assert latents.repeat(2).values[0].flatten().tolist() == [0, 0, 1, 1, 2, 2]
    assert latents.repeat(2).condition.flatten().tolist() == [0, 0, 1, 1, 2, 2]
