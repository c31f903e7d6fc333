"""Rows that widen late."""

from __future__ import annotations

import pytest
import torch

from mlvgm.errors import ConfigError, InputError
from mlvgm.rows import aligned, check_blend, expanded, mixed
from tolerance import close


def test_rows_are_image_major() -> None:
    assert expanded(torch.arange(2), 6).tolist() == [0, 0, 0, 1, 1, 1]
    few, many = aligned(torch.tensor([[1.0], [2.0]]), torch.zeros(4, 1))
    assert few.flatten().tolist() == [1, 1, 2, 2] and len(many) == 4


@pytest.mark.parametrize(("alpha", "rows"), [(0.0, 2), (0.25, 4), (1.0, 4)])
def test_nothing_widens_before_something_fresh_enters(alpha: float, rows: int) -> None:
    kept, fresh = torch.tensor([[1.0], [2.0]]), torch.tensor([[10.0], [20.0], [30.0], [40.0]])
    found = mixed(kept, fresh, alpha)
    assert len(found) == rows
    expected = (1 - alpha) * kept.repeat_interleave(2, 0) + alpha * fresh
    close(expanded(found, 4), expected)


def test_what_blend_refuses() -> None:
    check_blend(range(2), range(6), [0, 0.5, 1], name="x", latents=3)
    with pytest.raises(ConfigError, match="x has 3 latents, got 2 alphas"):
        check_blend(range(2), range(6), [0, 1], name="x", latents=3)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="alphas must be in"):
            check_blend(range(2), range(6), [0, wrong, 1], name="x", latents=3)
    with pytest.raises(InputError, match="3 rows of noise for 2 encoded images"):
        check_blend(range(2), range(3), [0], name="x", latents=1)
    with pytest.raises(InputError, match="6 rows of noise for 0"):
        check_blend(range(0), range(6), [0], name="x", latents=1)
