from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm_vision.fidelity import frechet_distance, kernel_distance, kernel_distance_interval


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _with_moments(mean: Tensor, covariance: Tensor, rows: int = 400) -> Tensor:
    """A sample whose mean and covariance are exactly those."""
    noise = _normal(rows, len(mean))
    noise = noise - noise.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(noise.T)), noise.T, upper=False).T
    return mean + white @ torch.linalg.cholesky(covariance).T


def test_frechet_distance_of_commuting_gaussians() -> None:
    """‖μ₁ − μ₂‖² + Σ (√λ₁ − √λ₂)² where the covariances share their eigenvectors."""
    basis = torch.linalg.qr(_normal(6, 6, seed=1))[0]
    first, second = torch.tensor([4.0, 2, 1, 0.5, 9, 1]).double(), torch.tensor([1.0, 2, 3, 0.1, 4, 16]).double()
    means = _normal(6, seed=2), _normal(6, seed=3)
    x, y = (_with_moments(m, basis @ torch.diag(v) @ basis.T) for m, v in zip(means, (first, second), strict=True))
    expected = (means[0] - means[1]).square().sum() + (first.sqrt() - second.sqrt()).square().sum()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(x.float(), y.float()) == pytest.approx(float(expected), rel=1e-4)


def test_frechet_distance_in_two_dimensions() -> None:
    """tr √(C₁C₂) = √(tr C₁C₂ + 2 √det C₁C₂) for 2×2 matrices, whatever their eigenvectors."""
    first = torch.tensor([[2.0, 0.9], [0.9, 1.0]]).double()
    second = torch.tensor([[1.0, -0.7], [-0.7, 3.0]]).double()
    shared = ((first @ second).trace() + 2 * torch.linalg.det(first @ second).sqrt()).sqrt()
    x, y = _with_moments(torch.zeros(2).double(), first), _with_moments(torch.tensor([1.0, 2.0]).double(), second)
    expected = 5 + first.trace() + second.trace() - 2 * shared
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(y, x) == pytest.approx(float(expected), rel=1e-9)


def test_frechet_distance_where_covariances_are_singular() -> None:
    """Fewer rows than features, dead features, the same set: no NaN, no complex root; and the slow formula."""
    x, y = _normal(20, 50), 2 * _normal(30, 50, seed=1)
    x[:, 3] = y[:, 3] = 0
    eigenvalues = np.linalg.eigvals(np.cov(x.numpy().T) @ np.cov(y.numpy().T))
    shared = np.sqrt(np.clip(eigenvalues.real, 0, None)).sum()
    moved = float((x.mean(0) - y.mean(0)).square().sum())
    expected = moved + np.cov(x.numpy().T).trace() + np.cov(y.numpy().T).trace() - 2 * shared
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_kernel_distance_is_the_sum_over_pairs() -> None:
    x, y = _normal(5, 3), _normal(4, 3, seed=1) + 1

    def k(a: Tensor, b: Tensor) -> float:
        return (float(a @ b) / 3 + 1) ** 3

    expected = (
        sum(k(a, b) for a, b in itertools.permutations(x, 2)) / 20
        + sum(k(a, b) for a, b in itertools.permutations(y, 2)) / 12
        - 2 * sum(k(a, b) for a in x for b in y) / 20
    )
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_is_unbiased() -> None:
    """Its mean is zero for one distribution, and a polynomial of the moments for a shifted normal number."""
    same, shifted = [], []
    for seed in range(400):
        x, y = _normal(30, 1, seed=2 * seed), _normal(30, 1, seed=2 * seed + 1)
        same.append(kernel_distance(x, y))
        shifted.append(kernel_distance(x, y + 0.5))
    # (xy + 1)³ = Σ C(3, j) (xy)^j: squared differences of the moments E[x^j], with weights 3, 3 and 1.
    m = 0.5
    expected = 3 * m**2 + 3 * (m**2) ** 2 + (m**3 + 3 * m) ** 2
    for values, mean in ((same, 0.0), (shifted, expected)):
        error = torch.tensor(values).std() / len(values) ** 0.5
        assert abs(torch.tensor(values).mean() - mean) < 4 * error
    assert min(same) < 0


def test_intervals_of_disjoint_blocks() -> None:
    x, y = _normal(2000, 4), _normal(2600, 4, seed=1)
    blocks = [kernel_distance(x[i : i + 100], y[i : i + 100]) for i in range(0, 2000, 100)]
    found = kernel_distance_interval(x, y, block=100)
    assert found.value == pytest.approx(sum(blocks) / 20) and found.low < found.value < found.high
    assert found.low < 0 < found.high  # one distribution
    assert kernel_distance_interval(x, y + 0.3, block=100).low > 0
    assert kernel_distance_interval(x, y, block=100) == found


def test_slips() -> None:
    x = _normal(10, 3)
    for function in (frechet_distance, kernel_distance):
        for other in (x[:, :2], x[:1], x[0]):
            with pytest.raises(InputError, match=r"expected features \(N, D\)"):
                function(x, other)
        with pytest.raises(InputError, match="NaN"):
            function(x, x / torch.zeros(3))
    with pytest.raises(InputError, match="at least 20 rows of both sets, came 10 and 10"):
        kernel_distance_interval(x, x, block=10)
