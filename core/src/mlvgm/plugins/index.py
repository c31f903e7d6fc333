"""Index: what plugins are installed, read from package metadata. Imports none of them.

Duplicates and version conflicts are found here, statically. Two environment variables restrict the index, both comma-
separated lists of distributions: ``MLVGM_PLUGINS`` (only these; empty: none) and ``MLVGM_DISABLE_PLUGINS`` (not these).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, distributions, version
from typing import TYPE_CHECKING

from mlvgm.errors import PluginError, unknown
from mlvgm.plugins.check import Check
from mlvgm.plugins.descriptors import KINDS
from mlvgm.plugins.reference import Reference

if TYPE_CHECKING:
    from mlvgm.plugins.descriptors import Component

HOOKS = "hooks"
IN_PROCESS = "in-process"
CORE = "mlvgm-core"
_ORDER = (*KINDS, HOOKS)


def canonical(distribution: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass(frozen=True)
class Entry:
    """One component or hook module of an installed distribution.

    Args:
        kind: one of :data:`~mlvgm.plugins.descriptors.KINDS`, or ``"hooks"``.
        name: what users type.
        distribution: who provides it.
        version: of the distribution.
        target: ``"module:attribute"`` of the descriptor, or the module of hooks.
        ep: the entry point; None for an in-process addition.
        component: the descriptor of an in-process addition.
    """

    kind: str
    name: str
    distribution: str
    version: str
    target: str
    ep: EntryPoint | None = None
    component: Component | None = None

    @property
    def qualified(self) -> str:
        """The name that is never ambiguous: ``distribution/name``."""
        return f"{self.distribution}/{self.name}"

    @property
    def provider(self) -> str:
        return f"{self.distribution} {self.version}".rstrip()

    def record(self) -> dict[str, str]:
        """What can be said in plain text, for machine output."""
        return {name: getattr(self, name) for name in ("kind", "name", "distribution", "version", "target")}

    @property
    def requires(self) -> tuple[str, ...]:
        """The distribution's requirements, as in its metadata."""
        distribution = self.ep.dist if self.ep is not None else None
        return tuple(distribution.requires or ()) if distribution is not None else ()

    def __str__(self) -> str:
        return f"{self.kind}/{self.name} of {self.provider}"

    def unmet(self) -> tuple[str, ...]:
        """Requirements of the distribution that this environment does not meet, each with what is there instead."""
        from packaging.requirements import Requirement

        found = []
        for text in self.requires:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            try:
                present = version(requirement.name)
            except PackageNotFoundError:
                found.append(f"{requirement.name}{requirement.specifier} (not installed)")
                continue
            if not requirement.specifier.contains(present, prereleases=True):
                found.append(f"{requirement.name}{requirement.specifier} (installed: {present})")
        return tuple(found)


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

    @classmethod
    def installed(cls, *, environ: Mapping[str, str] = os.environ) -> Index:
        """The plugins of this environment, without those the environment variables switch off."""
        found = list(_scan())
        allowed, disabled = (_listed(environ.get(name)) for name in ("MLVGM_PLUGINS", "MLVGM_DISABLE_PLUGINS"))
        absent = {*(allowed or ()), *(disabled or ())} - {canonical(entry.distribution) for entry in found}
        strange = [entry for entry in found if entry.kind not in _ORDER]
        return cls(
            (
                entry
                for entry in found
                if entry not in strange
                and (allowed is None or canonical(entry.distribution) in allowed)
                and canonical(entry.distribution) not in (disabled or ())
            ),
            warnings=(
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

    def add(self, kind: str, name: str, component: Component) -> Entry:
        """Offer a component of this process, without packaging.

        Raises:
            PluginError: the kind is unknown, or this process has already added the name.
        """
        if kind not in KINDS:
            raise unknown("kind of plugin", kind, KINDS, error=PluginError)
        if any((entry.kind, entry.name, entry.distribution) == (kind, name, IN_PROCESS) for entry in self._entries):
            raise PluginError(f"{kind}/{name} was added twice", hint="give the second one another name")
        entry = Entry(kind, name, IN_PROCESS, "", component.factory, component=component)
        self._entries.append(entry)
        return entry

    def entries(self, kind: str | None = None) -> tuple[Entry, ...]:
        """All entries, or those of one kind, in the order of kinds, then by name and distribution."""
        chosen = (entry for entry in self._entries if kind is None or entry.kind == kind)
        return tuple(sorted(chosen, key=lambda entry: (_ORDER.index(entry.kind), entry.name, entry.distribution)))

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
            Check(f"{kind}/{name}", "problem", f"offered by {' and '.join(rivals)}; use DISTRIBUTION/{name}")
            for (kind, name), rivals in providers.items()
            if len(rivals) > 1
        )

    def check(self) -> tuple[Check, ...]:
        """What can be said without importing a plugin: duplicates, unmet requirements, unknown kinds."""
        providers = {entry.provider: entry for entry in self.entries()}
        conflicts = (
            Check(provider, "problem", f"needs {', '.join(unmet)}")
            for provider, entry in providers.items()
            if (unmet := entry.unmet())
        )
        return (*self._warnings, *self.duplicates(), *conflicts)


def noun(kind: str) -> str:
    """One of a kind: ``"generators"`` → ``"generator"``; also the first part of its dotted options."""
    return "policy" if kind == "policies" else kind.removesuffix("s")


def _scan() -> Iterator[Entry]:
    seen: set[str] = set()
    for distribution in distributions():
        # Parsing every installed package's entry points costs more than reading them.
        if "[mlvgm." not in (distribution.read_text("entry_points.txt") or ""):
            continue
        metadata = distribution.metadata
        name = canonical(metadata["Name"])
        if name in seen:  # a later copy on sys.path, which Python would not import either
            continue
        seen.add(name)
        for ep in distribution.entry_points:
            if ep.group.startswith("mlvgm."):
                yield Entry(
                    ep.group.removeprefix("mlvgm."), ep.name, metadata["Name"], metadata["Version"], ep.value, ep
                )


def _listed(text: str | None) -> set[str] | None:
    return None if text is None else {canonical(name.strip()) for name in text.split(",") if name.strip()}
