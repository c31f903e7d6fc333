"""Shell completion from the static index: no plugin is imported."""

from __future__ import annotations

from collections.abc import Callable


def kinds(incomplete: str) -> list[str]:
    """Kinds of plugins that begin with ``incomplete``."""
    from mlvgm.plugins.index import Index

    return [kind for kind in Index.installed().kinds if kind.startswith(incomplete)]


def names(kind: str) -> Callable[[str], list[str]]:
    """A Typer ``autocompletion`` for options that take a component of ``kind``."""

    def complete(incomplete: str) -> list[str]:
        from mlvgm.plugins.index import Index

        return [name for name in Index.installed().names(kind) if name.startswith(incomplete)]

    return complete


def components(incomplete: str) -> list[str]:
    """``KIND/NAME`` of every component that begins with ``incomplete``."""
    from mlvgm.plugins.index import Index

    index = Index.installed()
    found = [f"{kind}/{name}" for kind in index.kinds for name in index.names(kind)]
    return [text for text in found if text.startswith(incomplete)]
