"""The rule of tolerances can fail, and so can a run with moved weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from jitter import jitter, jittered
from tolerance import GRADIENT, LAYER, NETWORK, close

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("depth", [LAYER, NETWORK, GRADIENT])
@pytest.mark.parametrize("size", [1e-7, 1.0, 300.0])
def test_the_rule_is_relative_to_the_largest_number_whatever_its_size(depth: float, size: float) -> None:
    numbers = size * random(50)
    largest = numbers.abs().max()
    near, far = numbers.clone(), numbers.clone()
    near[3] += 3.9 * depth * largest
    far[3] += 4.1 * depth * largest
    close(near, numbers, depth=depth)
    with pytest.raises(AssertionError, match=r"10\d % of the tolerance"):
        close(far, numbers, depth=depth)


@pytest.mark.parametrize("depth", [LAYER, NETWORK, GRADIENT])
def test_a_thousandth_is_always_too_far(depth: float) -> None:
    for dtype in (torch.float32, torch.float64):
        numbers = random(50).to(dtype)
        with pytest.raises(AssertionError, match="of the tolerance"):
            close(1.001 * numbers, numbers, depth=depth)


def test_double_precision_is_held_to_its_own_rounding() -> None:
    numbers = random(50).double()
    close(numbers * (1 + 1e-14), numbers)
    with pytest.raises(AssertionError, match="of the tolerance"):
        close(numbers * (1 + 1e-12), numbers)
    close(numbers.float(), numbers)  # a finer reference


def test_what_cancels_is_judged_by_its_terms() -> None:
    terms = random(1000)
    left = (terms - terms.roll(1)).sum()
    close(left, 0.0, scale=terms.abs().max().item())
    with pytest.raises(AssertionError, match="inf % of the tolerance"):
        close(left + 1e-12, 0.0)


def test_shapes_and_infinities_are_part_of_it() -> None:
    for ours, reference in [
        (torch.ones(3), torch.ones(1)),
        (torch.ones(3), torch.ones(3, dtype=torch.long)),
        (torch.tensor([1.0, torch.inf]), torch.tensor([1.0, 2.0])),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, torch.inf])),
        (torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan])),
    ]:
        with pytest.raises(AssertionError):
            close(ours, reference)
    close(torch.tensor([1.0, torch.inf]), [1.0, float("inf")])
    close(torch.tensor(0.1), 0.1)


def _golden() -> nn.Module:
    weights = load_file(GOLDEN / "attacks" / "weights.safetensors")
    layer = nn.Conv2d(*weights["conv1.weight"].shape[1::-1], weights["conv1.weight"].shape[2])
    layer.load_state_dict({name: weights[f"conv1.{name}"] for name in ("weight", "bias")})
    return layer


def test_jitter_moves_every_loaded_weight_by_a_rounding() -> None:
    plain = _golden()
    with jitter(0):
        moved, again = _golden(), _golden()
    with jitter(1):
        other = _golden()
    for name, weight in plain.state_dict().items():
        change = (moved.state_dict()[name] / weight - 1).abs()
        assert (change > 0).float().mean() > 0.95 and change.max() <= 2.0**-23
        assert torch.equal(again.state_dict()[name], moved.state_dict()[name])
        assert not torch.equal(other.state_dict()[name], moved.state_dict()[name])
        assert torch.equal(_golden().state_dict()[name], weight), "it ends with its context"


def test_under_jitter_bit_equality_fails_and_the_rule_holds() -> None:
    images = random(2, 3, 16, 16)
    stored = _golden()(images)
    with jitter(0):
        ours = _golden()(images)
    assert not torch.equal(ours, stored)
    close(ours, stored, depth=LAYER)


def test_jitter_leaves_what_is_not_a_float32_weight() -> None:
    state = {"count": torch.tensor(3), "zeros": torch.zeros(4), "half": torch.ones(2).half(), "extra": "text"}
    assert all(
        value is state[name] or torch.equal(value, state[name]) for name, value in jittered(state, seed=0).items()
    )


def test_what_is_numerical_is_marked_so(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("numerical") is not None
