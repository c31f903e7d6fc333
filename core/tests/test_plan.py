"""The plan says who the attacker is."""

from __future__ import annotations

import pytest

from mlvgm.runs.plan import purify_plan
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
