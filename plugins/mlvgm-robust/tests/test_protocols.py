"""Protocols: a layer below the user's settings, recorded, and without effect on units of runs that have none."""

from __future__ import annotations

import pytest

from mlvgm.configuration.settings import Setting
from mlvgm.errors import ConfigError
from mlvgm_robust.audit.evaluation import evaluation_of
from mlvgm_robust.purify.config import PurifyConfig, checked
from mlvgm_robust.purify.inputs import unit_configurations
from mlvgm_robust.purify.presets import PROTOCOLS, with_protocol


def settings(**values: object) -> dict[str, Setting]:
    return {key.replace("__", "."): Setting(value, "--set") for key, value in values.items()}


def config(**values: object) -> PurifyConfig:
    named = {"name": "x"}
    return checked(
        {
            "threads": 1,
            "data": named,
            "classifier": named,
            "attacks": [{"label": "a", "attack": named}],
            "rows": [{"label": "r", "purifier": named}],
            **values,
        }
    )


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_user_is_above_the_protocol(name: str) -> None:
    found = with_protocol(settings(protocol=name, votes=3, attack__name="mine"))
    assert found["votes"].value == 3
    assert found["attack.name"].value == "mine"
    layer = {key for key in PROTOCOLS[name] if key not in ("votes", "attack.name")}
    assert all(found[key] == Setting(PROTOCOLS[name][key], f"protocol {name}") for key in layer)


def test_a_list_of_attacks_stands_alone() -> None:
    found = with_protocol(settings(protocol="published", attacks=[]))
    assert "attack.name" not in found
    assert found["clamp"].value == "none"


def test_without_a_protocol_nothing_changes() -> None:
    given = settings(votes=3)
    assert with_protocol(given) is given


def test_slips() -> None:
    with pytest.raises(ConfigError, match="unknown protocol 'publisht'"):
        with_protocol(settings(protocol="publisht"))
    with pytest.raises(ConfigError, match="of budget 'rigorous', came 'demo'"):
        with_protocol(settings(protocol="rigorous", budget="demo"))
    assert with_protocol(settings(protocol="published", budget="demo"))["budget"].value == "demo"


def test_units_depend_on_the_clamp_and_not_on_the_protocols_name() -> None:
    plain = unit_configurations(config())
    assert plain == unit_configurations(config(clamp="hard", protocol="smoke"))
    assert plain != unit_configurations(config(clamp="none"))


def test_a_first_row_that_nothing_attacks() -> None:
    rows = [{"label": label, "purifier": {"name": "x"}} for label in ("first", "second")]
    attacks = [{"label": "a", "attack": {"name": "x"}, "rows": ["second"]}]
    with pytest.raises(ConfigError, match="'first', which nothing attacks"):
        config(rows=rows, attacks=attacks, fail_under=0.5)
    assert [row.label for row in evaluation_of(config(rows=rows, attacks=attacks)).config.rows] == ["second"]
