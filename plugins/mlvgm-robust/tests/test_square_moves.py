"""Square's proposals: where they change the image, and that they spend exactly the ball."""

from __future__ import annotations

import pytest
import torch

from mlvgm.noise import Keys
from mlvgm_robust.attacks.geometry import distance
from mlvgm_robust.attacks.square_moves import first_guess, numbers_needed, pattern, propose, window_side
from tolerance import close

GREY = torch.full((64, 3, 12, 10), 0.5)
KEYS = Keys.of(seed=0, purpose="t", samples=range(64))


def numbers(seed: int = 0) -> torch.Tensor:
    return torch.rand(64, numbers_needed(3), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_the_first_guess_lies_on_the_sphere(norm: str) -> None:
    guess = first_guess(GREY, norm=norm, eps=0.1, keys=KEYS, name="s")
    close(distance(guess - GREY, norm), torch.full((64,), 0.1))


def test_linf_changes_one_square_to_the_radius() -> None:
    guess = first_guess(GREY, norm="Linf", eps=0.1, keys=KEYS, name="s")
    moved = propose(GREY, guess, numbers(), side=4, norm="Linf", eps=0.1)
    close((moved - GREY).abs(), torch.full_like(GREY, 0.1))
    changed = ((moved - guess).abs() > 1e-6).any(1)
    for image in changed:
        rows, columns = image.any(1).nonzero(), image.any(0).nonzero()
        assert len(rows) == 0 or (rows.max() - rows.min() < 4 and columns.max() - columns.min() < 4)
    assert changed.any(0)[0].any() and changed.any(0)[-1].any()  # windows reach the border
    assert changed.any(0)[:, 0].any() and changed.any(0)[:, -1].any()


def test_l2_keeps_the_whole_radius_in_use() -> None:
    point = first_guess(GREY, norm="L2", eps=0.3, keys=KEYS, name="s")
    for seed in range(4):
        moved = propose(GREY, point, numbers(seed), side=5, norm="L2", eps=0.3)
        close(distance(moved - GREY, "L2"), torch.full((64,), 0.3))
        untouched = ((moved - point).abs() < 1e-7).all(1).flatten(1).sum(1)
        assert (untouched >= 120 - 2 * 25).all() and (untouched < 120).all()
        point = moved


def test_l2_spends_what_is_left_of_the_ball() -> None:
    moved = propose(GREY, GREY, numbers(), side=5, norm="L2", eps=0.3)
    close(distance(moved - GREY, "L2"), torch.full((64,), 0.3))


def test_pattern_is_two_pyramids_of_opposite_sign() -> None:
    side5 = pattern(5)
    assert side5.shape == (5, 5)
    assert (side5[:, :2] > 0).all() and (side5[:, 2:] < 0).all()
    assert side5[2, 1] == pytest.approx(1 / 9 + 1 / 4 + 1)  # the centre: 1/(n+1)² + … + 1, n = 2
    assert side5[0, 1] == pytest.approx(1 / 9)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_windows_shrink_and_fit(norm: str) -> None:
    sides = [window_side(query, 300, torch.Size((3, 9, 20)), norm) for query in range(300)]
    assert sides == sorted(sides, reverse=True)
    assert max(sides) <= 9 and min(sides) == (1 if norm == "Linf" else 3)
    assert window_side(0, 10, torch.Size((1, 1, 1)), norm) == 1
