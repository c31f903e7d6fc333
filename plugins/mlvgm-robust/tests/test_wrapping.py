"""``mlvgm_robust.wrap``: plain modules as defences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mlvgm
import mlvgm_robust
from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys
from mlvgm_robust.checks.known_noise import KnownNoise
from mlvgm_robust.wrapping import ModulePurifier
from tolerance import close

IMAGES = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0])
KEYS = Keys.of(seed=0, purpose="p", samples=range(4), draws=range(5))


def linear() -> nn.Module:
    module = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 3))
    with torch.no_grad():
        module[2].weight.copy_(torch.randn(3, 16, generator=torch.Generator().manual_seed(1)))
        module[2].bias.zero_()
    return module


class Shift(nn.Module):
    """The same shift of brightness for all images of a call."""

    def forward(self, images: Tensor) -> Tensor:
        return images + 0.1 * torch.randn(())


class Halve(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images / 2


class Shrink(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images[..., 1:]


def test_a_module_is_a_classifier_in_evaluation_mode() -> None:
    module = linear()
    defence = mlvgm_robust.wrap(module, images=IMAGES)
    assert not defence.stochastic and defence.classes == 3 and not module.training
    close(defence(IMAGES), module(IMAGES))
    attacked = mlvgm_robust.run_attack(defence, mlvgm.load("attacks/fgsm", norm="Linf", eps=0.3), IMAGES, LABELS)
    assert attacked.forwards < 20  # one draw a step


def test_untried_modules_are_called_once_a_draw() -> None:
    module = nn.Sequential(Shift(), *linear())
    defence = mlvgm_robust.wrap(module, classes=3, votes=2)
    assert defence.stochastic and defence.votes == 2
    draws = defence.draw(IMAGES, KEYS)
    assert draws.shape == (4, 5, 3) and len(draws[..., 0].unique()) == 20
    close(defence.draw(IMAGES[[2]], KEYS[10:15]), draws[[2]])
    plain = mlvgm_robust.wrap(linear(), classes=3)
    close(plain.draw(IMAGES, KEYS), linear().eval()(IMAGES)[:, None].expand(-1, 5, -1))


def test_a_purifier_is_drawn_independently_and_attacked_through_its_gradient() -> None:
    module = linear()
    defence = mlvgm_robust.wrap(module, purifier=Shift(), images=IMAGES, votes=3)
    assert isinstance(defence.purifier, ModulePurifier)
    assert defence.stochastic and defence.differentiable and defence.purifier.nature.alone
    shifts = defence.purifier.purify(IMAGES, KEYS) - IMAGES.repeat_interleave(5, 0)
    assert len(shifts.flatten(1).mean(1).unique()) == 20 and shifts.flatten(1).std(1).max() < 1e-6
    still = mlvgm_robust.wrap(module, purifier=Halve(), images=IMAGES)
    assert not still.stochastic
    close(still(IMAGES), module(IMAGES / 2))
    bare = mlvgm_robust.Target(still, samples=range(4)).undefended()
    close(bare(IMAGES), module(IMAGES))
    gradient = mlvgm_robust.Target(still, samples=range(4)).gradient(IMAGES, lambda logits: logits[:, 0])[1]
    close(gradient.flatten(1), module[2].weight[0].expand(4, -1) / 2)


class Grain(nn.Module):
    """Noise of its own for every pixel."""

    def forward(self, images: Tensor) -> Tensor:
        return images + 0.1 * torch.randn_like(images)


def test_a_random_classifier_stays_random_without_its_purifier() -> None:
    defence = mlvgm_robust.wrap(nn.Sequential(Grain(), *linear()), purifier=Halve(), images=IMAGES)
    assert defence.stochastic and not defence.classifier.nature.alone  # type: ignore[attr-defined]
    bare = mlvgm_robust.Target(defence, samples=range(4), eot=6).undefended()
    assert bare.stochastic and bare.eot == 6
    assert (
        mlvgm_robust.Target(mlvgm_robust.wrap(linear(), images=IMAGES), samples=range(4), eot=6).undefended().eot == 1
    )


@pytest.mark.parametrize("purifier", [None, Grain()])
def test_noise_that_the_attacker_knows_follows_the_image(purifier: nn.Module | None) -> None:
    module = linear() if purifier is not None else nn.Sequential(Grain(), *linear())
    known = KnownNoise.of(mlvgm_robust.wrap(module, purifier=purifier, images=IMAGES))
    draws = known.draw(IMAGES, KEYS)
    assert torch.equal(draws[:, 0], draws[:, 1])
    close(known.draw(IMAGES[[2]], KEYS[10:15]), draws[[2]])
    if purifier is not None:
        close(replace(known, purifier=None).draw(IMAGES, KEYS)[:, 0], module(IMAGES))


@pytest.mark.parametrize(
    ("module", "options", "error", "words"),
    [
        (linear(), {}, ConfigError, "how many classes there are is not known"),
        (linear(), {"classes": 1}, ConfigError, "classes must be a whole number of at least 2, came 1"),
        (linear(), {"classes": True}, ConfigError, "classes must be a whole number of at least 2, came True"),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 1)), {"images": IMAGES}, ConfigError, "at least 2 classes"),
        (linear(), {"classes": 4, "images": IMAGES}, InputError, r"expected logits \(4, 4\) from Sequential"),
        (linear(), {"classes": 3, "votes": 0}, ConfigError, "votes must be a whole number of at least 1, came 0"),
        (lambda images: images, {"classes": 3}, InputError, "expected an nn.Module, came function"),
        (linear(), {"images": IMAGES * 255}, InputError, r"expected values in \[0, 1\]"),
        (linear(), {"images": IMAGES, "purifier": Shrink()}, InputError, "a purifier keeps the shape of its images"),
        (nn.Sequential(*linear(), nn.Softmax(1)), {"images": IMAGES}, ConfigError, "came probabilities"),
        (nn.Sequential(nn.Flatten(0)), {"images": IMAGES}, InputError, "expected logits"),
    ],
)
def test_what_cannot_be_wrapped(module: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        mlvgm_robust.wrap(module, **options)
