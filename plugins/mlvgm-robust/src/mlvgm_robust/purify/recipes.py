"""Defences that nobody has to spell out: recipes of generators, and the baselines they are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from mlvgm.configuration.settings import Setting, Settings, part
from mlvgm.plugins.descriptors import Recipe
from mlvgm.plugins.load import Resolved, component
from mlvgm_robust.purify.config import COMPONENTS, DEFAULT_NAMES

OF_ROWS = ("generator", "encoder", "purifier")
BASELINES = (
    Recipe("undefended", {"purifier.name": "none"}),
    Recipe("noise only", {"purifier.name": "noise"}, note="Gaussian noise before the classifier"),
    Recipe("blur only", {"purifier.name": "blur"}, note="Gaussian blur before the classifier"),
)


def resolved_component(name: str, settings: Mapping[str, Setting]) -> Resolved:
    """The plugin that ``settings`` (those below ``name.``) name."""
    chosen = settings.get("name", Setting(DEFAULT_NAMES[name], "default"))
    return component(COMPONENTS[name], str(chosen.value))


def recipe_settings(settings: Settings) -> dict[str, Setting]:
    """Settings of the first row's own components: the default recipe under the user's own."""
    user = {key: value for key, value in settings.items() if key.split(".")[0] in OF_ROWS}
    if _other_purifier(user):  # recipes are ways of using the mlvgm purifier
        return user
    return {key: Setting(value, "recipe") for key, value in _recipes(user)[0].options.items()} | user


def _recipes(settings: Settings) -> tuple[Recipe, ...]:
    return resolved_component("generator", part(settings, "generator")).component.recipes.get("purify") or (
        Recipe("mlvgm", {}),
        Recipe("α = 0", {"purifier.alphas": "none"}),
    )


def _other_purifier(settings: Settings) -> str | None:
    name = str(settings["purifier.name"].value) if "purifier.name" in settings else DEFAULT_NAMES["purifier"]
    return None if name == DEFAULT_NAMES["purifier"] else name


def defences(settings: Settings, *, compare: bool) -> list[tuple[Recipe, Settings]]:
    """The recipe and the own settings of each defence, the one asked for first.

    Args:
        settings: of the run.
        compare: baselines and the generator's other recipes come after it. The generator's options that the user set
            hold in each of them.
    """
    first = recipe_settings(settings)
    other = _other_purifier(first)
    default, *others = (Recipe(other, {}),) if other else _recipes(first)
    rows: list[tuple[Recipe, Settings]] = [(default, first)]
    if compare:
        chosen = {key: value for key, value in settings.items() if key.startswith("generator.")}
        rows += [(base, _under(base)) for base in BASELINES if base.options["purifier.name"] != other]
        rows += [(recipe, first | _under(recipe) | chosen) for recipe in others]
    return rows


def named(recipe: Recipe, row: Settings) -> tuple[str, str]:
    """Label and note of a defence, true of what it resolved to.

    The recipe's own stand while all its options do; otherwise the label is the purifier and what the recipe's options
    became. Weights are named wherever a generator ships several or the user brings some.

    Args:
        recipe: the row comes from.
        row: every option of the row.
    """
    became = {key: row[key].value for key in recipe.options if key in row}
    stands = all(became.get(key, wanted) == wanted for key, wanted in recipe.options.items())
    said = [
        f"{key.rpartition('.')[2]} {_short(value)}"
        for key, value in became.items()
        if key.startswith("purifier.") or (value != recipe.options[key] and key != "generator.weights")
    ]
    label = recipe.label if stands else ", ".join([str(row["purifier.name"].value), *said])
    return label + _weights(row), recipe.note if stands else ""


def _weights(row: Settings) -> str:
    if "generator.weights" not in row or row["generator.weights"].value is None:
        return ""
    name = str(row["generator.weights"].value)
    shipped = [weights.name for weights in resolved_component("generator", part(row, "generator")).component.weights]
    return "" if shipped == [name] else f" ({PurePath(name).stem} weights)"


def _short(value: object) -> str:
    return "given" if isinstance(value, list | tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def _under(recipe: Recipe) -> dict[str, Setting]:
    return {key: Setting(value, "recipe") for key, value in recipe.options.items()}
