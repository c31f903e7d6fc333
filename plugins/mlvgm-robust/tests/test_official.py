"""The adapter around the original AutoAttack: limits, side effects, absence."""

from __future__ import annotations

import sys

import pytest
import torch
from golden_classifier import classifier, run, stored

from mlvgm.errors import ConfigError, InputError
from mlvgm_robust.attacks.autoattack import AutoAttackConfig, build
from mlvgm_robust.attacks.official import OfficialAutoAttack
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.noise import AddNoise


def test_without_the_package_one_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(ConfigError, match=r"pip install 'mlvgm-robust\[autoattack\]'"):
        build(AutoAttackConfig(version="official"))


def test_options_without_meaning_are_refused() -> None:
    pytest.importorskip("pyautoattack")
    with pytest.raises(ConfigError, match="parts"):
        build(AutoAttackConfig(version="official", parts=("square",)))
    with pytest.raises(ConfigError, match="1e-6"):
        build(AutoAttackConfig(version="official", eps=0))


def test_fewer_than_four_classes_and_wanted_classes_are_refused() -> None:
    pytest.importorskip("pyautoattack")
    io, _ = stored()
    x, y = io["x"][:2], io["y"][:2]
    with pytest.raises(ConfigError, match="needs 4 classes"):
        run(OfficialAutoAttack(), Defence(classifier(classes=3)), x, y)
    with pytest.raises(InputError, match="aim"):
        run(OfficialAutoAttack(), Defence(classifier()), x, y, targets=y)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_five_classes_run_and_nothing_global_changes(noise: float) -> None:
    pytest.importorskip("pyautoattack")
    io, _ = stored()
    defence = Defence(classifier(classes=5), AddNoise(noise))
    x = io["x"][:6]
    y = Defence(classifier(classes=5))(x).argmax(1)
    attack = build(AutoAttackConfig(version="official", eps=0.5, iterations=10, queries=20, classes=9))
    state, trace = torch.random.get_rng_state(), sys.gettrace()

    def tracer(frame: object, event: str, argument: object) -> None:
        return None

    sys.settrace(tracer)
    try:
        adversarial = run(attack, defence, x, y, eot=2, selection=16)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(trace)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (adversarial - x).flatten(1).norm(dim=1).max() <= 0.5 + 1e-5
