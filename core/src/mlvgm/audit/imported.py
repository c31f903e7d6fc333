"""Whole defences of other people: any module from [0, 1] images to logits, with its randomness inside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from mlvgm.attribute import import_attribute
from mlvgm.defence import Backward, Defence
from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys
from mlvgm.protocols.check import NotRun
from mlvgm.protocols.classifier import Classifier
from mlvgm.protocols.purifier import PurifierNoise


class NotFinite(InputError):
    """A defence gives NaN or infinite logits: nothing that is said about it counts."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} gives NaN or infinite logits", hint="check its weights and how it scales images")


@dataclass(frozen=True)
class WholeModule:
    """Stands where a purifier stands, for a module that purifies and classifies in one.

    Args:
        module: images in [0, 1] → logits.
        stochastic: two calls differ.
        alone: give every row a noise of its own, one call a row. Otherwise the noise of a row depends on its batch,
            which is faster and enough where nothing is replayed.
        differentiable: autograd is asked for its gradient.
        name: for messages.
    """

    module: Callable[[Tensor], Tensor]
    stochastic: bool
    alone: bool = False
    differentiable: bool = True
    name: str = "the module"

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
            NotFinite: NaN or infinity is among it.
        """
        logits = self.module(images)
        if not bool(logits.detach().isfinite().all()):
            raise NotFinite(self.name)
        return logits


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
    """A defence that is one module. Its noise comes from torch's global generator, seeded by the keys and put back."""

    def draw(self, images: Tensor, keys: Keys, *, backward: Backward = "exact") -> Tensor:
        whole, draws = self.purifier, len(keys) // max(len(images), 1)
        if not isinstance(whole, WholeModule):  # the bare classifier
            return super().draw(images, keys, backward=backward)
        if backward == "bpda":
            raise ConfigError("BPDA needs to know where the purifier of a module ends", hint="leave gradient on auto")
        if not whole.stochastic:
            return whole.logits(images).unsqueeze(1).expand(-1, draws, -1)
        rows = images.repeat_interleave(draws, 0)
        if not whole.alone:
            with seeded(keys, rows.device):
                return whole.logits(rows).reshape(len(images), draws, -1)
        logits = []
        for row in range(len(rows)):
            with seeded(keys[[row]], rows.device):
                logits.append(whole.logits(rows[row : row + 1]))
        return torch.cat(logits).reshape(len(images), draws, -1)


@contextmanager
def seeded(keys: Keys, device: torch.device) -> Iterator[None]:
    """torch's global generators seeded by ``keys`` inside, and as they were outside."""
    text = f"{keys.seed}|{keys.purpose}|{keys.rows}".encode()
    seed = int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")
    cuda = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for index in cuda:
            with torch.cuda.device(index):
                torch.cuda.manual_seed(seed)
        yield


def imported_defence(
    target: str, images: Tensor, *, votes: int = 1, classifier: Classifier | None = None
) -> tuple[Defence, bool]:
    """The defence that ``module:attribute`` names, in evaluation mode, and whether its noise can be replayed.

    Args:
        target: an ``nn.Module`` from images in [0, 1] to logits, a :class:`~mlvgm.defence.Defence`, or a function
            without arguments that makes one.
        images: some, to try it on: called twice, it shows whether it is random.
        votes: draws in one deployed decision, where it is.
        classifier: the bare classifier inside, if known.

    Raises:
        ConfigError: there is no such object.
        InputError: it is no module, or does not answer images with finite logits.
    """
    found = import_attribute(target)
    if not (isinstance(found, (nn.Module, Defence)) or callable(found)):
        raise InputError(
            f"expected an nn.Module, a Defence or a function that makes one from {target}, came {type(found).__name__}"
        )
    try:
        found = found if isinstance(found, (nn.Module, Defence)) else found()
    except Exception as error:  # the user's function may fail in any way
        raise InputError(f"{target} does not make a module: {type(error).__name__}: {error}") from error
    if isinstance(found, Defence):
        _answer(found, images, target)
        return found, True
    if not isinstance(found, nn.Module):
        raise InputError(
            f"expected an nn.Module from {target}, came {type(found).__name__}",
            hint="name a module, or a function without arguments that returns one",
        )
    module = found.eval().requires_grad_(False)
    once, again = _answer(module, images, target), _answer(module, images, target)
    stochastic = not torch.equal(once, again)
    defence = ImportedDefence(
        classifier or UnknownClassifier(once.shape[1]),
        WholeModule(module, stochastic, name=target),
        votes=votes if stochastic else 1,
    )
    keys = Keys.of(seed=0, purpose="probe", samples=range(len(images)))
    with torch.no_grad():
        return defence, torch.equal(defence.draw(images, keys), defence.draw(images, keys))


def _answer(module: Callable[[Tensor], Tensor], images: Tensor, name: str) -> Tensor:
    try:
        with torch.no_grad(), torch.random.fork_rng():
            torch.default_generator.seed()
            logits = module(images)
    except Exception as error:  # the user's module may fail in any way
        raise InputError(f"{name} does not take images {tuple(images.shape)}: {error}") from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        came = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"expected logits ({len(images)}, classes) from {name}, came {came}")
    if not bool(logits.isfinite().all()):
        raise NotFinite(name)
    return logits
