"""Whole defences of other people: any module from [0, 1] images to logits, with its randomness inside."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from mlvgm.errors import ConfigError, InputError
from mlvgm.foreign.attribute import evaluating, import_attribute, made
from mlvgm.foreign.given import check_batch
from mlvgm.foreign.nature import Nature, nature_of
from mlvgm.foreign.others import answer
from mlvgm.foreign.seeded import drawn
from mlvgm.noise import Keys
from mlvgm.protocols.classifier import Classifier
from mlvgm.protocols.purifier import PurifierNoise
from mlvgm_robust.audit.finding import NotRun
from mlvgm_robust.evaluation.defence import Backward, Defence


@dataclass(frozen=True)
class WholeModule:
    """Stands where a purifier stands, for a module that purifies and classifies in one.

    Args:
        module: images in [0, 1] → logits.
        nature: what calling it has shown. Where its rows are independent, all draws are one call, and the noise of a
            row depends on its batch: faster, and enough where nothing is replayed.
        name: for messages.
    """

    module: Callable[[Tensor], Tensor]
    nature: Nature
    name: str = "the module"
    # Asked for its gradient, a module without one says so: an audit has to see it.
    differentiable: bool = True

    @property
    def stochastic(self) -> bool:
        return self.nature.stochastic

    def alone(self) -> Self:
        """The same with a call for every row, so that noise follows its image into any batch."""
        return replace(self, nature=replace(self.nature, alone=True))

    def to(self, device: torch.device | str) -> Self:
        if isinstance(self.module, nn.Module):
            self.module.to(device)
        return self

    def noise(self, keys: Keys) -> PurifierNoise:
        return keys

    def purify(self, images: Tensor, noise: PurifierNoise) -> Tensor:
        raise NotRun("an imported module does not show its purified images")

    def logits(self, images: Tensor) -> Tensor:
        """What the module answers.

        Raises:
            BadAnswer: it fails, or answers with something else than finite logits.
        """
        return answer(self.module, images, name=self.name)


@dataclass(frozen=True)
class UnknownClassifier:
    """The classifier inside a module, of which only the number of classes is known."""

    classes: int

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        raise InputError("the bare classifier behind the module is unknown", hint="name it with --classifier")


@dataclass(frozen=True)
class ImportedDefence(Defence):
    """A defence that is one module. Its noise comes from the global generators, seeded by the keys and put back."""

    def draw(self, images: Tensor, keys: Keys, *, backward: Backward = "exact") -> Tensor:
        check_batch(images)
        whole, draws = self.purifier, len(keys) // len(images)
        if not isinstance(whole, WholeModule):  # the bare classifier
            return super().draw(images, keys, backward=backward)
        if backward == "bpda":
            raise ConfigError("BPDA needs to know where the purifier of a module ends", hint="leave gradient on auto")
        if not whole.stochastic:
            return whole.logits(images).unsqueeze(1).expand(-1, draws, -1)
        logits = drawn(whole.logits, images.repeat_interleave(draws, 0), keys, alone=whole.nature.alone)
        return logits.reshape(len(images), draws, -1)


def imported_defence(
    target: str, images: Tensor, *, votes: int = 1, classifier: Classifier | None = None
) -> tuple[Defence, bool]:
    """The defence that ``module:attribute`` names, in evaluation mode, and whether its noise can be replayed.

    Args:
        target: an ``nn.Module`` from images in [0, 1] to logits, a
            :class:`~mlvgm_robust.evaluation.defence.Defence`, or a function without arguments that makes one.
        images: some, to try it on; see :func:`mlvgm.foreign.nature.nature_of`.
        votes: draws in one deployed decision, where it is random.
        classifier: the bare classifier inside, if known.

    Raises:
        ConfigError: there is no such object.
        InputError: it is no module, does not answer images with finite logits, changes by being called, or mixes the
            images of a batch.
    """
    found = made(target, (nn.Module, Defence), "an nn.Module, a Defence or a function that makes one")
    if isinstance(found, Defence):
        return found, _replays(found, images, target)
    module = evaluating(found, name=target)
    nature = nature_of(module, images, name=target)
    whole = WholeModule(module, nature, name=target)
    inside = classifier or UnknownClassifier(nature.classes)
    return ImportedDefence(inside, whole, votes=votes if nature.stochastic else 1), nature.replayable


def untouched(target: str) -> Callable[[Defence], Defence] | None:
    """Takes what ``module:attribute`` names before anything is asked of it; None where it cannot be copied.

    Returns:
        gives the same defence as the one that was made of it, around an object that nobody has called, each time a new
        one. What lies outside the object, in its module or class, is the same for all.
    """
    found = import_attribute(target)
    named = isinstance(found, (nn.Module, Defence))
    try:
        kept = copy.deepcopy(found) if named else None
    except Exception:  # it may hold anything
        return None

    def again(defence: Defence) -> Defence:
        fresh = copy.deepcopy(kept) if named else made(target, (nn.Module, Defence), "an nn.Module or a Defence")
        if isinstance(fresh, Defence) or not isinstance(defence.purifier, WholeModule):
            return cast("Defence", fresh)
        whole = replace(defence.purifier, module=evaluating(cast("nn.Module", fresh), name=target))
        return replace(defence, purifier=whole)

    return again


def _replays(defence: Defence, images: Tensor, name: str) -> bool:
    """Whether the same keys give the same logits.

    Raises:
        InputError: it does not, and says that it is deterministic.
    """
    keys = Keys.of(seed=0, purpose="nature", samples=range(len(images)))
    with torch.no_grad():
        once, again = (answer(lambda batch: defence.draw(batch, keys)[:, 0], images, name=name) for _ in range(2))
    same = torch.equal(once, again)
    if not same and not defence.stochastic:
        raise InputError(
            f"{name} says that it is deterministic and answers twice differently",
            hint="name its nn.Module instead: noise of a module is found, seeded and voted on",
        )
    return same
