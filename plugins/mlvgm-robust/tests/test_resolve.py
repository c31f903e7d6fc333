"""Where the values of a configuration come from: a budget over defaults, and what the user says over a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlvgm.configuration.config import ResolvedConfig
from mlvgm.configuration.settings import Setting
from mlvgm.plugins.load import component, config_class
from mlvgm_robust.purify.config import PurifyConfig
from mlvgm_robust.purify.resolve import collect, resolve, with_default_encoder

for plugin in ("mlvgm_robust", "mlvgm_vision", "mlvgm_nvae"):
    pytest.importorskip(plugin)

BUDGETS = ("demo", "standard", "rigorous")
RUN = {
    "demo": {"limit": 64, "eot": 4, "selection": 16, "score": 20, "votes": 8},
    "standard": {"limit": 256, "eot": 8, "selection": 32, "score": 32, "votes": 16},
    "rigorous": {"limit": 1000, "eot": 20, "selection": 64, "score": 64, "votes": 32},
}
APGD = {"demo": (20, 1), "standard": (100, 1), "rigorous": (200, 5)}


def chosen(*assignments: str, **flags: Any) -> ResolvedConfig[PurifyConfig]:
    given = {"purifier.name": "none", "attack.name": "apgd-ce"} | flags
    settings = collect(assignments=["compare=false", *assignments], flags=given, file=None, environ={})
    return resolve(settings, threads=1)


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_budget_sets_what_the_user_does_not(budget: str) -> None:
    resolved = chosen(budget=budget)
    for key, value in RUN[budget].items():
        assert getattr(resolved.config, key) == value, key
        assert resolved.sources[key] == f"budget {budget}"
    options = resolved.config.attacks[0].attack.options
    assert (options["iterations"], options["restarts"]) == APGD[budget]
    assert resolved.sources["attacks.0.attack.iterations"] == f"budget {budget}"
    # What no budget sets is the component's own default, and says so.
    assert options["norm"] == config_class(component("attacks", "apgd-ce")).model_fields["norm"].default
    assert resolved.sources["attacks.0.attack.norm"] == "default"


def test_without_a_budget_it_is_the_demonstration() -> None:
    assert chosen().config == chosen(budget="demo").config
    assert {chosen(budget=budget).config.attacks[0].attack.options["iterations"] for budget in BUDGETS} == {
        20,
        100,
        200,
    }


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("key", [*RUN["demo"]])
def test_what_the_user_says_of_a_run_is_not_overridden(budget: str, key: str) -> None:
    resolved = chosen(f"{key}=77", budget=budget)
    assert getattr(resolved.config, key) == 77 and resolved.sources[key] == "--set"
    for other, value in RUN[budget].items():
        assert other == key or getattr(resolved.config, other) == value


@pytest.mark.parametrize("budget", BUDGETS)
def test_what_the_user_says_of_a_component_is_not_overridden(budget: str) -> None:
    resolved = chosen("attack.iterations=7", budget=budget)
    options = resolved.config.attacks[0].attack.options
    assert (options["iterations"], options["restarts"]) == (7, APGD[budget][1])
    assert resolved.sources["attacks.0.attack.iterations"] == "--set"


@pytest.mark.parametrize("budget", BUDGETS)
def test_listed_attacks_and_rows_follow_the_budget_too(budget: str) -> None:
    listed = {
        "attacks": Setting([{"label": "a", "attack": "apgd-ce"}, {"label": "b", "attack": {"name": "square"}}], "f"),
        "rows": Setting([{"label": "r", "purifier": "none"}], "f"),
        "budget": Setting(budget, "f"),
    }
    config = resolve(listed, threads=1).config
    assert config.attacks[0].attack.options["iterations"] == APGD[budget][0]
    assert config.attacks[1].attack.options["queries"] == {"demo": 100, "standard": 5000, "rigorous": 10000}[budget]
    listed["attacks"] = Setting([{"label": "a", "attack": {"name": "apgd-ce", "iterations": 3}}], "f")
    assert resolve(listed, threads=1).config.attacks[0].attack.options["iterations"] == 3


@pytest.mark.parametrize("budget", BUDGETS)
def test_an_encoder_found_missing_follows_the_budget(budget: str) -> None:
    resolved = with_default_encoder(chosen(budget=budget, **{"purifier.name": "mlvgm", "generator.name": "nvae"}), (0,))
    encoder = resolved.config.rows[0].encoder
    assert encoder is not None and encoder.options["steps"] == {"demo": 100, "standard": 200, "rigorous": 500}[budget]
    assert resolved.sources["rows.0.encoder.steps"] == "the generator has no encoder"


def test_layers_win_in_their_order(tmp_path: Path) -> None:
    """File under environment under flags and ``--set``."""
    file = tmp_path / "run.yaml"
    file.write_text("votes: 1\neot: 1\nselection: 2\nseed: 1\nattack:\n  iterations: 1\n")
    environ = {"MLVGM_SET_EOT": "2", "MLVGM_SET_SELECTION": "3", "MLVGM_SET_SEED": "2"}
    settings = collect(
        assignments=["selection=5", "compare=false"],
        flags={"seed": 4, "purifier.name": "none", "attack.name": "apgd-ce"},
        file=file,
        environ=environ,
    )
    config = resolve(settings, threads=1).config
    assert (config.votes, config.eot, config.seed, config.selection) == (1, 2, 4, 5)
    assert config.attacks[0].attack.options["iterations"] == 1


def test_every_value_has_a_source_and_the_presets_are_options() -> None:
    resolved = chosen()
    dumped = resolved.config.model_dump(exclude={"rows", "attacks", "data", "classifier"})
    assert set(dumped) <= set(resolved.sources)
    for preset in PurifyConfig.BUDGETS.values():
        assert set(preset) <= set(PurifyConfig.model_fields)


@pytest.mark.parametrize("radii", [[0.5], [0.5, 1, 2]])
def test_radii_make_one_attack_each(radii: list[float]) -> None:
    config = chosen(f"radii={radii}", **{"attack.name": ["apgd-ce", "fmn"]}).config
    balls = [(row.label, row.attack.options.get("eps")) for row in config.attacks]
    assert balls == [*((f"apgd-ce, eps {eps}", eps) for eps in radii), ("fmn", None)]
