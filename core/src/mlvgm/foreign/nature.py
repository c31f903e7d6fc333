"""What kind of function a module of other people is: found out by calling it, not by asking."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor, nn

from mlvgm.errors import InputError
from mlvgm.foreign.others import BadAnswer, answer, guarded
from mlvgm.foreign.seeded import drawn, seeded
from mlvgm.noise import Keys

# Calls and rows in each that show whether rows of one call share noise. A fifth of the variance in common is found
# nearly always, a tenth more often than not. What is taken for shared by mistake costs time, no truth.
_CALLS, _ROWS, _SHUFFLES, _RARE = 8, 4, 499, 1 / 250


@dataclass(frozen=True)
class Nature:
    """What calls have shown of a module.

    Args:
        classes: number of its logits.
        stochastic: two calls differ, or it draws random numbers.
        alone: rows of one call share noise (or may), so that independent draws need a call each.
        replayable: seeding the global generators of torch, NumPy and Python repeats its noise.
        differentiable: a gradient that is not zero everywhere leads to the images.
    """

    classes: int
    stochastic: bool = False
    alone: bool = False
    replayable: bool = True
    differentiable: bool = True

    @property
    def described(self) -> str:
        """In words, for plans."""
        if not self.stochastic:
            return "deterministic"
        noise = "draws its noise once a call, so every draw is a call of its own" if self.alone else "random"
        return noise + ("" if self.replayable else "; its noise comes from no global generator and is not replayed")


def nature_of(module: Callable[[Tensor], Tensor], images: Tensor, *, name: str, classes: int | None = None) -> Nature:
    """Try a module in evaluation mode on some images.

    Args:
        module: images in [0, 1] → logits.
        images: (B, C, H, W), a few that differ.
        name: for messages.
        classes: how many logits there must be, if that is known.

    Raises:
        BadAnswer: it fails, or answers with something else than finite logits.
        InputError: a call changes its weights or buffers, or an image's answer hangs on the others of its batch.
    """
    images = torch.cat([images, 1 - images])[: max(2, min(len(images), 4))]

    def logits(batch: Tensor) -> Tensor:
        return answer(module, batch, name=name, classes=classes)

    probe = _Probe(logits, images)
    with torch.no_grad():
        probe.call(images)  # what is made in the first call is there from now on
        probe.positions.clear()  # and weights that it made took random numbers
        before = {key: value.clone() for key, value in _state(module)}
        answers = [probe.call(images) for _ in range(3)]
        stochastic = probe.draws_numbers or any(not torch.equal(answers[0], each) for each in answers[1:])
        # Asked before anything is compared: moving statistics make every answer another.
        _refuse_changes(module, before, name)
        if stochastic:
            probe.refuse_mixing(name)
        else:
            _refuse_other(answers[0], torch.cat([probe.call(image[None]) for image in images]), name)
        nature = Nature(
            answers[0].shape[1],
            stochastic,
            alone=stochastic and not probe.rows_are_independent(),
            replayable=not stochastic or probe.replays(),
        )
    differentiable = probe.leads_back()
    _refuse_changes(module, before, name)
    return Nature(nature.classes, nature.stochastic, nature.alone, nature.replayable, differentiable)


class _Probe:
    """Calls with noise of their own each, the same in every examination.

    Args:
        logits: images → logits.
        images: (P, C, H, W), P ≥ 2.
    """

    def __init__(self, logits: Callable[[Tensor], Tensor], images: Tensor) -> None:
        self.logits, self.images = logits, images
        self.calls = 0
        self.positions: list[tuple[tuple[bytes, ...], tuple[bytes, ...]]] = []

    def call(self, images: Tensor) -> Tensor:
        keys = Keys.of(seed=self.calls, purpose="nature", samples=[0])
        self.calls += 1
        with seeded(keys, images.device):
            before = _generators()
            answers = self.logits(images)
            self.positions.append((before, _generators()))
        return answers

    @property
    def draws_numbers(self) -> bool:
        """A global generator moves by calls; one that each call seeds itself is left the same by all of them."""
        before, after = (list(zip(*stands, strict=True)) for stands in zip(*self.positions, strict=True))
        return any(was != left and len(set(left)) > 1 for was, left in zip(before, after, strict=True))

    def replays(self) -> bool:
        keys = Keys.of(seed=0, purpose="nature/replay", samples=range(len(self.images)))
        for alone in (False, True):
            once, again = (drawn(self.logits, self.images, keys, alone=alone) for _ in range(2))
            if not torch.equal(once, again):
                return False
        return True

    def rows_are_independent(self) -> bool:
        """Rows of one call differ as much as rows of several calls do, in a test by shuffling; True is shown, not
        assumed."""
        draws = torch.stack([self._copies(image) for image in self.images]).double()
        draws = draws - draws.mean((1, 2), keepdim=True)
        scale = draws.square().mean((1, 2, 3), keepdim=True).sqrt()
        if not bool((scale > 0).any()):
            return False
        draws = draws / scale.clamp_min(1e-300)
        generator = torch.Generator().manual_seed(0)
        flat = draws.flatten(1, 2)

        def between(rows: Tensor) -> float:
            return float(rows.reshape(len(rows), _CALLS, _ROWS, -1).mean(2).square().sum())

        seen = between(flat)
        orders = [torch.randperm(flat.shape[1], generator=generator) for _ in range(_SHUFFLES)]
        shuffled = torch.tensor([between(flat[:, order]) for order in orders])
        # Too alike is shared noise; too different is noise that one row takes from the other.
        tail = min(int((shuffled >= seen * (1 - 1e-9)).sum()), int((shuffled <= seen * (1 + 1e-9)).sum()))
        return (tail + 1) / (_SHUFFLES + 1) >= _RARE

    def _copies(self, image: Tensor) -> Tensor:
        copies = image.expand(_ROWS, *image.shape).contiguous()
        return torch.stack([self.call(copies) for _ in range(_CALLS)])

    def refuse_mixing(self, name: str) -> None:
        """Raises:
        InputError: the noise aside, an image's answer is another among other images than among its copies.
        """
        among = torch.stack([self.call(self.images) for _ in range(_CALLS)], 1).double()
        alone = torch.stack([torch.stack([self.call(one[None])[0] for _ in range(_CALLS)]) for one in self.images])
        both = torch.cat([among, alone.double()], 1)
        both = both - both.mean(1, keepdim=True)
        generator = torch.Generator().manual_seed(0)

        def apart(rows: Tensor) -> float:
            return float((rows[:, :_CALLS].mean(1) - rows[:, _CALLS:].mean(1)).square().sum())

        seen = apart(both)
        orders = [torch.randperm(both.shape[1], generator=generator) for _ in range(2 * _SHUFFLES)]
        rarer = sum(apart(both[:, order]) >= seen * (1 - 1e-9) for order in orders)
        # A pair of means that only one order in a thousand tells apart so well, by more than rounding.
        rounding = 1e-5 * float(among.abs().max())
        if rarer == 0 and seen > 1e-6 * float(both.square().sum()) + rounding**2 * among[:, 0].numel():
            raise _hangs_together(name)

    def leads_back(self) -> bool:
        with torch.enable_grad():
            images = self.images.detach().clone().requires_grad_(True)
            try:
                # Of one logit against another: a common offset has no meaning, softmax none of the sum.
                answers = self.call(images)
                weights = torch.linspace(-1, 1, answers.shape[1], dtype=answers.dtype, device=answers.device)
                with guarded(BadAnswer):
                    (gradient,) = torch.autograd.grad((answers * weights).sum(), images, allow_unused=True)
            except BadAnswer:
                return False
        return gradient is not None and bool((gradient != 0).any())


def _refuse_other(together: Tensor, alone: Tensor, name: str) -> None:
    """Refuse a deterministic module whose answer to an image is another in another batch.

    A hundredth of the range of its logits is far beyond rounding.
    """
    if float((together - alone).abs().max()) > 1e-2 * float(together.max() - together.min()):
        raise _hangs_together(name)


def _hangs_together(name: str) -> InputError:
    return InputError(
        f"{name} answers an image differently among other images",
        hint="take batch statistics and whatever else mixes the images of a batch out of its forward",
    )


def _refuse_changes(module: object, before: dict[str, Tensor], name: str) -> None:
    after = dict(_state(module))
    for key in before.keys() | after.keys():
        if key not in before or key not in after or not _same(before[key], after[key]):
            raise InputError(
                f"every call of {name} changes its '{key}'",
                hint="its answers hang on what it saw before: keep it in evaluation mode, and its buffers as they are",
            )


def _state(module: object) -> Iterator[tuple[str, Tensor]]:
    """Weights and buffers, those that are not saved included."""
    if isinstance(module, nn.Module):
        yield from module.named_parameters()
        yield from module.named_buffers()


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.allclose(one, other, rtol=0, atol=0, equal_nan=True))


def _generators() -> tuple[bytes, ...]:
    """Where the global generators of this process stand: torch's, NumPy's, Python's."""
    numbers = numpy.random.get_state(legacy=False)["state"]
    numpys = numbers["key"].tobytes() + bytes(str(numbers["pos"]), "ascii")
    return torch.get_rng_state().numpy().tobytes(), numpys, bytes(str(random.getstate()), "ascii")
