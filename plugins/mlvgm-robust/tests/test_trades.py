"""TRADES: its loss by hand, its attack on a linear classifier, its training against closed forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from linear_models import linear_problem
from torch import Tensor, nn

import short_training
from mlvgm.errors import ConfigError
from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys
from mlvgm.protocols.data import DataInfo
from mlvgm.training.draws import Draws
from mlvgm_robust.competitors.trades import training
from mlvgm_robust.competitors.trades.losses import divergence, perturbed, trades_loss
from tolerance import GRADIENT, close

INFO = DataInfo("toy", ImageSpec(1, 4, 4), ("a", "b", "c"), "MIT", "memory")
KEYS = Keys.of(seed=0, purpose="test", samples=[0])


def loop_divergence(clean: Tensor, attacked: Tensor) -> float:
    """KL of two logit vectors, one class at a time."""
    p = [math.exp(v) / sum(map(math.exp, clean.tolist())) for v in clean.tolist()]
    q = [math.exp(v) / sum(map(math.exp, attacked.tolist())) for v in attacked.tolist()]
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_divergence_by_hand() -> None:
    clean, attacked = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).unbind()
    expected = [loop_divergence(a, b) for a, b in zip(clean, attacked, strict=True)]
    close(divergence(clean, attacked), torch.tensor(expected))
    assert divergence(clean, clean + 3).abs().max() < 1e-6


def test_loss_by_hand() -> None:
    model, images, _ = linear_problem(classes=3, images=6, shape=(1, 4, 4), seed=0)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    attacked = (images + 0.1).clamp(0, 1)
    clean, moved = model(images), model(attacked)
    own = [-math.log(math.exp(z[y]) / sum(math.exp(v) for v in z)) for z, y in zip(clean, labels, strict=True)]
    apart = [loop_divergence(a, b) for a, b in zip(clean, moved, strict=True)]
    expected = (sum(own) + 4 * sum(apart)) / 6
    assert trades_loss(model, images, attacked, labels, beta=4).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("steps", [1, 5, 16])
def test_perturbed_images_stay_in_ball_and_box(steps: int) -> None:
    model, images, _ = linear_problem(classes=3, images=8, shape=(1, 4, 4), seed=1)
    found = perturbed(model, images, Draws(KEYS, len(images)), eps=1.5, steps=steps)
    assert (found - images).flatten(1).norm(dim=1).max() <= 1.5 + 1e-5
    assert found.min() >= 0 and found.max() <= 1 and not found.requires_grad


def test_of_two_classes_the_worst_direction_is_that_of_the_weights() -> None:
    model, images, _ = linear_problem(classes=2, images=8, shape=(1, 4, 4), seed=2)
    found = perturbed(model, images, Draws(KEYS, len(images)), eps=0.2, steps=16)
    moved = (found - images).flatten(1)
    normal = model.weight[0] - model.weight[1]
    assert torch.nn.functional.cosine_similarity(moved, normal[None]).abs().min() > 0.999
    close(moved.norm(dim=1), torch.full((8,), 0.2), depth=GRADIENT)
    random = images + 0.2 * nn.functional.normalize(
        torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    ).view(8, 1, 4, 4)
    assert (divergence(model(images), model(found)) > divergence(model(images), model(random))).all()


def test_the_start_is_named_by_its_keys_and_leaves_parameters_alone() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    images = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    first, again = (perturbed(network, images, Draws(KEYS, 4), eps=1.0, steps=3) for _ in range(2))
    other = perturbed(network, images, Draws(KEYS.derive("other"), 4), eps=1.0, steps=3)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert all(parameter.grad is None for parameter in network.parameters())


@dataclass(frozen=True)
class Described:
    """A data set nobody gets to read."""

    info: DataInfo = INFO


def test_what_cannot_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, _ = linear_problem(classes=3, images=1, shape=(1, 4, 4), seed=0)
    for classifier in (model, nn.Flatten()):
        monkeypatch.setattr(training, "build", lambda *names, found=classifier, **parts: found)
        with pytest.raises(ConfigError, match=f"modules with parameters.* is a {type(classifier).__name__}"):
            short_training.begin("classifier", "trades", {}, Described(), tmp_path)
