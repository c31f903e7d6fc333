"""A check that finds nothing says so only where it could have found something."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import pytest
import torch
from audited import STRONG, Idle, find, subject
from golden_classifier import classifier
from torch import Tensor, nn

from mlvgm.foreign.nature import Nature
from mlvgm.noise import Keys
from mlvgm.plugins.load import build
from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.finding import CheckInfo, Finding, NoPower
from mlvgm_robust.audit.imported import ImportedDefence, UnknownClassifier, WholeModule
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.leak_context import _alike
from mlvgm_robust.checks.power import Power, answered, tried, twin_of
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.noise import AddNoise
from mlvgm_robust.purifiers.none import Identity


def check(name: str, audited: Subject, **options: Any) -> Finding:
    return build("checks", name, options)(audited, context=AuditContext())


@dataclass(frozen=True)
class Remembers:
    """Knows images by heart and recognises them, and whatever is near to them."""

    images: Tensor
    labels: Tensor
    radius: float
    inner: Any = field(default_factory=classifier)
    classes: int = 10

    def to(self, device: Any) -> Self:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        distance, row = torch.cdist(images.flatten(1), self.images.flatten(1)).min(1)
        known = nn.functional.one_hot(self.labels[row], 10) * (distance < self.radius)[:, None]
        return self.inner(images) + 20.0 * known


def claims(**options: Any) -> Subject:
    """Every image stays right, whatever is done; the reference is easy to attack."""
    plain = subject(Defence(classifier()), replace(STRONG, norm="Linf", eps=0.08))
    sure = Remembers(plain.images, plain.labels, radius=100)
    return replace(plain, defence=Defence(sure), classifier=sure, reference=classifier(), **options)


def test_a_black_box_of_few_queries_has_no_power_and_of_many_has() -> None:
    few, many = (check("blackbox.square", claims(), queries=queries) for queries in (1, 150))
    assert few.status == "no power" and "it could not have failed at this budget" in few.evidence
    assert many.status == "pass" and "of an undefended twin it leaves" in many.evidence
    assert few.values["power"] is False and many.values["power"] is True


def test_without_a_twin_there_is_no_power_and_without_a_claim_no_need() -> None:
    alone = replace(claims(), reference=None, classifier=None)
    finding = check("blackbox.square", alone, queries=5)
    assert finding.status == "no power" and "no undefended classifier" in finding.evidence
    broken = replace(alone, defence=Defence(classifier()))
    finding = check("blackbox.square", broken, queries=5)
    assert finding.status == "pass" and "no robustness is claimed" in finding.evidence


def test_silence_counts_only_with_power() -> None:
    claimed, info = torch.ones(8), CheckInfo("it", (10,))

    def status(given: Any, claimed: Tensor, enough: bool) -> str:
        power = Power(enough, "it was tried")
        return answered(info, given, "said", claimed=claimed, chance=1 / 2, power=lambda: power).status

    assert [status(each, claimed, False) for each in ("pass", "warn", "fail")] == ["no power", "warn", "fail"]
    assert status("pass", claimed, True) == "pass"
    # A claim of chance is none: 1 of 2 classes.
    half = torch.tensor([1.0, 0, 1, 0])
    assert status("pass", half, False) == "pass" and status("pass", torch.tensor([1.0, 1, 1, 0]), False) == "no power"


def test_the_twin_is_as_random_as_the_subject_and_undefended() -> None:
    plain, noisy = claims(), replace(claims(), defence=Defence(classifier(), AddNoise(1.0), votes=3))
    twin, random_twin = twin_of(plain), twin_of(noisy)
    assert twin is not None and twin.purifier is None and twin.classifier is plain.reference
    assert random_twin is not None and isinstance(random_twin.purifier, AddNoise) and random_twin.votes == 3
    # Half the L2 norm of the longest perturbation in the ball: 0.08 in each of 768 pixels.
    assert random_twin.purifier.norm == pytest.approx(0.5 * 0.08 * 768**0.5)
    assert twin_of(replace(plain, reference=None, classifier=None)) is None
    assert not tried(replace(plain, attack=Idle("Linf", 0.08)), context=AuditContext(), margin=0.02).enough
    assert tried(plain, context=AuditContext(), margin=0.02).enough


@pytest.mark.parametrize("name", ["transfer.undefended", "failure.indicators", "loss.sane", "leak.images"])
def test_attacks_that_do_nothing_to_a_twin_have_no_power(name: str) -> None:
    honest = replace(subject(Defence(classifier())), reference=classifier(scale=0.5))
    strong, weak = (check(name, replace(honest, attack=replace(STRONG, eps=eps))) for eps in (0.6, 1e-5))
    assert (strong.status, weak.status) == ("pass", "no power")


# Gradients in single precision, at the points that are attacked.


class _Custom(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor, backward: Any) -> Tensor:
        context.own, context.images = backward, images
        return images.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return context.own(context.images, gradient), None


@dataclass(frozen=True)
class Wrong(Identity):
    """The identity with a wrong derivative."""

    backward: Any = None

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        return super().purify(_Custom.apply(images, self.backward), noise)


CLEAN = subject(Defence(classifier())).images


def _far(images: Tensor) -> Tensor:
    distance = torch.cdist(images.flatten(1).float(), CLEAN.flatten(1)).amin(1)
    return (distance > 0.05)[:, None, None, None]


WRONG: dict[str, Any] = {
    "only in double precision is it right": lambda x, g: g if x.dtype == torch.float64 else g.flip(2),
    "only at the images is it right": lambda x, g: torch.where(_far(x), -g, g),
    "black pixels have none": lambda x, g: g * (x > 0),
    "white pixels have none": lambda x, g: g * (x < 1),
    "it is scaled in every other row": lambda x, g: g * (torch.arange(x.shape[2]) % 2)[:, None],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_of_the_attacked_points_fail(name: str) -> None:
    sound = subject(Defence(classifier(), Wrong(backward=WRONG[name])), count=12)
    images = sound.images.clone()
    images[:, :, :4], images[:, :, -1:] = 0, 1  # few white ones, which weigh little among all
    finding = find("gradient.path", replace(sound, images=images))
    assert finding.status == "fail", finding.evidence
    if name == "white pixels have none":
        assert "% of 8 at white pixels of the images" in finding.evidence
    right = replace(sound, defence=Defence(classifier(), Wrong(backward=lambda x, g: g)), images=images)
    assert find("gradient.path", right).status == "pass"


# How it is asked, and what was asked before.


class Module(nn.Module):
    """The golden classifier on what ``change`` makes of the images."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.inner, self.change, self.calls = classifier(), change, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(self.change(self, images))


