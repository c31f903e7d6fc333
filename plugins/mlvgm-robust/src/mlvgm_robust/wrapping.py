"""A plain ``nn.Module`` as a defence: what the harness, the audit and every attack take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from mlvgm.errors import ConfigError, InputError
from mlvgm.foreign.attribute import evaluating
from mlvgm.foreign.given import check_images
from mlvgm.foreign.module_classifier import ModuleClassifier
from mlvgm.foreign.nature import Nature, nature_of
from mlvgm.foreign.others import answer
from mlvgm.foreign.seeded import drawn
from mlvgm.noise import Keys
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.none import draws_per_image

# Right for any module: a call for every draw, seeded whether it needs that or not.
_UNTRIED = {"stochastic": True, "alone": True}


@dataclass(frozen=True)
class ModulePurifier:
    """An ``nn.Module`` from images to images of the same shape, with its randomness inside, as a purifier.

    Args:
        module: in evaluation mode, frozen.
        nature: what is known of it.
        name: for messages.
    """

    module: nn.Module
    nature: Nature
    name: str = "the purifier"

    @property
    def stochastic(self) -> bool:
        return self.nature.stochastic

    @property
    def differentiable(self) -> bool:
        return self.nature.differentiable

    def to(self, device: torch.device | str) -> Self:
        self.module.to(device)
        return self

    def noise(self, keys: Keys) -> Keys:
        return keys

    def purify(self, images: Tensor, noise: Keys) -> Tensor:
        draws = draws_per_image(images, len(noise))
        if not self.stochastic:
            return self._purified(images).repeat_interleave(draws, 0).reshape(-1, *images.shape[1:])
        rows = images.repeat_interleave(draws, 0)
        return drawn(self._purified, rows, noise, alone=self.nature.alone).reshape(rows.shape)

    def alone(self) -> Self:
        """The same with a call for every row, so that its noise follows its image into any batch."""
        return replace(self, nature=replace(self.nature, alone=True))

    def _purified(self, images: Tensor) -> Tensor:
        return answer(_Pixels(self.module), images, name=self.name, classes=images[0].numel())


class _Pixels(nn.Module):
    """The pixels of a module's images in a row."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        purified: Tensor = self.module(images)
        if purified.shape != images.shape:
            raise ValueError(f"it returns {tuple(purified.shape)}, a purifier keeps the shape of its images")
        return purified.flatten(1)


def wrap(
    module: nn.Module,
    *,
    classes: int | None = None,
    images: Tensor | None = None,
    purifier: nn.Module | None = None,
    votes: int = 1,
) -> Defence:
    """A defence of plain modules, for :func:`mlvgm_robust.run_attack` and the audit.

    Modules are put into evaluation mode and frozen, in place. With ``images`` they are tried: randomness is found,
    whether rows of a call share it, and whether gradients lead back; what cannot be judged is refused. Without, they
    are taken for random and called once a draw, which is right for every module and slow for most.

    Args:
        module: images in [0, 1] → logits; a classifier, or a whole defence.
        classes: number of logits; may be left out where ``images`` show it.
        images: (B, C, H, W) float32 in [0, 1], a few that differ.
        purifier: images → images of the same shape, in front of ``module``; so attacks know where it ends (BPDA,
            transfer).
        votes: draws in one decision, where something is random.

    Raises:
        ConfigError: neither ``classes`` nor ``images``, fewer than two classes or one vote, or probabilities.
        InputError: no ``nn.Module``, or it does not answer images as it must; see
            :func:`mlvgm.foreign.nature.nature_of`.

    Example:
        >>> import mlvgm, mlvgm_robust
        >>> module = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 3))
        >>> images, labels = torch.rand(4, 1, 4, 4), torch.tensor([0, 1, 2, 0])
        >>> defence = mlvgm_robust.wrap(module, classes=3, images=images)
        >>> defence.stochastic, defence(images).shape
        (False, torch.Size([4, 3]))
        >>> attack = mlvgm.load("attacks/fgsm", norm="Linf", eps=0.1)
        >>> mlvgm_robust.run_attack(defence, attack, images, labels).robust.right.shape
        torch.Size([4])
    """
    for what, number, least in (("votes", votes, 1), ("classes", 2 if classes is None else classes, 2)):
        if type(number) is not int or number < least:
            raise ConfigError(f"{what} must be a whole number of at least {least}, came {number!r}")
    if images is not None:
        check_images(images)
    classifier = _classifier(module, classes, images)
    if classifier.classes < 2:
        raise ConfigError(f"expected at least 2 classes, came {classifier.classes}")
    if purifier is None:
        return Defence(classifier, votes=votes)
    return Defence(classifier, _purifier(purifier, images), votes=votes)


def _classifier(module: nn.Module, classes: int | None, images: Tensor | None) -> ModuleClassifier:
    name = _named(module)
    if images is not None:
        return ModuleClassifier(module, classes=classes or 2, name=name).try_on(images, classes=classes)
    if classes is None:
        raise ConfigError("how many classes there are is not known", hint="give classes=, or images= to try it on")
    return ModuleClassifier(module, classes=classes, nature=Nature(classes, **_UNTRIED), name=name)


def _purifier(module: nn.Module, images: Tensor | None) -> ModulePurifier:
    name = _named(module)
    evaluating(module, name=name)
    nature = Nature(0, **_UNTRIED) if images is None else nature_of(_Pixels(module), images, name=name)
    return ModulePurifier(module, nature, name)


def _named(module: object) -> str:
    if not isinstance(module, nn.Module):
        raise InputError(f"expected an nn.Module, came {type(module).__name__}", hint="make one around it")
    return type(module).__name__
