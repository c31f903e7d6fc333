"""Defences of the zoo: no flawed one is believed, no honest one refused; one of each kind is caught in seconds."""

from __future__ import annotations

import pytest
import torch
from zoo.run import FLAWED, HONEST, judge, names, told

from mlvgm.configuration.settings import Setting
from mlvgm.errors import InputError
from mlvgm.plugins.load import build
from mlvgm_robust.audit.evaluation import audit_config, build_subject

QUICK = {"attack.iterations": 6, "votes": 2}
CAUGHT = {
    "gradients.DetachedWithLeak": "gradient.path",
    "gradients.DeadBlack": "gradient.path",
    "gradients.OnlyInDouble": "gradient.path",
    "gradients.OnlyCleanImages": "gradient.path",
    "gradients.Exploding": "gradient.path",
    "randomness.QuietUnderGradients": "leak.context",
    "leaks.SeesGradients": "leak.context",
    "leaks.TiresOfGradients": "leak.history",
    "leaks.AdaptsToAttacks": "leak.history",
    "leaks.RemembersNearby": "leak.images",
    "outputs.Clipped": "gradient.path",
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", CAUGHT)
def test_one_of_each_kind_is_caught_by_the_check_for_it(name: str) -> None:
    verdict = judge(name, budget="demo", images=24, only=[CAUGHT[name]], settings=QUICK)
    assert [(each.check, each.status) for each in verdict.findings] == [(CAUGHT[name], "fail")]


def test_noise_that_cannot_be_repeated_costs_the_verdict() -> None:
    verdict = judge("randomness.PrivateGenerator", budget="demo", images=8, only=["gradient", "leak"], settings=QUICK)
    assert verdict.believable is None
    assert "gradient.path, leak.history could not test it: the module's noise comes from no global" in verdict.sentence


@pytest.mark.parametrize("name", ["honest.Undefended", "honest.Trained", "honest.Weak"])
def test_honest_ones_pass_the_checks_that_catch_the_others(name: str) -> None:
    checks = sorted({*CAUGHT.values()} - {"leak.images"})
    verdict = judge(name, budget="demo", images=12, only=checks, settings=QUICK)
    assert {each.check: each.status for each in verdict.findings} == dict.fromkeys(checks, "pass")


def test_a_subject_has_others_to_compare_with() -> None:
    """Only the sample of 2,000 test images: the last are not in the evaluation, and the default classifier is easy."""
    options = {"limit": Setting(8, "test"), "data.source": Setting("sample", "test")}
    for target in ("zoo.honest:Trained", None):
        chosen = options if target else {**options, "purifier.name": Setting("none", "test")}
        subject, _ = build_subject(audit_config(chosen, target=target, threads=1), target=target, classifier=False)
        images, labels = build("datasets", "fashion-mnist", {"source": "sample"}).batch("test", range(1992, 2000))
        assert subject.reserve is not None and torch.equal(subject.reserve[0], images)
        assert torch.equal(subject.reserve[1], labels)
        assert subject.reference is not None and subject.reference.classes == 10
        assert subject.pristine is not None and subject.pristine() is not subject.defence
        assert torch.equal(subject.pristine()(images).argmax(1), subject.defence(images).argmax(1))


def test_the_zoo_is_large_and_says_what_is_wrong() -> None:
    flawed, honest = [name for kind in FLAWED for name in names(kind)], names(HONEST)
    assert len(flawed) >= 50 and len(honest) >= 12
    assert all(len(told(name)) > 15 for name in (*flawed, *honest))
    assert {name.split(".")[0] for name in CAUGHT} == set(FLAWED)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for kind in FLAWED for name in names(kind)])
def test_no_flawed_defence_is_believed(name: str) -> None:
    try:
        verdict = judge(name, images=64, whole=False)
    except InputError:  # refused before anything is attacked
        return
    assert verdict.believable is not True, verdict.sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", names(HONEST))
def test_no_honest_defence_is_refused(name: str) -> None:
    verdict = judge(name, images=64)
    assert verdict.believable is not False, verdict.sentence