def imported(change: Any, *, count: int = 12) -> Subject:
    """A module of other people under audit, as the command audits it."""
    plain = subject(Defence(classifier()), count=count)

    module = Module(change)
    with torch.no_grad():
        noisy = not torch.equal(module(plain.images), module(plain.images))
    nature = Nature(10, stochastic=noisy)

    def made() -> Defence:
        return ImportedDefence(UnknownClassifier(10), WholeModule(Module(change), nature))

    return replace(plain, defence=made(), classifier=None, reference=classifier(), pristine=made)


SEES: dict[str, Any] = {
    "gradients asked for": lambda module, x: 0.5 * x if x.requires_grad else x,
    "gradients switched on": lambda module, x: 0.5 * x if torch.is_grad_enabled() else x,
    "a batch of one": lambda module, x: 0.5 * x if len(x) == 1 else x,
    "its place in the batch": lambda module, x: x * torch.linspace(0.5, 1, len(x))[:, None, None, None],
    "the others": lambda module, x: x - 0.5 * x.mean(0),
    "an image twice": lambda module, x: 0.5 * x if len(x.flatten(1).unique(dim=0)) < len(x) else x,
    "gradients asked for, and has noise": lambda module, x: x if x.requires_grad else x + 0.3 * torch.randn_like(x),
    "a batch of one, and has noise": lambda module, x: x if len(x) == 1 else x + 0.3 * torch.randn_like(x),
}


