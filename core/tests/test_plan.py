"""The plan says who the attacker is."""

from __future__ import annotations

import pytest

from mlvgm.runs.plan import purify_plan, small_print
from mlvgm.runs.resolve import collect, resolve

pytest.importorskip("mlvgm_robust")
pytest.importorskip("mlvgm_vision")


@pytest.mark.parametrize(
    ("attack", "box", "path"), [("apgd-ce", "white box, L2 distance ≤ 1.0", "exact"), ("square", "black box", "none:")]
)
def test_the_attackers_access(attack: str, box: str, path: str) -> None:
    from mlvgm.latents import ImageSpec
    from mlvgm.protocols.data import DataInfo

    flags = {"attack.name": attack, "purifier.name": "noise"}
    config = resolve(collect(assignments=(), flags=flags, file=None, environ={}), threads=1).config
    data = DataInfo(name="toy", image=ImageSpec(1, 32, 32), label_names=("a", "b"), licence="MIT", source="here")
    plan = purify_plan(config, data=data, images=4)
    assert plan["threat model"].startswith(box) and plan["gradient path"].startswith(path)


def test_the_strong_version_is_of_the_same_threat() -> None:
    flags = {"attack.name": "square", "purifier.name": "noise"}
    chosen = collect(assignments=["attack.norm=Linf", "attack.eps=0.1"], flags=flags, file=None, environ={})
    text = small_print(resolve(chosen, threads=1).config, 64)
    for said in ("--attack square", "attack.norm=Linf", "attack.eps=0.1", "--budget rigorous"):
        assert said in text
    strong = resolve(
        chosen | collect(assignments=["budget=rigorous"], flags={}, file=None, environ={}), threads=1
    ).config
    assert "strong version" not in small_print(strong, 64) and small_print(strong, 1000) == ""


def test_the_strong_version_is_of_the_same_defence() -> None:
    flags = {"attack.name": "square", "purifier.name": "noise", "compare": False}
    text = small_print(resolve(collect(assignments=(), flags=flags, file=None, environ={}), threads=1).config, 64)
    assert "--purifier noise" in text and "--generator" not in text
