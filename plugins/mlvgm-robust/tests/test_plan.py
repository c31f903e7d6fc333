"""The plan says who the attacker is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from mlvgm.latents import ImageSpec
from mlvgm.protocols.data import DataInfo
from mlvgm_robust.purify.config import PurifyConfig
from mlvgm_robust.purify.plan import purify_plan, small_print
from mlvgm_robust.purify.resolve import collect, resolve

pytest.importorskip("mlvgm_robust")
pytest.importorskip("mlvgm_vision")


def chosen(**flags: Any) -> PurifyConfig:
    """A run with Gaussian noise as the purifier, and these settings."""
    flags = {"purifier.name": "noise", "compare": False} | flags
    return resolve(collect(assignments=(), flags=flags, file=None, environ={}), threads=1).config


def of_generator(assignments: list[str]) -> PurifyConfig:
    """A run with the NVAE and these options."""
    flags = {"generator.name": "nvae", "attack.name": "apgd-ce"}
    return resolve(collect(assignments=assignments, flags=flags, file=None, environ={}), threads=1).config


def planned(config: PurifyConfig, *, images: int) -> dict[str, str]:
    data = DataInfo(name="toy", image=ImageSpec(1, 32, 32), label_names=("a", "b"), licence="MIT", source="here")
    return purify_plan(config, data=data, images=images)


@pytest.mark.parametrize(
    ("attack", "box", "path"), [("apgd-ce", "white box, L2 distance ≤ 1.0", "exact"), ("square", "black box", "none:")]
)
def test_the_attackers_access(attack: str, box: str, path: str) -> None:
    plan = planned(chosen(**{"attack.name": attack}), images=4)
    assert plan["threat model"].startswith(box) and plan["gradient path"].startswith(path)


def test_the_strong_version_is_of_the_same_threat() -> None:
    given = {"attack.name": "square", "attack.norm": "Linf", "attack.eps": 0.1}
    text = small_print(chosen(**given), 64)
    for said in ("--attack square", "attack.norm=Linf", "attack.eps=0.1", "--budget rigorous"):
        assert said in text
    strong = chosen(budget="rigorous", **given)
    assert "strong version" not in small_print(strong, 64) and small_print(strong, 1000) == ""


def test_the_strong_version_is_of_the_same_defence() -> None:
    text = small_print(chosen(**{"attack.name": "square"}), 64)
    assert "--purifier noise" in text and "--generator" not in text


@pytest.mark.parametrize(
    ("assignments", "label", "note"),
    [
        ([], "mlvgm (denoising weights)", "step beyond"),
        (["generator.weights=clean"], "mlvgm, noise 8, alphas keep:6 (clean weights)", ""),
        (["purifier.alphas=cosine"], "mlvgm, noise 8, alphas cosine (denoising weights)", "step beyond"),
        (["generator.weights=mine/own.pt"], "mlvgm, noise 8, alphas keep:6 (own weights)", ""),
    ],
)
def test_rows_are_named_after_what_they_resolve_to(assignments: list[str], label: str, note: str) -> None:
    config = of_generator(assignments)
    weights = {row.label: row.generator.options["weights"] for row in config.rows if row.generator}
    assert config.rows[0].label == label
    for said, used in weights.items():
        assert f"({Path(used).stem} weights)" in said
    first, *_ = planned(config, images=4)["defences"].splitlines()
    assert first.startswith(label) and note in first and ("step beyond" in first) == bool(note)


def test_the_generator_that_the_user_chose_is_in_every_row_of_it() -> None:
    rows = of_generator(["generator.weights=clean", "generator.temperature=0.9"]).rows
    options = [row.generator.options for row in rows if row.generator]
    assert len(options) == 3 and all((one["weights"], one["temperature"]) == ("clean", 0.9) for one in options)
    # The paper's recipe is of another temperature: its name would not be true.
    assert rows[-1].label == "mlvgm, temperature 0.9, noise 0, alphas cosine (clean weights)"


def test_no_defence_is_compared_with_itself() -> None:
    rows = of_generator(["purifier.alphas=none"]).rows
    assert [row.label for row in rows if row.generator][1:] == ["paper: cosine (clean weights)"]


@pytest.mark.parametrize(
    "assignments",
    [
        ["generator.weights=clean"],
        ["purifier.alphas=[0, 0, 0, 0, 0, 0.5, 0.5, 1]", "purifier.noise=3", "seed=4", "votes=5"],
        ["compare=false", "classifier.weights=trades", "attack.norm=Linf", "attack.eps=0.1"],
        ["radii=[0.5, 1]"],
    ],
)
def test_the_strong_version_is_the_runs_own_command_at_another_budget(assignments: list[str]) -> None:
    config = of_generator(assignments)
    words = shlex.split(small_print(config, 64).partition("mlvgm run purify ")[2])
    pairs = list(zip(words[::2], words[1::2], strict=True))
    given = [value for option, value in pairs if option == "--set"]
    flags = {option.removeprefix("--"): value for option, value in pairs if option != "--set"}
    strong = resolve(collect(assignments=given, flags=flags, file=None, environ={}), threads=1).config
    assert strong.budget == "rigorous" and strong.limit == 1000
    assert (strong.rows, strong.classifier, strong.seed) == (config.rows, config.classifier, config.seed)
    for name in ("norm", "eps"):
        assert [row.attack.options[name] for row in strong.attacks] == [a.attack.options[name] for a in config.attacks]
    assert strong.votes == (5 if "votes=5" in assignments else 32)


def test_what_no_command_line_spells_out_is_no_command() -> None:
    config = chosen(
        rows=[{"label": "a", "purifier": "none"}, {"label": "b", "purifier": "blur"}], **{"purifier.name": None}
    )
    assert "mlvgm run purify" not in small_print(config, 64) and "configuration file" in small_print(config, 64)


@pytest.mark.parametrize("attacks", [["fgsm"], ["torchattacks:FGSM"], ["published-deepfool"]])
def test_the_strong_version_of_what_no_budget_makes_stronger_is_another_attack(attacks: list[str]) -> None:
    text = small_print(chosen(**{"attack.name": attacks}), 64)
    assert "--attack autoattack" in text and f"--attack {attacks[0]}" not in text
    assert "--budget rigorous" in text


def test_attacks_of_which_one_grows_with_the_budget_are_kept() -> None:
    text = small_print(chosen(**{"attack.name": ["fgsm", "apgd-ce"]}), 64)
    assert "--attack fgsm --attack apgd-ce" in text and "autoattack" not in text


@pytest.mark.parametrize("budget", ["demo", "rigorous"])
def test_the_strong_version_of_the_published_protocol_is_the_rigorous_one(budget: str) -> None:
    config = chosen(protocol="published", budget=budget)
    text = small_print(config, 1000)
    assert "the published protocol" in text and f"{budget} budget" not in text
    assert text.endswith("--protocol rigorous") and "--attack" not in text and "--purifier noise" in text
    assert planned(config, images=4)["budget"].startswith("published: ")


def test_what_several_attacks_are_on_is_said_once() -> None:
    rows = [{"label": f"row {number}", "purifier": "none"} for number in range(4)]
    few = {"rows": ["row 1", "row 3"], "limit": 2}
    attacks = [{"label": "a", "attack": "apgd-ce"}]
    attacks += [{"label": name, "attack": name} | few for name in ("fgsm", "pgd", "square")]
    attacks += [{"label": "b", "attack": {"name": "apgd-ce", "eps": 0.5}} | few]
    config = chosen(rows=rows, attacks=attacks, **{"purifier.name": None})
    first, second = planned(config, images=4)["attacks"].splitlines()
    assert first.startswith("apgd-ce: ")
    assert second.startswith("on the first 2 images of 2 defences (row 1; row 3): fgsm: ")
    assert second.count("row 1") == 1
    assert all(second.count(f"{name}: ") == 1 for name in ("fgsm", "pgd", "square", "apgd-ce"))


def test_a_limit_that_the_run_does_not_reach_has_no_effect_and_says_so() -> None:
    attacks = [{"label": "a", "attack": "fgsm", "limit": 64}]
    said = planned(chosen(attacks=attacks, limit=16), images=16)["attack"]
    assert said.startswith("on the first 64 images (the limit has no effect: the run has 16): fgsm: ")
    assert "no effect" not in planned(chosen(attacks=attacks, limit=64), images=64)["attack"]
