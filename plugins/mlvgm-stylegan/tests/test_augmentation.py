"""Adaptive augmentation: each change as described, at its probability, and a probability that adapts."""

from __future__ import annotations

import pytest
import torch

from mlvgm.noise import Keys
from mlvgm_stylegan.stylegan2.augmentation import augment, updated_probability

KEYS = Keys.of(seed=0, purpose="train", samples=[3])


def test_never_is_the_identity_and_always_is_a_function_of_the_keys() -> None:
    images = torch.randn(8, 3, 16, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(augment(images, KEYS, probability=0.0), images)
    changed = augment(images, KEYS, probability=1.0)
    assert changed.shape == images.shape and not torch.equal(changed, images)
    assert torch.equal(augment(images, KEYS, probability=1.0), changed)
    other = Keys.of(seed=0, purpose="train", samples=[4])
    assert not torch.equal(augment(images, other, probability=1.0), changed)


def test_every_image_is_a_flipped_moved_and_brightened_self() -> None:
    """Found by trying every flip and translation; what is left is one brightness for all pixels."""
    count, side = 400, 16
    image = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    changed = augment(image.expand(count, -1, -1, -1), KEYS, probability=0.6)
    reflected = torch.nn.functional.pad(image, (3, 3, 3, 3), mode="reflect")[0, 0]
    flips, moves, shifts = [], [], []
    for row in changed[:, 0]:
        found = []
        for flip in (False, True):
            source = reflected.flip(1) if flip else reflected
            for down in range(-2, 3):
                for right in range(-2, 3):
                    window = source[3 - down : 3 - down + side, 3 - right : 3 - right + side]
                    rest = row - window
                    if rest.std() < 1e-5:
                        found.append((flip, (down, right), rest.mean().item()))
        assert len(found) == 1
        flips.append(found[0][0]), moves.append(found[0][1]), shifts.append(found[0][2])
    assert sum(flips) / count == pytest.approx(0.3, abs=0.07)
    # Rounded to no move in 1/4 × 1/4 of the translated ones, ends have half the probability of the others.
    assert sum(move != (0, 0) for move in moves) / count == pytest.approx(0.6 * 15 / 16, abs=0.07)
    assert {row for row, _ in moves} == {column for _, column in moves} == {-2, -1, 0, 1, 2}
    bright = torch.tensor([shift for shift in shifts if abs(shift) > 1e-5])
    assert len(bright) / count == pytest.approx(0.6, abs=0.07)
    assert bright.std().item() == pytest.approx(0.2, abs=0.03) and abs(bright.mean().item()) < 0.04


def test_gradients_pass() -> None:
    images = torch.zeros(4, 1, 16, 16, requires_grad=True)
    augment(images, KEYS, probability=1.0).sum().backward()
    assert images.grad is not None and (images.grad.sum((1, 2, 3)) == 16 * 16).all()


def test_the_probability_follows_overfitting() -> None:
    options = {"target": 0.6, "images": 128, "ramp": 1280}
    assert updated_probability(0.5, signs=0.7, **options) == pytest.approx(0.6)
    assert updated_probability(0.5, signs=0.5, **options) == pytest.approx(0.4)
    assert updated_probability(0.5, signs=0.6, **options) == 0.5
    assert updated_probability(0.05, signs=-1.0, **options) == 0.0
    assert updated_probability(0.95, signs=1.0, **options) == 1.0