@pytest.mark.parametrize("what", SEES)
def test_a_module_that_sees_how_it_is_asked_fails(what: str) -> None:
    finding = check("leak.context", imported(SEES[what]), images=8)
    assert finding.status == "fail" and "sees how it is asked" in finding.evidence


@pytest.mark.parametrize(
    "change",
    [lambda module, x: x, lambda module, x: x + 0.1 * torch.randn_like(x)],
)
def test_a_module_that_answers_images_passes(change: Any) -> None:
    audited = imported(change)
    assert check("leak.context", audited, images=8).status == "pass"
    assert check("leak.history", audited, images=4, calls=3).status == "pass"


def test_draws_of_one_source_are_alike_and_of_others_are_not() -> None:
    """By shuffling whole columns: p of a true hypothesis is uniform, so few of 12 are below a tenth."""
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 12, 8, 10, generator=generator, dtype=torch.double)
    chances = [_alike(a, b, seed=0) for a, b in zip(one, other, strict=True)]
    assert sum(p < 0.1 for p in chances) < 6 and min(chances) > 2e-4
    assert _alike(one[0], other[0] + 3, seed=0) < 1e-3 > _alike(one[0], 4 * other[0], seed=0)
    assert _alike(torch.ones(2, 8), torch.ones(2, 8), seed=0) == 1


REMEMBERS: dict[str, Any] = {
    "how often it was called": lambda module, x: x if module.calls < 12 else 0.5 * x,
    "how often, in its gradient": lambda module, x: x if module.calls < 12 else 2 * x.detach() - x,
    "how often, in half of it": lambda module, x: (
        x if module.calls < 12 else torch.cat([x[..., :8], x[..., 8:].detach()], 3)
    ),
}


@pytest.mark.parametrize("what", REMEMBERS)
def test_a_module_with_a_memory_fails(what: str) -> None:
    finding = check("leak.history", imported(REMEMBERS[what]), images=4, calls=10)
    assert finding.status == "fail" and "has a memory" in finding.evidence
    assert "after queries around the images" in finding.evidence and "after the audit" in finding.evidence
    with pytest.raises(NoPower, match="cannot be copied"):
        check("leak.history", replace(imported(REMEMBERS[what]), pristine=None), images=4)


@pytest.mark.parametrize("reserve", [True, False])
def test_images_known_by_heart_within_the_ball_are_found(reserve: bool) -> None:
    sound = subject(Defence(classifier()), replace(STRONG, eps=1.0), count=48)
    audited = sound.first(24)
    knows = Remembers(audited.images, audited.labels, radius=1.5)
    others = (sound.images[24:], sound.labels[24:]) if reserve else None
    options = {"moved": 1.0} if reserve else {}  # where there are others, they alone tell
    finding = check(
        "leak.images", replace(audited, defence=Defence(knows), classifier=knows, reserve=others), **options
    )
    assert finding.status == "fail" and "recognises" in finding.evidence
    assert check("leak.images", replace(audited, reserve=others)).status == "pass"


def test_a_new_copy_of_the_defence_is_taken_before_it_is_asked() -> None:
    calls = list[int]()

    @dataclass
    class Counts:
        classes: int = 2
        asked: int = 0

        def __call__(self, images: Tensor) -> Tensor:
            self.asked += 1
            calls.append(self.asked)
            return images.flatten(1)[:, :2]

    defence = Defence(Counts())
    found = Subject.of(defence, STRONG, CLEAN[:2], torch.zeros(2, dtype=torch.long))
    defence.draw(CLEAN[:2], Keys.of(seed=0, purpose="p", samples=range(2)))
    assert found.pristine is not None
    for _ in range(2):
        found.pristine().draw(CLEAN[:2], Keys.of(seed=0, purpose="p", samples=range(2)))
    assert calls == [1, 1, 1]
