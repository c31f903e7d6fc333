"""Losses against formulas written out, finite differences and full Jacobians."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from mlvgm_stylegan.stylegan2.losses import (
    discriminator_loss,
    generator_loss,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_adversarial_losses() -> None:
    real, generated = random(5), random(7, seed=1)

    def sigmoid(logit: Tensor) -> float:
        return 1 / (1 + math.exp(-float(logit)))

    expected = -sum(math.log(sigmoid(x)) for x in real) / 5 - sum(math.log(1 - sigmoid(x)) for x in generated) / 7
    assert discriminator_loss(real, generated).item() == pytest.approx(expected)
    assert generator_loss(generated).item() == pytest.approx(-sum(math.log(sigmoid(x)) for x in generated) / 7)
    # It does not saturate: the worse the image, the larger the gradient.
    worst = torch.tensor([-50.0], requires_grad=True)
    generator_loss(worst).backward()
    assert worst.grad == pytest.approx(torch.tensor([-1.0]))


def test_the_gradient_penalty_is_that_of_finite_differences() -> None:
    weight = random(3, 1 * 4 * 4)

    def logits(images: Tensor) -> Tensor:
        return (images.flatten(1) @ weight.T).tanh().square().sum(1)

    images = random(2, 1, 4, 4, seed=1).requires_grad_()
    step, expected = 1e-6, 0.0
    for pixel in torch.eye(16, dtype=torch.float64).view(16, 1, 4, 4):
        slope = (logits(images + step * pixel) - logits(images - step * pixel)) / (2 * step)
        expected += slope.square().sum().item() / 2
    penalty = r1_penalty(logits(images), images)
    assert penalty.item() == pytest.approx(expected, rel=1e-6)
    penalty.backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_path_lengths_are_those_of_the_whole_jacobian() -> None:
    weight = random(2 * 3 * 3, 5)

    def images_of(ws: Tensor) -> Tensor:
        return (ws.sum(1).sin() @ weight.T + ws.prod(1) @ weight.T.cos()).view(-1, 2, 3, 3)

    ws, directions = random(4, 3, 5, seed=1).requires_grad_(), random(4, 2, 3, 3, seed=2)
    lengths = path_lengths(images_of(ws), ws, directions)
    for row in range(4):
        matrix = jacobian(lambda style: images_of(style[None])[0].flatten(), ws[row])  # (18, 3, 5)
        layers = [torch.linalg.vector_norm(matrix[:, i].T @ directions[row].flatten()) for i in range(3)]
        expected = math.sqrt(sum(float(length) ** 2 for length in layers) / 3)
        assert lengths[row].item() == pytest.approx(expected)
    mean = torch.tensor(0.7, dtype=torch.float64)
    penalty = path_length_penalty(lengths, mean)
    assert penalty.item() == pytest.approx(sum((length - 0.7) ** 2 for length in lengths.tolist()) / 4)
    penalty.backward()
    assert ws.grad is not None and ws.grad.isfinite().all() and ws.grad.abs().sum() > 0


def test_isometries_have_paths_of_one_length() -> None:
    """For orthonormal columns ‖Jᵀ y‖² of a standard-normal y has the mean w_dim."""
    basis = torch.linalg.qr(random(64, 9))[0]
    ws = random(2000, 1, 9, seed=1).requires_grad_()
    images = (ws[:, 0] @ basis.T).view(-1, 1, 8, 8)
    lengths = path_lengths(images, ws, random(2000, 1, 8, 8, seed=2))
    assert lengths.square().mean().item() == pytest.approx(9, rel=0.05)
