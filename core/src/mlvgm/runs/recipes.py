"""Defences that nobody has to spell out: recipes of generators, and the baselines they are compared with."""

from __future__ import annotations

from collections.abc import Mapping

from mlvgm.plugins.descriptors import Recipe
from mlvgm.plugins.load import Resolved, component
from mlvgm.runs.config import COMPONENTS, DEFAULT_NAMES
from mlvgm.runs.settings import Setting, Settings, part

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
    return resolved_component("generator", part(settings, "generator")).component.recipes or (
        Recipe("mlvgm", {}),
        Recipe("α = 0", {"purifier.alphas": "none"}),
    )


def _other_purifier(settings: Settings) -> str | None:
    name = str(settings["purifier.name"].value) if "purifier.name" in settings else DEFAULT_NAMES["purifier"]
    return None if name == DEFAULT_NAMES["purifier"] else name


def defences(settings: Settings, *, compare: bool) -> list[tuple[str, str, Settings]]:
    """Label, note and own settings of each defence, the one asked for first.

    Args:
        settings: of the run.
        compare: baselines and the generator's other recipes, on the same settings, come after it.
    """
    first = recipe_settings(settings)
    other = _other_purifier(first)
    default, *others = (Recipe(other, {}),) if other else _recipes(first)
    rows: list[tuple[str, str, Settings]] = [(default.label, default.note, first)]
    if compare:
        baselines = [baseline for baseline in BASELINES if baseline.options["purifier.name"] != other]
        rows += [(baseline.label, baseline.note, _under(baseline)) for baseline in baselines]
        rows += [(recipe.label, recipe.note, first | _under(recipe)) for recipe in others]
    return rows


def _under(recipe: Recipe) -> dict[str, Setting]:
    return {key: Setting(value, "recipe") for key, value in recipe.options.items()}
