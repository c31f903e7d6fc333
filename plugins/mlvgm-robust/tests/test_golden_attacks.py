"""Against the stored results of the original attacks, and against the original's code, on one trained classifier."""

from __future__ import annotations

import pytest
import torch
from golden_classifier import classifier, run, stored

from mlvgm.protocols.attack import Attack
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.apgd_dlr import ApgdDlr
from mlvgm_robust.attacks.apgd_t import ApgdT
from mlvgm_robust.attacks.autoattack import AutoAttack
from mlvgm_robust.attacks.fab_t import FabT
from mlvgm_robust.attacks.geometry import distance
from mlvgm_robust.attacks.official import OfficialAutoAttack
from mlvgm_robust.attacks.square import Square
from mlvgm_robust.evaluation.defence import Defence

pytestmark = pytest.mark.numerical
RADII = {"Linf": 0.025, "L2": 0.55}


@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize(("name", "kind"), [("apgd-ce", ApgdCe), ("apgd-dlr", ApgdDlr), ("apgd-t", ApgdT)])
def test_apgd_breaks_whatever_the_original_breaks(name: str, kind: type, norm: str) -> None:
    io, config = stored()
    defence = Defence(classifier())
    adversarial = run(kind(norm, RADII[norm]), defence, io["x"], io["y"])
    broken = defence(adversarial).argmax(1) != io["y"]
    # No image is let pass: with other seeds there are as many or more, too.
    assert int((~broken).sum()) <= 32 * config["results"][f"{norm}_{name}_robust_acc"]
    assert broken[io[f"{norm}_{name}_success"]].all()


@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize("count", [12, pytest.param(32, marks=pytest.mark.slow)])
def test_fab_finds_the_same_norms(count: int, norm: str) -> None:
    io, _ = stored()
    x, y, theirs = io["x"][:count], io["y"][:count], io[f"{norm}_fab-t_success"][:count]
    defence = Defence(classifier())
    adversarial = run(FabT(norm, RADII[norm]), defence, x, y)
    broken = defence(adversarial).argmax(1) != y
    assert broken[theirs].all()
    stored_norms = io[f"{norm}_fab-t_norms"][:count]
    assert (distance(adversarial - x, norm) / stored_norms - 1)[theirs].abs().max() < 1e-2


@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize("count", [12, pytest.param(32, marks=pytest.mark.slow)])
def test_square_reaches_what_the_original_reaches(count: int, norm: str) -> None:
    io, _ = stored()
    x, y, theirs = io["x"][:count], io["y"][:count], io[f"{norm}_square_success"][:count]
    defence = Defence(classifier())
    broken = defence(run(Square(norm, RADII[norm], queries=2000), defence, x, y)).argmax(1) != y
    # In Linf the original's windows never touch the last row and column, so ours breaks a few more with every seed. In
    # L2 it depends on the seed of this random search whether one of the 32 images is found.
    assert int((theirs & ~broken).sum()) <= (0 if norm == "Linf" else 1)


@pytest.mark.parametrize("norm", RADII)
def test_large_logits_defeat_cross_entropy_and_not_the_sequence(norm: str) -> None:
    io, config = stored()
    defence = Defence(classifier(scale=config["logit_scale_for_scaled100"]))
    results = config["results"][f"{norm}_scaled100_after"]
    robust = {
        name: int((defence(run(attack, defence, io["x"], io["y"])).argmax(1) == io["y"]).sum())
        for name, attack in (
            ("apgd-ce", ApgdCe(norm, RADII[norm])),
            ("apgd-t", AutoAttack(norm, RADII[norm], parts=("apgd-ce", "apgd-t"))),
        )
    }
    assert 2 * robust["apgd-t"] < robust["apgd-ce"]
    assert all(robust[name] <= 32 * results[name] for name in robust)


def broken_by(attack: Attack, count: int) -> torch.Tensor:
    io, _ = stored()
    defence = Defence(classifier())
    adversarial = run(attack, defence, io["x"][:count], io["y"][:count])
    assert (distance(adversarial - io["x"][:count], attack.info.norm) <= attack.info.eps + 1e-6).all()
    return defence(adversarial).argmax(1) != io["y"][:count]


@pytest.mark.parametrize("norm", RADII)
def test_parity_with_the_original_at_a_small_budget(norm: str) -> None:
    pytest.importorskip("pyautoattack")
    budget = {"iterations": 40, "classes": 2, "queries": 100}
    native = broken_by(AutoAttack(norm, RADII[norm], **budget), 20)
    official = broken_by(OfficialAutoAttack(norm, RADII[norm], suite="standard", **budget), 20)
    assert native[official].all()


@pytest.mark.slow
@pytest.mark.parametrize("norm", RADII)
def test_parity_with_the_original_at_its_own_budget(norm: str) -> None:
    pytest.importorskip("pyautoattack")
    _, config = stored()
    native = broken_by(AutoAttack(norm, RADII[norm]), 32)
    official = broken_by(OfficialAutoAttack(norm, RADII[norm], suite="standard"), 32)
    assert native[official].all()
    assert int((~native).sum()) <= 32 * config["results"][f"{norm}_standard_robust_acc"]
