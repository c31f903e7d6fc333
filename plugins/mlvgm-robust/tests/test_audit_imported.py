"""Modules of other people as defences."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from audit_toys import Halves, evaluation
from torch import Tensor, nn

from mlvgm.errors import ConfigError, InputError
from mlvgm.foreign.others import NotFinite
from mlvgm.noise import Keys
from mlvgm_robust.audit.finding import NoPower, NotRun
from mlvgm_robust.audit.imported import ImportedDefence, UnknownClassifier, WholeModule, imported_defence, untouched
from mlvgm_robust.evaluation.defence import Defence
from tolerance import close


class Plain(nn.Module):
    """Logits by the mean pixel."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1)
        return torch.stack([0.5 - mean, mean - 0.5], 1)


class Noisy(Plain):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + 0.1 * torch.randn_like(images))


class OnceACall(Plain):
    """One shift for all images of a call."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + 0.1 * torch.randn(()))


class OwnGenerator(Plain):
    """Random, from a generator that nobody else can seed."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(1)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + 0.1 * torch.randn(images.shape, generator=self.generator))


class NotNumbers(Plain):
    """NaN for all images, or for dark ones only."""

    def __init__(self, below: float = 2.0) -> None:
        super().__init__()
        self.below = below

    def forward(self, images: Tensor) -> Tensor:
        return torch.where(images.flatten(1).mean(1, keepdim=True) < self.below, torch.nan, super().forward(images))


class NoisyNotNumbers(NotNumbers):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + 0.01 * torch.randn_like(images))


class Unsaid:
    """A classifier that is random and does not say so."""

    classes = 2

    def to(self, device: torch.device | str) -> Unsaid:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        return Noisy()(images)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    made = types.ModuleType("people")
    made.plain, made.Noisy, made.OwnGenerator = Plain(), Noisy, OwnGenerator  # type: ignore[attr-defined]
    made.OnceACall, made.Unsaid = OnceACall, lambda: Defence(Unsaid())  # type: ignore[attr-defined]
    made.nan, made.infinite = NotNumbers(), Defence(lambda images: Plain()(images) / 0)  # type: ignore[attr-defined]
    made.dark, made.noisy_dark = NotNumbers(0.05), NoisyNotNumbers(0.05)  # type: ignore[attr-defined]
    made.defence, made.number, made.flat = Defence(Halves()), 3, nn.Flatten(0)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "people", made)
    yield made


IMAGES = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def test_a_deterministic_module_is_a_defence_of_one_draw(modules: types.ModuleType) -> None:
    defence, replayable = imported_defence("people:plain", IMAGES, votes=5)
    assert replayable and not defence.stochastic and defence.classes == 2 and defence.votes == 1
    close(defence(IMAGES), Plain()(IMAGES))
    with pytest.raises(InputError, match="bare classifier"):
        replace(defence, purifier=None)(IMAGES)


def test_a_random_module_is_seeded_by_its_keys_and_leaves_the_global_generator_alone(modules: types.ModuleType) -> None:
    state = torch.get_rng_state()
    defence, replayable = imported_defence("people:Noisy", IMAGES, votes=5)
    assert replayable and defence.stochastic and defence.votes == 5
    keys = Keys.of(seed=0, purpose="p", samples=range(4), draws=range(3))
    once = defence.draw(IMAGES, keys)
    assert once.shape == (4, 3, 2) and torch.equal(once, defence.draw(IMAGES, keys))
    assert not torch.equal(once[:, 0], once[:, 1]) and not torch.equal(once, defence.draw(IMAGES, keys.derive("q")))
    assert torch.equal(torch.get_rng_state(), state)
    # One call a row: then the noise follows the image into any batch.
    assert isinstance(defence.purifier, WholeModule)
    alone = replace(defence, purifier=defence.purifier.alone())
    rows = alone.draw(IMAGES, keys)
    close(alone.draw(IMAGES[[2]], keys[6:9]), rows[[2]])
    assert torch.equal(torch.get_rng_state(), state)


def test_draws_of_a_module_that_draws_once_a_call_are_independent(modules: types.ModuleType) -> None:
    defence, replayable = imported_defence("people:OnceACall", IMAGES, votes=5)
    keys = Keys.of(seed=0, purpose="p", samples=range(4), draws=range(50))
    draws = defence.draw(IMAGES, keys)[..., 1] - Plain()(IMAGES)[:, None, 1]
    assert replayable and draws.shape == (4, 50)
    # 200 shifts of standard deviation 0.1, no two alike: one call for all would have one for all.
    assert len(draws.flatten().unique()) == 200
    assert abs(draws.std() - 0.1) < 0.02
    assert draws.flatten(1).corrcoef().triu(1).abs().max() < 0.5
    close(defence.draw(IMAGES, keys)[..., 1] - Plain()(IMAGES)[:, None, 1], draws)


