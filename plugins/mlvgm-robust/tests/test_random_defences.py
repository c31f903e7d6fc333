"""Random defences: no success by luck, nothing depends on the batch, and the attack is strong all the same."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from golden_classifier import attack_context, classifier, fresh_accuracy, run, stored
from torch import Tensor

from mlvgm.defence import Defence
from mlvgm.protocols.attack import Attack
from mlvgm.target import Target
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.apgd_dlr import ApgdDlr
from mlvgm_robust.attacks.apgd_t import ApgdT
from mlvgm_robust.attacks.autoattack import AutoAttack
from mlvgm_robust.attacks.fab_t import FabT
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.official import OfficialAutoAttack
from mlvgm_robust.attacks.square import Square
from mlvgm_robust.purifiers.noise import AddNoise


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
    attack = AutoAttack("L2", eps, iterations=10, classes=2, queries=30)
    adversarial = run(attack, defence, x, y, eot=4, selection=16)
    clean = fresh_accuracy(defence, x, y, draws=100, purpose="clean")
    assert 0.5 < clean.mean() < 0.95  # random enough for luck to matter
    assert (adversarial - x).abs().max() <= eps
    difference = fresh_accuracy(defence, adversarial, y, draws=100) - clean
    error = (2 * clean * (1 - clean) / 100).sum().sqrt() / len(clean)
    assert difference.mean().abs() <= 3 * error


def test_the_original_reports_successes_that_fresh_noise_does_not_show() -> None:
    pyautoattack = pytest.importorskip("pyautoattack")
    io, _ = stored()
    x, y, defence = io["x"], io["y"], noisy(9.0)
    clean = fresh_accuracy(defence, x, y, draws=100, purpose="clean").mean()

    target = Target(defence, samples=range(len(x)))
    adversary = pyautoattack.AutoAttack(target, norm="L2", eps=1e-6, seed=0, version="rand")
    adversary.apgd.n_iter, adversary.apgd.eot_iter = 10, 4
    with torch.random.fork_rng():
        adversarial, predictions = adversary.run_standard_evaluation(x, y, batch_size=len(x))
    reported = (predictions == y).double().mean()
    fresh = fresh_accuracy(defence, adversarial, y, draws=100).mean()
    assert reported < clean - 0.2  # phantom successes: the radius is one millionth
    assert fresh > clean - 0.03


@pytest.mark.parametrize("name", SMALL)
def test_result_of_an_image_does_not_depend_on_its_batch(name: str) -> None:
    io, _ = stored()
    x, y, defence = io["x"][:6], io["y"][:6], noisy(5.0)
    samples = [10, 3, 7, 5, 21, 8]
    whole = run(SMALL[name], defence, x, y, samples=samples, eot=2, selection=16)
    order = [4, 1, 5]
    some = run(SMALL[name], defence, x[order], y[order], samples=[samples[i] for i in order], eot=2, selection=16)
    torch.testing.assert_close(some, whole[order], atol=1e-4, rtol=0)
    alone = run(SMALL[name], defence, x[[2]], y[[2]], samples=[7], eot=2, selection=16, memory=3)
    torch.testing.assert_close(alone, whole[[2]], atol=1e-4, rtol=0)
    assert (whole - x).abs().max() > 1e-3


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
