"""Rows that widen late."""

from __future__ import annotations

import pytest
import torch

from mlvgm.errors import ConfigError, InputError
from mlvgm.rows import aligned, check_blend, expanded, keeps, mixed, refreshes
from tolerance import close


def test_rows_are_image_major() -> None:
    assert expanded(torch.arange(2), 6).tolist() == [0, 0, 0, 1, 1, 1]
    few, many = aligned(torch.tensor([[1.0], [2.0]]), torch.zeros(4, 1))
    assert few.flatten().tolist() == [1, 1, 2, 2] and len(many) == 4


def test_widening_keeps_the_memory_format() -> None:
    maps = torch.arange(48.0).view(2, 3, 2, 4)
    for format in (torch.channels_last, torch.contiguous_format):
        widened = expanded(maps.contiguous(memory_format=format), 6)
        assert widened.is_contiguous(memory_format=format) and torch.equal(widened, maps.repeat_interleave(3, 0))


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


def weights(alphas: object, *, rows: int = 2, latents: int = 3) -> tuple[float | torch.Tensor, ...]:
    return check_blend(range(rows), range(3 * rows), alphas, name="x", latents=latents)  # type: ignore[arg-type]


def test_what_says_one_number_is_one() -> None:
    same = torch.tensor([[0.0, 0.5, 0.2], [0.0, 0.5, 0.7]])
    for alphas in ([0, 0.5, 1], (0.0, 0.5, 1.0), torch.tensor([0.0, 0.5, 1.0]), [torch.tensor(0.0), 0.5, 1]):
        assert weights(alphas) == (0.0, 0.5, 1.0) and all(type(alpha) is float for alpha in weights(alphas))
    first, second, third = weights(same)
    assert (first, second) == (0.0, 0.5) and torch.equal(third, same[:, 2])  # type: ignore[arg-type]
    asked = torch.zeros(3, requires_grad=True)
    assert all(isinstance(alpha, torch.Tensor) and alpha.requires_grad for alpha in weights(asked))


def test_what_tensors_of_alphas_are_refused() -> None:
    for wrong in (torch.tensor([0, float("nan"), 1]), torch.tensor([0, 1.5, 1]), torch.full((2, 3), -0.1)):
        with pytest.raises(ConfigError, match="alphas must be in"):
            weights(wrong)
    with pytest.raises(ConfigError, match="x has 3 latents, got 2 alphas"):
        weights(torch.zeros(2, 2))
    with pytest.raises(InputError, match="3 rows of alphas for 2 encoded images"):
        weights(torch.zeros(3, 3))


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_the_gradient_passes_everywhere_and_rows_have_their_own(at: float) -> None:
    kept, fresh = torch.tensor([[1.0], [2.0]]), torch.tensor([[10.0], [20.0], [30.0], [40.0]])
    alpha = torch.tensor(at, requires_grad=True)
    (gradient,) = torch.autograd.grad(mixed(kept, fresh, alpha).sum(), alpha)
    assert gradient.item() == 100 - 2 * 3
    each = torch.tensor([at, 1 - at], dtype=torch.float64, requires_grad=True)
    found = mixed(kept, fresh, each)
    assert found.dtype == torch.float32
    close(found.flatten(), [(1 - at) + at * 10, (1 - at) + at * 20, 2 * at + (1 - at) * 30, 2 * at + (1 - at) * 40])
    (gradients,) = torch.autograd.grad(found.sum(), each)
    assert gradients.tolist() == [30 - 2, 70 - 4]


def test_what_enters() -> None:
    assert [keeps(0.0), keeps(0.5), keeps(1), keeps(torch.ones(()))] == [True, True, False, True]
    assert [refreshes(0), refreshes(0.5), refreshes(1.0), refreshes(torch.zeros(()))] == [False, True, True, True]
