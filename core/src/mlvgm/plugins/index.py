"""Index: what plugins are installed, read from package metadata. Imports none of them.

Duplicates and version conflicts are found here, statically. Two environment variables restrict the index, both comma-
separated lists of distributions: ``MLVGM_PLUGINS`` (only these; empty: none) and ``MLVGM_DISABLE_PLUGINS`` (not these).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mlvgm.errors import PluginError, unknown
from mlvgm.plugins.check import Check
from mlvgm.plugins.entry import Entry, canonical
from mlvgm.plugins.scan import scan

if TYPE_CHECKING:
    from mlvgm.plugins.descriptors import Descriptor
    from mlvgm.plugins.reference import Reference

KINDS = (
    "generators",
    "encoders",
    "purifiers",
    "attacks",
    "estimators",
    "policies",
    "objectives",
    "perturbations",
    "datasets",
    "classifiers",
    "trainers",
    "jobs",
    "commands",
    "kinds",
)
"""Kinds of plugins that core knows; an entry of kind ``kinds`` brings another."""
HOOKS = "hooks"
IN_PROCESS = "in-process"
CORE = "mlvgm-core"
_SIGNS = set("/:?")  # of a reference


class Index:
    """Entries by kind and name; pass it to whoever looks components up.

    Example:
        >>> from mlvgm.plugins.descriptors import Component
        >>> index = Index()
        >>> mine = Component(summary="mine", factory="my_module:build", config="my_module:Config")
        >>> index.add("generators", "mine", mine).qualified
        'in-process/mine'
    """

    def __init__(self, entries: Iterable[Entry] = (), *, warnings: Iterable[Check] = ()) -> None:
        self._entries = list(entries)
        self._warnings = tuple(warnings)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Core's kinds of plugins, then those that plugins bring."""
        return _kinds(self._entries)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """What could not be read, or is of no known kind."""
        return self._warnings

    @classmethod
    def installed(cls, *, environ: Mapping[str, str] = os.environ) -> Index:
        """The plugins of this environment, without those the environment variables switch off."""
        found, unreadable = scan()
        allowed, disabled = (_listed(environ.get(name)) for name in ("MLVGM_PLUGINS", "MLVGM_DISABLE_PLUGINS"))
        absent = {*(allowed or ()), *(disabled or ())} - {canonical(entry.distribution) for entry in found}
        known = (*_kinds(found), HOOKS)
        strange = [entry for entry in found if entry.kind not in known]
        return cls(
            (
                entry
                for entry in found
                if entry not in strange
                and (allowed is None or canonical(entry.distribution) in allowed)
                and canonical(entry.distribution) not in (disabled or ())
            ),
            warnings=(
                *unreadable,
                *(
                    Check(name, "warning", "no such plugin, but an environment variable lists it")
                    for name in sorted(absent)
                ),
                *(
                    Check(f"{entry.kind}/{entry.name}", "warning", f"unknown kind, in {entry.provider}")
                    for entry in strange
                ),
            ),
        )

    def add(self, kind: str, name: str, component: Descriptor) -> Entry:
        """Offer a component of this process, without packaging.

        Raises:
            PluginError: the kind is unknown, or this process has already added the name.
        """
        if kind not in self.kinds:
            raise unknown("kind of plugin", kind, self.kinds, error=PluginError)
        if any((entry.kind, entry.name, entry.distribution) == (kind, name, IN_PROCESS) for entry in self._entries):
            raise PluginError(f"{kind}/{name} was added twice", hint="give the second one another name")
        target = getattr(component, "factory", component.summary)
        entry = Entry(kind, name, IN_PROCESS, "", target, component=component)
        self._entries.append(entry)
        return entry

    def entries(self, kind: str | None = None) -> tuple[Entry, ...]:
        """All entries, or those of one kind, in the order of kinds, then by name and distribution."""
        chosen = (entry for entry in self._entries if kind is None or entry.kind == kind)
        order = (*self.kinds, HOOKS)
        return tuple(sorted(chosen, key=lambda entry: (order.index(entry.kind), entry.name, entry.distribution)))

    def names(self, kind: str) -> tuple[str, ...]:
        """What users can type for ``kind``: plain names, or qualified ones where several distributions share a name."""
        entries = self.entries(kind)
        plain = [entry.name for entry in entries]
        return tuple(entry.name if plain.count(entry.name) == 1 else entry.qualified for entry in entries)

    def find(self, kind: str, reference: Reference) -> Entry:
        """The one entry a reference names.

        Raises:
            PluginError: no entry has the name, or several have.
        """
        matches = [
            entry
            for entry in self.entries(kind)
            if entry.name == reference.name
            and (reference.distribution is None or canonical(entry.distribution) == canonical(reference.distribution))
        ]
        if not matches:
            name = f"{reference.distribution}/{reference.name}" if reference.distribution else reference.name
            raise unknown(noun(kind), name, self.names(kind), error=PluginError)
        if len(matches) > 1:
            if len({entry.qualified for entry in matches}) == 1:
                provider = matches[0].provider
                text = f"{noun(kind)} '{reference.name}' stands twice among the entry points of {provider}"
                raise PluginError(text, hint="its author has to rename one")
            providers = " and ".join(entry.provider for entry in matches)
            choices = " or ".join(entry.qualified for entry in matches)
            raise PluginError(
                f"{noun(kind)} '{reference.name}' is ambiguous: {providers} offer it", hint=f"use {choices}"
            )
        return matches[0]

    def duplicates(self) -> tuple[Check, ...]:
        """Names that several distributions offer."""
        providers: dict[tuple[str, str], list[str]] = {}
        for entry in self.entries():
            if entry.kind != HOOKS:
                providers.setdefault((entry.kind, entry.name), []).append(entry.provider)
        return tuple(
            Check(f"{kind}/{name}", "problem", _rivalry(name, rivals))
            for (kind, name), rivals in providers.items()
            if len(rivals) > 1
        )

    def check(self) -> tuple[Check, ...]:
        """What can be said without importing a plugin: metadata, kinds, names, requirements."""
        providers = {entry.provider: entry for entry in self.entries()}
        conflicts = (
            Check(provider, "problem", f"needs {', '.join(unmet)}")
            for provider, entry in providers.items()
            if (unmet := entry.unmet())
        )
        unspeakable = (
            Check(f"{entry.kind}/{entry.name}", "warning", f"no reference can have the name, in {entry.provider}")
            for entry in self.entries()
            if _SIGNS.intersection(entry.name)
        )
        return (*self._warnings, *unspeakable, *self.duplicates(), *conflicts)


def _kinds(entries: Iterable[Entry]) -> tuple[str, ...]:
    brought = sorted({entry.name for entry in entries if entry.kind == "kinds"} - {*KINDS, HOOKS})
    return (*KINDS, *brought)


def _rivalry(name: str, providers: list[str]) -> str:
    if len(set(providers)) == 1:
        return f"stands twice among the entry points of {providers[0]}; its author has to rename one"
    return f"offered by {' and '.join(providers)}; use DISTRIBUTION/{name}"


def noun(kind: str) -> str:
    """One of a kind: ``"generators"`` → ``"generator"``."""
    return "policy" if kind == "policies" else kind.removesuffix("s")


def _listed(text: str | None) -> set[str] | None:
    return None if text is None else {canonical(name.strip()) for name in text.split(",") if name.strip()}
