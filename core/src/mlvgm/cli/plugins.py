"""``mlvgm plugins``: what is installed, what it offers, whether it works."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlvgm.cli import completion, options
from mlvgm.cli.output import emit_json, print_columns

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mlvgm.plugins.load import Resolved


def register(app: typer.Typer, words: Sequence[str] = ()) -> None:
    """Add the verb to ``app``."""
    plugins = typer.Typer(help="What is installed, what it offers, whether it works.", no_args_is_help=True)
    plugins.command("list")(list_plugins)
    plugins.command("info")(info)
    plugins.command("doctor")(doctor)
    app.add_typer(plugins, name="plugins")


def list_plugins(
    kind: Annotated[str | None, typer.Option(help="Only this kind.", autocompletion=completion.kinds)] = None,
    check: Annotated[bool, typer.Option("--check", help="Import each; exit code 1 if one does not work.")] = False,
    json: options.Json = False,
) -> None:
    """List the installed plugins; imports none of them."""
    from mlvgm.errors import CheckFailed, PluginError, unknown
    from mlvgm.plugins.index import HOOKS, Index

    index = Index.installed()
    if kind is not None and kind not in (*index.kinds, HOOKS):
        raise unknown("kind of plugin", kind, (*index.kinds, HOOKS), error=PluginError)
    entries = index.entries(kind)
    problems = (*index.warnings, *index.duplicates())
    if check:
        from mlvgm.plugins.doctor import check_plugins

        problems = tuple(found for found in check_plugins(index, kind) if found.status == "problem")
    if json:
        emit_json(
            {"plugins": [entry.record() for entry in entries], "problems": [vars(problem) for problem in problems]}
        )
    else:
        rows = [(entry.kind, entry.name, entry.distribution, entry.version) for entry in entries]
        print_columns([("KIND", "NAME", "DISTRIBUTION", "VERSION"), *rows])
        for problem in problems:
            print(f"{problem.status}: {problem.name}: {problem.detail}", file=sys.stderr)
    if check and problems:
        raise CheckFailed(f"{len(problems)} of the checks failed")


def info(
    name: Annotated[str, typer.Argument(metavar="KIND/NAME", autocompletion=completion.components)],
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of its options.")] = False,
    json: options.Json = False,
) -> None:
    """Show what one plugin offers, and its options."""
    from mlvgm.plugins.describe import described
    from mlvgm.plugins.descriptors import Component
    from mlvgm.plugins.index import Index
    from mlvgm.plugins.load import component, config_class
    from mlvgm.plugins.reference import parse

    index = Index.installed()
    kind, reference = _split(name, index.kinds)
    if kind in ("jobs", "commands", "kinds"):
        entry = index.find(kind, parse(reference))
        found = described(entry)
        assert not isinstance(found, Component)
        more = {key: value for key, value in vars(found).items() if key != "api"}
        if json or schema:
            emit_json(entry.record() | more)
        else:
            print_columns([*entry.record().items(), *((key, value) for key, value in more.items() if value)])
        return
    resolved = component(kind, reference, index=index)
    config = config_class(resolved)
    if schema:
        emit_json(_schema(resolved, config))
    elif json:
        emit_json(_describe(resolved, config))
    else:
        _print_description(_describe(resolved, config))


def doctor(json: options.Json = False) -> None:
    """Import every plugin and look at what runs need; exit code 1 on problems."""
    from mlvgm.errors import CheckFailed
    from mlvgm.plugins.doctor import examine
    from mlvgm.plugins.index import Index

    checks = examine(Index.installed())
    problems = sum(check.status == "problem" for check in checks)
    if json:
        emit_json({"ok": problems == 0, "checks": [vars(check) for check in checks]})
    else:
        print_columns([(check.status, check.name, check.detail) for check in checks])
    if problems:
        raise CheckFailed(f"{problems} of {len(checks)} checks found a problem")


def _split(name: str, known: Sequence[str]) -> tuple[str, str]:
    """The kind, in singular or plural, and the rest of ``KIND/NAME``."""
    from mlvgm.errors import PluginError, unknown
    from mlvgm.plugins.index import noun

    given, slash, reference = name.partition("/")
    if not slash:
        raise PluginError(f"expected KIND/NAME, got '{name}'", hint="`mlvgm plugins list` shows all")
    kinds = {kind: kind for kind in known} | {noun(kind): kind for kind in known}
    if given not in kinds:
        raise unknown("kind of plugin", given, known, error=PluginError)
    return kinds[given], reference


def _describe(resolved: Resolved, config: type[BaseModel]) -> dict[str, Any]:
    from dataclasses import asdict
    from importlib.util import find_spec

    from mlvgm.plugins.options import table

    component = resolved.component
    try:
        module = find_spec(component.factory.partition(":")[0])
    except (ImportError, ValueError):  # a package of its that is not there
        module = None
    return {
        **resolved.entry.record(),
        "summary": component.summary,
        "api": ".".join(map(str, component.api)),
        "capabilities": dict(component.capabilities),
        "argument": component.argument,
        "trainer": component.trainer,
        "options": [asdict(option) for option in table(config)],
        "weights": [asdict(weights) for weights in component.weights],
        "recipes": [
            {"job": job, "label": recipe.label, "options": dict(recipe.options), "note": recipe.note}
            for job, recipes in component.recipes.items()
            for recipe in recipes
        ],
        "source": module.origin if module is not None else None,
    }


def _schema(resolved: Resolved, config: type[BaseModel]) -> dict[str, Any]:
    from mlvgm.errors import PluginError
    from mlvgm.foreign.others import guarded

    text = f"plugin {resolved.entry}: {resolved.component.config} has no JSON Schema"
    with guarded(lambda cause: PluginError(f"{text}: {cause}")):
        return config.model_json_schema()


def _print_description(described: dict[str, Any]) -> None:
    from mlvgm.cli.layout import width_of, wrapped
    from mlvgm.plugins.kinds import option_group

    print(*wrapped(f"{described['kind']}/{described['name']}: {described['summary']}", width_of(sys.stdout)), sep="\n")
    provider = f"{described['distribution']} {described['version']}"
    capabilities = ", ".join(f"{name} = {value}" for name, value in described["capabilities"].items())
    rows = [
        ("provider", provider),
        ("protocols", described["api"]),
        ("source", described["source"]),
        ("capabilities", capabilities),
        ("trainer", described["trainer"]),
    ]
    print_columns([(name, value) for name, value in rows if value])
    owner = option_group(described["kind"], described["name"])
    settings = [
        (
            f"{owner}.{option['name']}",
            option["type"],
            option["default"] or "required",
            option["bounds"],
            option["description"],
        )
        for option in described["options"]
    ]
    print()
    print_columns([("OPTION", "TYPE", "DEFAULT", "BOUNDS", "MEANING"), *settings])
    weights = [(weights["name"], weights["licence"], weights["summary"]) for weights in described["weights"]]
    recipes = [(recipe["job"], recipe["label"], recipe["note"]) for recipe in described["recipes"]]
    _print_section("WEIGHTS", weights)
    _print_section("RECIPES", recipes)


def _print_section(heading: str, rows: Sequence[Sequence[str]]) -> None:
    if rows:
        print(f"\n{heading}")
        print_columns(rows)
