"""Ways to choose alphas on a linear-Gaussian problem, where the accuracy of every vector is known in closed form."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import optuna
import pytest
import torch
from linear_models import LinearClassifier, LinearGenerator, linear_generator
from torch import Tensor

from mlvgm.errors import ConfigError, InputError
from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys
from mlvgm.protocols.data import DataInfo, Split
from mlvgm_robust.alphas.adversarial_set import (
    Built,
    build_adversarial_set,
    read_adversarial_set,
    still_adversarial,
    write_adversarial_set,
)
from mlvgm_robust.alphas.method import AlphaProblem, Measured, Trial, with_alphas
from mlvgm_robust.alphas.objective import Decisions, Objective, choose, search
from mlvgm_robust.attacks.fgsm import Fgsm
from mlvgm_robust.choosing.bayes import Bayes, starting_points
from mlvgm_robust.choosing.energy import Energy, family, measure
from mlvgm_robust.choosing.random import Random
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.mlvgm import MlvgmPurifier
from tolerance import close

# The class is the sign of z0. The classifier also looks at z1, twice as much, and there the attack goes; z2 it ignores.
SIGNAL, LOOK, EPS, VOTES, IMAGES = 0.3, (1.0, 2.0, 0.0), 0.25, 4, 256
MOVED = tuple(EPS * look / 5**0.5 for look in LOOK)
PRIOR = 0.1  # standard deviation of every latent under the prior


@dataclass(frozen=True)
class Signs:
    """Images 0.5 ± SIGNAL along the first coordinate of the first latent; even samples are class 1."""

    generator: LinearGenerator
    sample: bool = False

    @property
    def info(self) -> DataInfo:
        return DataInfo("signs", ImageSpec(3, 4, 4), ("minus", "plus"), "MIT", "drawn", sample=self.sample)

    def size(self, split: Split) -> int:
        return 1000

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        labels = torch.tensor([1 - i % 2 for i in ids])
        move = SIGNAL * (2.0 * labels - 1)[:, None] * self.generator.basis[:, 0]
        return (0.5 + move).unflatten(1, (3, 4, 4)), labels


@pytest.fixture(scope="module")
def generator() -> LinearGenerator:
    return linear_generator(blocks=(4, 8, 36))


@pytest.fixture(scope="module")
def defence(generator: LinearGenerator) -> Defence:
    w = LOOK[0] * generator.basis[:, 0] + LOOK[1] * generator.basis[:, 4]
    weight = torch.stack([-w / 2, w / 2])
    classifier = LinearClassifier(weight, -0.5 * weight.sum(1))
    return Defence(classifier, MlvgmPurifier(generator, (1.0, 1.0, 1.0)), votes=VOTES)


@pytest.fixture(scope="module")
def built(defence: Defence, generator: LinearGenerator) -> Built:
    plain = with_alphas(defence, (0, 0, 0))
    return build_adversarial_set(
        plain, Fgsm(eps=EPS), Signs(generator), split="train", samples=range(1000), count=IMAGES, seed=1
    )


@pytest.fixture(scope="module")
def problem(defence: Defence, built: Built) -> AlphaProblem:
    return AlphaProblem(defence, built.adversarial, seed=3)


def accuracy(alphas: Sequence[float]) -> float:
    """Closed form on the adversarial set: the mean logit gap of VOTES draws is normal."""
    mean = (1 - alphas[0]) * (SIGNAL - MOVED[0]) - (1 - alphas[1]) * LOOK[1] * MOVED[1]
    spread = PRIOR * ((alphas[0] * LOOK[0]) ** 2 + (alphas[1] * LOOK[1]) ** 2) ** 0.5 / VOTES**0.5
    return float(mean > 0) if spread == 0 else NormalDist().cdf(mean / spread)


def searched(method: object, problem: AlphaProblem, trials: Sequence[Trial] = (), stop: int = 10**6) -> list[Trial]:
    objective = Objective.of(problem, purpose="objective")
    evaluations = min(method.evaluations, stop)  # type: ignore[attr-defined]
    propose = method(problem)  # type: ignore[operator]
    return list(search(propose, objective, evaluations=evaluations, trials=trials).trials)


def test_the_set_is_right_before_and_wrong_after(built: Built, generator: LinearGenerator) -> None:
    assert len(built.adversarial) == IMAGES and built.tried >= IMAGES and built.right == built.tried
    moved = generator.encode(built.adversarial.images).values - generator.encode(built.adversarial.clean).values
    expected = torch.tensor([MOVED[0], MOVED[1]]).expand(IMAGES, 2)
    close(moved[:, [0, 4]].abs(), expected)


def test_images_that_are_not_adversarial_are_not_kept(defence: Defence, generator: LinearGenerator) -> None:
    plain, data = with_alphas(defence, (0, 0, 0)), Signs(generator)
    with pytest.raises(InputError, match="0 adversarial images among 100 of split 'train', 8 were asked for"):
        build_adversarial_set(plain, Fgsm(eps=0.05), data, split="train", samples=range(100), count=8)
    with pytest.raises(ConfigError, match="never chosen on the test split"):
        build_adversarial_set(plain, Fgsm(eps=EPS), data, split="test", samples=range(9), count=8)
    with pytest.raises(InputError, match="bundled sample of test images"):
        build_adversarial_set(
            plain, Fgsm(eps=EPS), Signs(generator, sample=True), split="train", samples=range(9), count=8
        )


def test_the_stored_set_is_the_same_and_planted_images_are_found(
    defence: Defence, built: Built, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, plain = tmp_path_factory.mktemp("set") / "set.safetensors", with_alphas(defence, (0, 0, 0))
    write_adversarial_set(path, built.adversarial)
    stored = read_adversarial_set(path)
    assert torch.equal(stored.images, built.adversarial.images) and stored.samples == built.adversarial.samples
    assert bool(still_adversarial(plain, stored, seed=9).all())
    stored.images[[3, 17]] = stored.clean[[3, 17]]
    fooled = still_adversarial(plain, stored, seed=9)
    assert (~fooled).nonzero().squeeze(1).tolist() == [3, 17]
    assert len(stored[fooled]) == IMAGES - 2 and stored.samples[3] not in stored[fooled].samples
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="no adversarial set"):
        read_adversarial_set(path)


@pytest.mark.parametrize("alphas", [(0, 0, 0), (0, 1, 0.3), (0.6, 0.9, 1), (1, 1, 1), (0.1, 0.7, 0), (1, 0, 0)])
def test_the_objective_is_the_closed_form(problem: AlphaProblem, alphas: tuple[float, ...]) -> None:
    expected = accuracy(alphas)
    found = Objective.of(problem, purpose="closed form")(alphas, origin="").accuracy
    assert abs(found - expected) <= 4 * (expected * (1 - expected) / IMAGES) ** 0.5 + 1e-9


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_prepared_decisions_are_those_of_the_defence(defence: Defence, built: Built, noise: float) -> None:
    given = built.adversarial[:32]
    defence = Defence(defence.classifier, MlvgmPurifier(defence.purifier.generator, (0.7,) * 3, noise_norm=noise), 3)  # type: ignore[union-attr]
    decisions = Decisions(defence, given.images, given.labels, given.samples, seed=5, purpose="p", memory=10)
    for alphas in ((0.4, 0.5, 0.6), (0, 0, 0), (0, 1, 0), (1, 1, 1)):
        keys = Keys.of(seed=5, purpose="p", samples=given.samples, draws=range(3))
        expected = with_alphas(defence, alphas).bind(keys)(given.images).argmax(1) == given.labels
        assert torch.equal(decisions(alphas), expected)
    assert with_alphas(defence, (1, 0, 1)).purifier.alphas == (0.7, 0, 0.7)  # type: ignore[union-attr]


def test_images_are_encoded_once_and_noise_is_common(problem: AlphaProblem, generator: LinearGenerator) -> None:
    objective = Objective.of(problem, purpose="common")
    generator.encoded.clear()
    first = objective((0.5, 0.8, 0.5), origin="")
    assert sum(generator.encoded) == IMAGES
    # z2 does not enter the decision: on the same noise not a single image changes its mind.
    assert objective((0.5, 0.8, 0.9), origin="").accuracy == first.accuracy
    assert objective.adversarial((0.5, 0.8, 0.1)).equal(objective.adversarial((0.5, 0.8, 0.9)))
    other = Objective.of(problem, purpose="other")
    assert not other.adversarial((0.5, 0.8, 0.1)).equal(objective.adversarial((0.5, 0.8, 0.1)))
    assert sum(generator.encoded) == 2 * IMAGES


def test_what_does_not_fit_in_memory_is_computed_again(problem: AlphaProblem, generator: LinearGenerator) -> None:
    given, alphas = problem.adversarial, (0.5, 0.8, 0.5)
    kept = Decisions(problem.defence, given.images, given.labels, given.samples)
    again = Decisions(problem.defence, given.images, given.labels, given.samples, keep=0)
    generator.encoded.clear()
    assert all(again(alphas).equal(kept(alphas)) for _ in range(2))
    assert sum(generator.encoded) == 3 * IMAGES


def test_clean_accuracy_can_be_weighed_in(problem: AlphaProblem) -> None:
    trial = Objective.of(problem, purpose="weighed", weight=0.25)((0, 0, 0), origin="start")
    assert (trial.accuracy, trial.clean, trial.objective, trial.origin) == (0, 1, 0.25, "start")


@pytest.mark.parametrize("method", [Bayes(12), Random(64), Energy()], ids=lambda method: type(method).__name__)
def test_methods_find_what_the_attack_moves(method: object, problem: AlphaProblem) -> None:
    trials = searched(method, problem)
    chosen = choose(
        search(lambda _: None, lambda *_: None, evaluations=0, trials=trials), Objective.of(problem, purpose="fresh")
    )  # type: ignore[arg-type, return-value]
    assert accuracy((0, 1, 0)) > 0.97 and accuracy(starting_points(3)[1].alphas) < 0.5
    assert accuracy(chosen.alphas) > 0.9


def test_energy_measures_what_latents_carry_and_are_used_for(problem: AlphaProblem) -> None:
    effects, passes = measure(problem, images=IMAGES)
    assert passes == IMAGES * 8
    close(torch.tensor(effects.harm.tolist()), [MOVED[0], LOOK[1] * MOVED[1], 0.0])
    # Resampling loses what was there, up to the mean of IMAGES draws of the prior.
    for use, there, look in zip(effects.use.tolist(), (SIGNAL, 0.0, 0.0), LOOK, strict=True):
        assert abs(use - there) <= 4 * look * PRIOR / IMAGES**0.5 + 1e-5
    measured = Energy()(problem)
    assert isinstance(measured, Measured) and measured.findings["order"][0] == 1
    assert measured(()).alphas == (0, 0, 0)  # type: ignore[union-attr]


def test_the_family_of_energy_is_nested() -> None:
    order, levels = (2, 0, 3, 1), torch.linspace(0, 4, 17).tolist()
    vectors = torch.tensor([family(order, level) for level in levels])
    assert bool((vectors.diff(dim=0) >= 0).all())
    close(vectors.sum(1), torch.tensor(levels))
    assert family(order, 2.5) == (1, 0, 1, 0.5)


def test_energy_ends_beside_the_best_level(problem: AlphaProblem) -> None:
    propose = Energy(evaluations=10)(problem)
    scores, trials = [0.1, 0.5, 0.2], []
    while (proposal := propose(trials)) is not None:
        trials.append(
            Trial(proposal.alphas, scores[len(trials)] if len(trials) < 3 else 0.0, 0.0, None, proposal.origin)
        )
    assert [trial.origin for trial in trials] == ["level 0", "level 1", "level 2", "level 1.5", "level 0.5"]


def test_starting_points_are_the_published_ones() -> None:
    points = {point.origin: point.alphas for point in starting_points(4)}
    assert points["linear"] == (0.25, 0.5, 0.75, 1)
    assert points["reversed linear"] == (0.75, 0.5, 0.25, 0)
    assert points["constant 0.5"] == (0.5,) * 4
    assert points["cosine"] == pytest.approx((0.146447, 0.5, 0.853553, 1), abs=1e-6)
    assert points["reversed cosine"] == pytest.approx((0.853553, 0.5, 0.146447, 0), abs=1e-6)


def test_bayes_depends_on_nothing_global_and_changes_nothing(problem: AlphaProblem) -> None:
    trials = [Trial(point.alphas, float(i), 0.0) for i, point in enumerate(starting_points(3))]
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), optuna.logging.get_verbosity()
    first = Bayes()(problem)(trials)
    assert torch.equal(torch.get_rng_state(), state[0]) and np.array_equal(np.random.get_state()[1], state[1])
    assert (random.getstate(), optuna.logging.get_verbosity()) == state[2:]
    torch.manual_seed(5)
    np.random.seed(5)
    assert Bayes()(problem)(trials) == first and first is not None and first.origin == "surrogate"
    other = AlphaProblem(problem.defence, problem.adversarial, seed=4)
    assert Bayes()(other)(trials) != first


@pytest.mark.parametrize("method", [Bayes(7), Random(7), Energy()], ids=lambda method: type(method).__name__)
def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(
    method: Callable[..., object], problem: AlphaProblem
) -> None:
    whole = searched(method, problem)
    assert len({trial.alphas for trial in whole}) == len(whole) >= 5
    for stop in (2, len(whole) - 1):
        part = searched(method, problem, stop=stop)
        assert len(part) == stop and searched(method, problem, part) == whole


def test_random_vectors_are_uniform_and_keyed(problem: AlphaProblem) -> None:
    propose = Random()(problem)
    vectors = torch.tensor([propose([Trial((0, 0, 0), 0, 0)] * number).alphas for number in range(512)])  # type: ignore[union-attr]
    assert vectors.shape == (512, 3) and 0 <= float(vectors.min()) < 0.01 and 0.99 < float(vectors.max()) < 1
    assert bool(((vectors.mean(0) - 0.5).abs() < 4 / (12 * 512) ** 0.5).all())


def test_purifiers_without_alphas_are_refused(defence: Defence) -> None:
    with pytest.raises(ConfigError, match="a purifier with a generator, came NoneType"):
        with_alphas(Defence(defence.classifier), (0, 0, 0))
    with pytest.raises(ConfigError, match="2 alphas for a generator with 3 latents"):
        with_alphas(defence, (0, 0))
