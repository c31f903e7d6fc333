"""Every published attack, and the benchmark's emulation of them, against the stored results of arXiv 2412.03453's code.

The stored attacks drew the noise of image j from torch's generator seeded with 10000 + j; these tests draw the same, so
each image can be compared with itself. DeepFool and FAB follow smooth paths: a thousandth allows for rounding over
their steps. C&W takes signs of Adam's first steps and of FGSM's gradient, whose smallest entries are rounding, and a
success that is lost for a nearer failure may be the last one: of 32 images rounding decides one or two.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden_classifier import attack_context, classifier, run, stored
from torch import Tensor

from mlvgm.noise import Keys
from mlvgm_robust.attacks import geometry
from mlvgm_robust.attacks.geometry import distance
from mlvgm_robust.attacks.losses import cross_entropy
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.published import apgd, carlini_wagner, fab
from mlvgm_robust.published.autoattack import PublishedAutoAttack, published_dlr
from mlvgm_robust.published.carlini_wagner import PublishedCarliniWagner
from mlvgm_robust.published.deepfool import PublishedDeepFool
from mlvgm_robust.published.found import Found
from mlvgm_robust.published.tasks import CarliniWagnerValues
from tolerance import GRADIENT, close

SMOOTH, JUMPY = 1e-3, 0.02  # largest relative difference of a distance; both as the stored data state them
LEFT_TO_ROUNDING = 3  # of 32 images, whether C&W keeps a success


@pytest.fixture(autouse=True)
def stored_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaussian draws of each image are those of a generator of its own, in the order in which it asks for them."""
    generators: dict[int, torch.Generator] = {}

    def normal(keys: Keys, name: str, shape: tuple[int, ...]) -> Tensor:
        for sample, _ in keys.rows:
            generators.setdefault(sample, torch.Generator().manual_seed(10_000 + sample))
        return torch.cat([torch.randn(1, *shape, generator=generators[sample]) for sample, _ in keys.rows])

    monkeypatch.setattr(geometry, "normal", normal)
    monkeypatch.setattr(carlini_wagner, "normal", normal)


def nothing_found(images: int) -> Found:
    io, _ = stored()
    target = Target(Defence(classifier()), samples=range(images))
    context = attack_context(range(images))
    return Found.of(target, io["x"][:images], io["y"][:images], targets=None, context=context, success="published")


def test_deepfool() -> None:
    io, config = stored()
    options = config["classifier"]["deepfool"]
    attack = PublishedDeepFool(options["num_classes"], options["overshoot"], options["max_iter"])
    adversarial = run(attack, Defence(classifier()), io["x"], io["y"])
    assert torch.equal(classifier()(adversarial).argmax(1), io["deepfool_pred"])
    close(distance(adversarial - io["x"], "L2"), io["deepfool_l2"], depth=GRADIENT)


def alike(found: Tensor, io: dict[str, Tensor], count: int) -> None:
    """C&W's distances ``found``, 0 for no success, are the stored ones of the first ``count`` images."""
    success, theirs = found > 0, io["cw_success"][:count]
    assert int((success != theirs).sum()) <= LEFT_TO_ROUNDING
    both = success & theirs
    ratio = (found / io["cw_l2"][:count])[both]
    assert ((ratio - 1).abs() < SMOOTH).double().mean() > 0.9
    assert ((ratio - 1).abs() < JUMPY).all()


def test_carlini_wagner() -> None:
    io, config = stored()
    c = config["classifier"]["cw"]
    values = (c["c"], c["kappa"], c["steps"], c["lr"], c["n_restarts"], c["early_stopping_steps"])
    attack = PublishedCarliniWagner(*values, start=2.0 ** (4 - 5), noise=2.0 ** (4 - 8))
    adversarial = run(attack, Defence(classifier()), io["x"], io["y"])
    alike(distance(adversarial - io["x"], "L2"), io, 32)
    assert int((classifier()(adversarial).argmax(1) == io["cw_pred"]).sum()) >= 32 - LEFT_TO_ROUNDING


@pytest.mark.parametrize(("name", "loss"), [("ce", cross_entropy), ("dlr", published_dlr)])
def test_last_points_of_apgd(name: str, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    io, config = stored()
    found = nothing_found(32)
    last = {}

    def record(points: Tensor, rows: Tensor, fooled: Tensor) -> None:
        last["points"] = points

    found.record = record  # type: ignore[method-assign]
    eps, keys = config["classifier"]["eps"]["L2"], found.nearest.incumbents.context.keys
    success = apgd.ascend(found, found.standing(), loss, eps=eps, iterations=64, keys=keys, every=False)
    assert int((success != io[f"paperA_apgd_{name}_success"]).sum()) <= 1
    assert int((classifier()(last["points"]).argmax(1) != io[f"paperA_apgd_{name}_pred"]).sum()) <= 1
    ratio = distance(last["points"] - io["x"], "L2") / io[f"paperA_apgd_{name}_l2"]
    assert int(((ratio - 1).abs() > SMOOTH).sum()) <= 2  # a halved step comes one check sooner or later
    assert ((ratio - 1).abs() < JUMPY).all()


def test_fab() -> None:
    io, _ = stored()
    found = nothing_found(32)
    fab.search(found, iterations=64, classes=None)
    close(found.nearest.length, io["paperA_fab_l2"], depth=GRADIENT)


def test_autoattack() -> None:
    io, _ = stored()
    count = len(io["paperA_autoattack_l2"])
    attack = PublishedAutoAttack(iterations=64, fab_iterations=64)
    adversarial = run(attack, Defence(classifier()), io["x"][:count], io["y"][:count])
    assert torch.equal(classifier()(adversarial).argmax(1), io["paperA_autoattack_pred"])
    length = distance(adversarial - io["x"][:count], "L2")
    close(length, io["paperA_autoattack_l2"], depth=GRADIENT)


def emulation(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The benchmark's loop with the golden settings; a deterministic classifier needs one draw."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    official = importlib.import_module("emulation.official")
    _, config = stored()
    c = config["classifier"]["cw"]
    values = CarliniWagnerValues(*(c[key] for key in ("c", "kappa", "steps", "lr", "n_restarts")), window=16)
    task = types.SimpleNamespace(start=0.5, noise=0.0625, carlini_wagner=values)
    monkeypatch.setattr(official, "DRAWS", 1)
    monkeypatch.setattr(official, "TASK", task)
    return official


def test_the_emulation_repeats_the_stored_carlini_wagner(monkeypatch: pytest.MonkeyPatch) -> None:
    official = emulation(monkeypatch)
    io, _ = stored()
    caps, found = official.Caps(carlini_wagner=64, restarts=2), []
    for j in range(8):
        loop = official.Official(Defence(classifier()), caps, torch.Generator().manual_seed(10_000 + j))
        image = loop.carlini_wagner(io["x"][j : j + 1], int(io["y"][j]))
        found.append(0.0 if image is None else float((image - io["x"][j]).norm()))
    alike(torch.tensor(found), io, 8)


def test_the_emulation_repeats_the_stored_autoattack(monkeypatch: pytest.MonkeyPatch) -> None:
    official = emulation(monkeypatch)
    io, _ = stored()
    caps = official.Caps(apgd=64, fab=64)
    for j in range(2):
        loop = official.Official(Defence(classifier()), caps, torch.Generator().manual_seed(10_000 + j))
        image = loop.autoattack(io["x"][j : j + 1], int(io["y"][j]))
        assert float((image - io["x"][j]).norm()) == pytest.approx(float(io["paperA_autoattack_l2"][j]), rel=SMOOTH)