def test_a_defence_that_hides_its_randomness_is_refused(modules: types.ModuleType) -> None:
    with pytest.raises(InputError, match="says that it is deterministic and answers twice differently"):
        imported_defence("people:Unsaid", IMAGES)


def test_a_module_with_a_generator_of_its_own_cannot_be_replayed(modules: types.ModuleType) -> None:
    defence, replayable = imported_defence("people:OwnGenerator", IMAGES)
    assert defence.stochastic and not replayable
    with pytest.raises(NoPower, match="cannot be repeated"):
        replace(evaluation(), replayable=replayable).replayed()


def test_the_classifier_inside_a_module_may_be_named(modules: types.ModuleType) -> None:
    defence, _ = imported_defence("people:Noisy", IMAGES, classifier=Halves())
    close(replace(defence, purifier=None)(IMAGES), Halves()(IMAGES))
    unknown, _ = imported_defence("people:Noisy", IMAGES)
    assert isinstance(unknown, ImportedDefence) and unknown.classifier == UnknownClassifier(2)
    with pytest.raises(NotRun, match="--classifier"):
        replace(evaluation(), classifier=None).bare()
    keys = Keys.of(seed=0, purpose="p", samples=range(4))
    with pytest.raises(ConfigError, match="BPDA"):
        defence.draw(IMAGES, keys, backward="bpda")


@pytest.mark.parametrize("name", ["dark", "noisy_dark"])
@pytest.mark.parametrize("alone", [False, True])
def test_every_answer_that_is_no_number_is_an_error(modules: types.ModuleType, name: str, alone: bool) -> None:
    defence, _ = imported_defence(f"people:{name}", IMAGES)
    assert isinstance(defence.purifier, WholeModule)
    defence = replace(defence, purifier=defence.purifier.alone()) if alone else defence
    keys = Keys.of(seed=0, purpose="p", samples=range(4))
    images = IMAGES.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(defence.draw(images, keys)[..., 1].sum(), images)
    close(gradient, torch.full_like(images, 1 / 4))
    with pytest.raises(NotFinite, match=f"people:{name} gives NaN or infinite logits"):
        defence.draw(torch.cat([IMAGES[:3], 0 * IMAGES[:1]]), keys)


def test_purified_images_cannot_be_asked_for(modules: types.ModuleType) -> None:
    defence, _ = imported_defence("people:Noisy", IMAGES)
    with pytest.raises(NotRun, match="does not show its purified images"):
        defence.purify(IMAGES, Keys.of(seed=0, purpose="p", samples=range(4)))


def test_a_defence_of_ours_is_taken_as_it_is(modules: types.ModuleType) -> None:
    assert imported_defence("people:defence", IMAGES) == (modules.defence, True)


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ("people", ConfigError, "expected module:attribute"),
        ("people:nobody", ConfigError, "has no nobody"),
        ("no_such_people:plain", ConfigError, "does not import"),
        ("people:number", InputError, "an nn.Module, a Defence or a function that makes one from .*, came int"),
        ("people:nan", InputError, "people:nan gives NaN or infinite logits"),
        ("people:infinite", InputError, "gives NaN or infinite logits"),
        ("people:flat", InputError, "expected logits"),
        ("builtins:dict", InputError, "expected an nn.Module"),
    ],
)
def test_what_is_no_defence_is_refused_in_one_line(
    modules: types.ModuleType, target: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        imported_defence(target, IMAGES)


class Counts(Plain):
    """Counts its calls."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(images)


@pytest.mark.parametrize("target", ["people:counts", "people:Counts"])
def test_a_copy_is_what_was_named_before_it_was_asked(modules: types.ModuleType, target: str) -> None:
    modules.counts, modules.Counts = Counts().eval(), Counts  # type: ignore[attr-defined]
    again = untouched(target)
    defence, _ = imported_defence(target, IMAGES)
    assert again is not None and isinstance(defence.purifier, WholeModule)
    used = defence.purifier.module
    assert isinstance(used, Counts) and used.calls > 0
    for _ in range(2):  # each time a new one
        fresh = again(defence)
        assert isinstance(fresh, ImportedDefence) and isinstance(fresh.purifier, WholeModule)
        assert isinstance(fresh.purifier.module, Counts) and fresh.purifier.module.calls == 0
        assert fresh.votes == defence.votes and fresh.purifier.nature == defence.purifier.nature
        fresh(IMAGES)
    modules.locked = Plain()  # type: ignore[attr-defined]
    modules.locked.hook = (line for line in ())  # cannot be copied
    assert untouched("people:locked") is None
    assert untouched("people:defence") is not None
