"""Operations on batches of noise and latents, against what their definition says of single rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mlvgm.batches import compare, concatenate, interpolate, scale, untied
from mlvgm.errors import InputError
from mlvgm.latents import Latents
from mlvgm.noise import Keys, Noise, normal
from tolerance import close


def tied(rows: int, *, seed: int = 0) -> Noise:
    """Two draws, the first read by latents 0 and 1, with a nuisance and a condition."""
    keys = Keys.of(seed=seed, purpose="test", samples=range(rows))
    values = (normal(keys, "a", (3,)), normal(keys, "b", (2, 2)))
    return Noise(values, (0, 0, 1), {"image": normal(keys, "image", (2,))}, normal(keys, "class", (4,)))


def test_untied_noise_is_the_same_noise() -> None:
    noise = tied(4)
    apart = untied(noise)
    assert apart.source == (0, 1, 2) and all(torch.equal(apart.of(i), noise.of(i)) for i in range(3))
    assert apart.nuisance is noise.nuisance and apart.condition is noise.condition


@pytest.mark.parametrize("make", [lambda rows, seed: tied(rows, seed=seed), lambda rows, seed: latents(rows, seed)])
def test_rows_put_together_are_those_that_were_apart(make: Callable[[int, int], Noise]) -> None:
    whole = concatenate([make(2, 0), make(3, 1)])
    assert len(whole) == 5 and type(whole) is type(make(1, 0))
    again = concatenate([whole[[i]] for i in range(5)])  # what a DataLoader does with single rows
    for first, second in zip(
        (*whole.values, *whole.nuisance.values(), whole.condition),
        (*again.values, *again.nuisance.values(), again.condition),
        strict=True,
    ):
        assert torch.equal(first, second)
    assert torch.equal(whole[2:].values[0], make(3, 1).values[0])


def latents(rows: int, seed: int) -> Latents:
    noise = untied(tied(rows, seed=seed))
    return Latents(noise.values, noise.condition, noise.nuisance)


def test_ties_stay_only_where_all_have_them() -> None:
    assert concatenate([tied(1), tied(1)]).source == (0, 0, 1)
    mixed = concatenate([tied(1), untied(tied(1, seed=1))])
    assert mixed.source == (0, 1, 2) and torch.equal(mixed.of(1)[:1], tied(1).of(1))


def test_scale_and_interpolate_touch_what_they_address() -> None:
    noise, other = tied(3), tied(3, seed=1)
    twice = scale(noise, 2.0, latents=(1,))
    assert [torch.equal(twice.of(i), noise.of(i) * (2 if i == 1 else 1)) for i in range(3)] == [True] * 3
    half = interpolate(noise, other, 0.5, latents=(0,))
    close(half.of(0), (noise.of(0) + other.of(0)) / 2**0.5)
    assert torch.equal(half.of(1), noise.of(1)) and half.condition is noise.condition
    line = interpolate(latents(3, 0), latents(3, 1), 0.25)
    close(line.values[2], 0.75 * noise.of(2) + 0.25 * other.of(2))


def test_noise_between_independent_draws_is_standard_normal() -> None:
    def draw(seed: int) -> Noise:
        return Noise((normal(Keys.of(seed=seed, purpose="t", samples=range(100)), "z", (200,)),), (0,))

    spread = interpolate(draw(0), draw(1), 0.3).of(0).std()
    assert abs(float(spread) - 1) < 0.03  # 20,000 numbers: six standard errors


def test_distances_are_euclidean_for_each_latent() -> None:
    noise, other = tied(3), tied(3, seed=1)
    found = compare(noise, other)
    assert found.shape == (3, 3) and torch.equal(found[:, 0], found[:, 1])
    close(found[:, 2], (noise.of(2) - other.of(2)).square().sum((1, 2)).sqrt())
    assert torch.equal(compare(noise, untied(noise)), torch.zeros(3, 3))


@pytest.mark.parametrize(
    "act",
    [
        lambda: concatenate([]),
        lambda: concatenate([tied(1), Noise((torch.zeros(1, 3),), (0,))]),
        lambda: compare(tied(2), tied(3)),
        lambda: scale(tied(2), 2.0, latents=(3,)),
        lambda: interpolate(latents(2, 0), Latents(latents(2, 0).values), 0.5),
    ],
)
def test_what_does_not_fit_is_refused(act: Callable[[], Tensor]) -> None:
    with pytest.raises(InputError, match=r"expected|do not fit"):
        act()


def test_gradients_reach_the_noise_and_the_weight() -> None:
    noise, weight = tied(2), torch.tensor(0.3, requires_grad=True)
    value = noise.values[0].requires_grad_()
    interpolate(noise, tied(2, seed=1), weight).of(0).sum().backward()
    assert value.grad is not None and weight.grad is not None and bool(weight.grad != 0)


def test_latents_move_to_a_device_whole() -> None:
    moved = latents(2, 0).to("meta")
    assert {tensor.device.type for tensor in (*moved.values, *moved.nuisance.values(), moved.condition)} == {"meta"}
