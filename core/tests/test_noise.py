"""Noise is a pure function of its key: any batch split, order, subset and process gives the same numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlvgm.noise import Keys, Noise, normal, uniform

rows = st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 500)), min_size=1, max_size=12, unique=True)


@given(rows=rows, seed=st.integers(0, 2**60), data=st.data())
@settings(max_examples=40, deadline=None)
def test_subset_and_order_do_not_matter(rows: list[tuple[int, int]], seed: int, data: st.DataObject) -> None:
    keys = Keys(seed, "test", tuple(rows))
    whole = normal(keys, "z0", (3, 2))
    order = data.draw(st.permutations(range(len(rows))))
    chosen = order[: data.draw(st.integers(1, len(rows)))]
    assert torch.equal(normal(keys[chosen], "z0", (3, 2)), whole[chosen])


def test_another_process_gives_the_same_numbers() -> None:
    code = (
        "from mlvgm.noise import Keys, normal\n"
        "print(normal(Keys.of(seed=3, purpose='p', samples=[5], draws=[7]), 'z', (4,)).tolist())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = normal(Keys.of(seed=3, purpose="p", samples=[5], draws=[7]), "z", (4,))
    assert printed.strip() == str(here.tolist())


@pytest.mark.parametrize("change", ["seed", "purpose", "sample", "draw", "name"])
def test_every_part_of_the_key_matters(change: str) -> None:
    parts = {"seed": 1, "purpose": "a", "sample": 2, "draw": 3, "name": "z"}

    def numbers(parts: dict[str, object]) -> torch.Tensor:
        keys = Keys(parts["seed"], parts["purpose"], ((parts["sample"], parts["draw"]),))  # type: ignore[arg-type]
        return normal(keys, str(parts["name"]), (8,))

    other = parts | {change: "b" if isinstance(parts[change], str) else 99}
    assert not torch.isclose(numbers(parts), numbers(other)).any()


def test_numbers_are_standard_normal_and_uniform() -> None:
    keys = Keys.of(seed=0, purpose="moments", samples=range(200), draws=range(5))
    z, u = normal(keys, "z", (64,)).double(), uniform(keys, "u", (64,)).double()
    error = 5 / z.numel() ** 0.5  # five standard errors
    assert abs(z.mean()) < error and abs(z.var() - 1) < error * 2**0.5
    assert abs(u.mean() - 0.5) < error / 12**0.5 and u.min() >= 0 and u.max() < 1
    assert abs((z[:-1] * z[1:]).mean()) < error  # neighbouring rows are independent


def test_global_random_state_is_untouched() -> None:
    before = torch.random.get_rng_state()
    normal(Keys.of(seed=0, purpose="x", samples=range(4)), "z", (2,))
    Keys.fresh(3, draws=2)
    assert torch.equal(before, torch.random.get_rng_state())


def test_fresh_keys_differ_each_time() -> None:
    assert Keys.fresh(2).seed != Keys.fresh(2).seed


def test_tied_noise_reads_one_value() -> None:
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    tied = Noise(values=(z,), source=(0, 0, 0), nuisance={"n": z + 1}, condition=z + 2)
    assert torch.equal(tied.of(0), tied.of(2))
    part = tied[torch.tensor([True, False, True, False])]
    assert len(part) == 2
    assert torch.equal(part.nuisance["n"], z[[0, 2]] + 1)
    assert part.condition is not None and torch.equal(part.condition, z[[0, 2]] + 2)
