"""Random defences: no success by luck, nothing depends on the batch, and the attack is strong all the same."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from golden_classifier import attack_context, classifier, fresh_accuracy, run, stored
from torch import Tensor

from mlvgm.noise import Keys
from mlvgm.protocols.attack import Attack
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.apgd_dlr import ApgdDlr
from mlvgm_robust.attacks.apgd_t import ApgdT
from mlvgm_robust.attacks.autoattack import AutoAttack
from mlvgm_robust.attacks.fab_t import FabT
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.official import OfficialAutoAttack
from mlvgm_robust.attacks.square import Square
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Success, Target
from mlvgm_robust.purifiers.noise import AddNoise
from tolerance import GRADIENT, close


def noisy(norm: float, votes: int = 1) -> Defence:
    return Defence(classifier(), AddNoise(norm), votes=votes)


SMALL: dict[str, Attack] = {
    "apgd-ce": ApgdCe("L2", 0.5, iterations=10),
    "apgd-dlr": ApgdDlr("L2", 0.5, iterations=10),
    "apgd-t": ApgdT("L2", 0.5, iterations=8, classes=2),
    "fab-t": FabT("L2", 0.5, iterations=6, classes=2),
    "square": Square("L2", 0.5, queries=30),
    "autoattack": AutoAttack("Linf", 0.03, iterations=6, classes=2, queries=15),
}


@pytest.mark.parametrize("eps", [0.0, 1e-6])
@pytest.mark.parametrize("votes", [1, 4])
def test_null_control_gives_clean_accuracy_back(eps: float, votes: int) -> None:
    io, _ = stored()
    x, y, defence = io["x"], io["y"], noisy(9.0, votes)
    attack, messages = AutoAttack("L2", eps, iterations=10, classes=2, queries=30), list[str]()
    adversarial = run(attack, defence, x, y, eot=4, selection=16, progress=messages.append)
    clean = fresh_accuracy(defence, x, y, draws=100, purpose="clean")
    assert 0.5 < clean.mean() < 0.95  # random enough for luck to matter
    assert (adversarial - x).abs().max() <= eps
    difference = fresh_accuracy(defence, adversarial, y, draws=100) - clean
    error = (2 * clean * (1 - clean) / 100).sum().sqrt() / len(clean)
    assert difference.mean().abs() <= 3 * error
    # Nor does the attack believe in successes: what is usually classified right still stands when the last part starts.
    standing = int(messages[-1].split()[1])
    assert messages[-1].startswith("square") and standing >= int((clean > 0.4).sum())


def test_the_original_reports_successes_that_fresh_noise_does_not_show() -> None:
    pyautoattack = pytest.importorskip("pyautoattack")
    io, _ = stored()
    x, y, defence = io["x"], io["y"], noisy(9.0)
    clean = fresh_accuracy(defence, x, y, draws=100, purpose="clean").mean()
    reported, fresh = [], []
    for seed in range(6):
        target = Target(defence, samples=range(len(x)), seed=seed)
        adversary = pyautoattack.AutoAttack(target, norm="L2", eps=1e-6, seed=0, version="rand")
        adversary.apgd.n_iter, adversary.apgd.eot_iter = 10, 4
        with torch.random.fork_rng():
            adversarial, predictions = adversary.run_standard_evaluation(x, y, batch_size=len(x))
        reported.append((predictions == y).double().mean())
        fresh.append(fresh_accuracy(defence, adversarial, y, draws=100).mean())
    # Phantom successes: nothing was attacked, the radius is one millionth.
    assert torch.stack(reported).mean() < clean - 0.12
    assert torch.stack(fresh).mean() == pytest.approx(float(clean), abs=0.02)


@pytest.mark.parametrize("name", SMALL)
def test_result_of_an_image_does_not_depend_on_its_batch(name: str) -> None:
    io, _ = stored()
    x, y, defence = io["x"][:6], io["y"][:6], noisy(5.0)
    samples = [10, 3, 7, 5, 21, 8]
    whole = run(SMALL[name], defence, x, y, samples=samples, eot=2, selection=16)
    order = [4, 1, 5]
    some = run(SMALL[name], defence, x[order], y[order], samples=[samples[i] for i in order], eot=2, selection=16)
    close(some, whole[order], depth=GRADIENT)
    alone = run(SMALL[name], defence, x[[2]], y[[2]], samples=[7], eot=2, selection=16, memory=3)
    close(alone, whole[[2]], depth=GRADIENT)
    assert (whole - x).abs().max() > 1e-3


@pytest.mark.parametrize(("noise", "eps"), [(0.0, 0.5), (3.0, 0.8)])
@pytest.mark.parametrize(
    "attack",
    [
        ApgdCe("L2", iterations=10, restarts=3),
        ApgdT("L2", iterations=10, restarts=2, classes=2),
        FabT("L2", iterations=8, restarts=2, classes=2),
        Square("Linf", queries=60, restarts=2),
    ],
    ids=lambda attack: attack.info.name,
)
def test_nor_does_it_where_neighbours_drop_out(attack: Attack, noise: float, eps: float) -> None:
    io, _ = stored()
    x, y, defence = io["x"][:10], io["y"][:10], noisy(noise)
    attack = dataclasses.replace(attack, eps=eps if attack.info.norm == "L2" else eps / 12)
    together = run(attack, defence, x, y, eot=2, selection=16)
    broken = defence.bind(Keys.of(seed=0, purpose="look", samples=range(10)))(together).argmax(1) != y
    assert 0 < broken.sum() < 10  # some work ends early, some goes on
    alone = [run(attack, defence, x[[i]], y[[i]], samples=[i], eot=2, selection=16) for i in range(10)]
    # Rounding differs between batch sizes and grows along an ascent, but a wrong random number moves an image far.
    close(torch.cat(alone), together, depth=GRADIENT)


def test_at_least_as_strong_on_fresh_noise_as_the_original_for_random_defences() -> None:
    pytest.importorskip("pyautoattack")
    io, _ = stored()
    x, y, defence = io["x"], io["y"], noisy(4.0)
    robust = {
        name: fresh_accuracy(defence, run(attack, defence, x, y, eot=8, selection=32), y, draws=100).mean()
        for name, attack in {
            "native": AutoAttack("L2", 0.4, iterations=30, classes=2, parts=("apgd-ce", "apgd-t")),
            "official": OfficialAutoAttack("L2", 0.4, iterations=30, suite="rand"),
        }.items()
    }
    clean = fresh_accuracy(defence, x, y, draws=100).mean()
    assert robust["native"] < clean - 0.1
    assert robust["native"] <= robust["official"] + 0.01


def test_gradient_attacks_work_through_votes() -> None:
    io, _ = stored()
    x, y, defence = io["x"][:16], io["y"][:16], noisy(4.0, votes=8)
    adversarial = run(ApgdCe("L2", 0.6, iterations=20), defence, x, y, eot=8, selection=16)
    single = fresh_accuracy(defence, adversarial, y)
    assert single.mean() < fresh_accuracy(defence, x, y).mean() - 0.2


@dataclass(frozen=True)
class Coin:
    """A classifier that is wrong on a share of its noisy inputs, whatever the image: pixel 0 below a threshold."""

    threshold: float
    classes: int = 2

    def __call__(self, images: Tensor) -> Tensor:
        wrong = images[:, 0, 0, 0] - self.threshold
        return torch.stack([torch.zeros_like(wrong), wrong], 1)


def test_luck_does_not_replace_incumbents() -> None:
    defence = Defence(Coin(0.5), AddNoise(0.5))
    x = torch.full((200, 1, 4, 4), 0.5)  # wrong half the time
    y = torch.zeros(200, dtype=torch.long)
    target = Target(defence, samples=range(200))
    incumbents = Incumbents.of(target, x, y, targets=None, context=attack_context(range(200), selection=16))
    for _ in range(8):
        incumbents.offer(x, torch.arange(200))
    # Best of nine plain estimates on 16 draws would average 0.69 or more, and some would count as broken.
    assert incumbents.probability.mean() < 0.66
    assert not incumbents.broken.any()


def test_better_candidates_do_replace_incumbents() -> None:
    defence = Defence(Coin(0.5), AddNoise(0.5))
    x = torch.full((50, 1, 4, 4), 0.45)
    target = Target(defence, samples=range(50))
    y = torch.zeros(50, dtype=torch.long)
    incumbents = Incumbents.of(target, x, y, targets=None, context=attack_context(range(50), selection=16))
    incumbents.offer(x + 0.4, torch.arange(50))
    assert torch.equal(incumbents.images, x + 0.4)
    assert incumbents.broken.double().mean() > 0.9
    incumbents.offer(x, torch.arange(50))
    assert torch.equal(incumbents.images, x + 0.4)


def test_one_lucky_estimate_does_not_end_the_work_on_an_image() -> None:
    class Coin:
        stochastic = True
        sure = iter([True, False])

        def __getitem__(self, rows: Tensor) -> Coin:
            return self

        def success(self, *images: Tensor, **options: Any) -> Success:
            return Success(torch.tensor([0.75]).double(), torch.tensor([next(self.sure)]))

    target: Any = Coin()
    image, none = torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.bool)
    held = Incumbents(target, torch.tensor([0]), None, attack_context(range(1)), image, none.double(), none)
    held.offer(image + 0.1, torch.tensor([0]))
    assert held.probability.tolist() == [0.75] and not held.broken.any()


def test_square_moves_only_by_more_than_a_standard_error() -> None:
    """Better by half a standard error is what luck looks like."""

    class Even(Square):
        proposed: ClassVar[list[Tensor]] = []

        def _propose(self, images: Tensor, point: Tensor, numbers: Tensor, query: int) -> Tensor:
            self.proposed.append(point.clone())
            return point + 0.01

    class Tossed:
        """The given point has margin 0; a proposal seems 0.5 better, its draws being 1.5 and −0.5."""

        stochastic = True

        def __getitem__(self, rows: Tensor) -> Tossed:
            return self

        def __call__(self, images: Tensor, draws: int) -> Tensor:
            moved = (images > 0).flatten(1).any(1).double()
            margins = moved[:, None] * torch.tensor([1.5, -0.5]).double()
            return torch.stack([torch.zeros_like(margins), margins], 2)

        def success(self, images: Tensor, *given: Tensor, **options: Any) -> Success:
            return Success(torch.zeros(len(images)).double(), torch.zeros(len(images), dtype=torch.bool))

    target: Any = Tossed()
    image, none = torch.zeros(1, 1, 4, 4), torch.zeros(1, dtype=torch.bool)
    context = dataclasses.replace(attack_context(range(1)), eot=2)
    held = Incumbents(target, torch.tensor([0]), None, context, image, none.double(), none)
    Even("Linf", 0.1, queries=5)._search_scores(held, torch.tensor([0]), image, image, context.keys)
    assert len(Even.proposed) == 5 and all((point == 0).all() for point in Even.proposed)
