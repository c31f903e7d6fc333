"""Where a value comes from: default < budget < file < environment < command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlvgm.errors import ConfigError
from mlvgm_robust.purify.resolve import collect

ENVIRON = {"MLVGM_SET_VOTES": "3", "MLVGM_SET_SEED": "3"}


def test_later_layers_win_and_say_where_a_value_is_from(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("votes: 2\nseed: 2\nblock: 2\neot: 2\n")
    chosen = collect(
        assignments=["block=5"], flags={"seed": 4, "eot": None}, file=tmp_path / "run.yaml", environ=ENVIRON
    )
    assert {key: (setting.value, setting.source) for key, setting in chosen.items()} == {
        "votes": (3, "$MLVGM_SET_VOTES"),
        "seed": (4, "--seed"),
        "block": (5, "--set"),
        "eot": (2, str(tmp_path / "run.yaml")),
    }


@pytest.mark.parametrize(
    ("flags", "assignment"),
    [
        ({"limit": 4}, "limit=8"),
        ({"attack.name": ["fgsm"]}, "attack=pgd"),
        ({"attack.name": ["fgsm", "pgd"]}, "attack.name=fgsm"),
        ({"data.name": "shapes"}, "data.name=fashion-mnist"),
    ],
)
def test_the_command_line_must_not_contradict_itself(flags: dict[str, object], assignment: str) -> None:
    with pytest.raises(ConfigError, match="contradict each other"):
        collect(assignments=[assignment], flags=flags, file=None, environ={})


def test_saying_the_same_twice_is_no_contradiction() -> None:
    flags = {"limit": 4, "attack.name": ["fgsm"], "seed": None}
    chosen = collect(
        assignments=["limit=4", "attack=fgsm", "seed=1", "seed=1"], flags=flags, file=None, environ=ENVIRON
    )
    assert {key: setting.value for key, setting in chosen.items()} == {
        "limit": 4,
        "attack.name": "fgsm",
        "seed": 1,
        "votes": 3,
    }
