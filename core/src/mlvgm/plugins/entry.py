"""Entry: one component or hook module that an installed distribution offers, as its metadata tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from mlvgm.plugins.descriptors import Descriptor


def canonical(distribution: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass(frozen=True)
class Entry:
    """One component or hook module of an installed distribution.

    Args:
        kind: one of :data:`~mlvgm.plugins.index.KINDS`, one that a plugin brings, or ``"hooks"``.
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
    component: Descriptor | None = None

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

    def libraries(self) -> tuple[str, ...]:
        """Names of the distributions that this one always needs, as its requirements write them."""
        plain = (text for text in self.requires if ";" not in text)
        return tuple(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0] for text in plain)

    def __str__(self) -> str:
        return f"{self.kind}/{self.name} of {self.provider}"

    def unmet(self, name: str | None = None) -> tuple[str, ...]:
        """Requirements (of ``name``, if given) that this environment does not meet, each with what is there instead.

        A requirement that nobody can read is not met.
        """
        from packaging.requirements import InvalidRequirement, Requirement

        found = []
        for text in self.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                found += [] if name else [f"{text} (no requirement that can be read)"]
                continue
            if name is None or canonical(requirement.name) == name:
                found += _unmet(requirement)
        return tuple(found)


def _unmet(requirement: Requirement) -> list[str]:
    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
    from packaging.version import InvalidVersion

    wanted = f"{requirement.name}{requirement.specifier}"
    try:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            return []
        present = str(version(requirement.name))
        if requirement.specifier.contains(present, prereleases=True):
            return []
    except PackageNotFoundError:
        return [f"{wanted} (not installed)"]
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        return [f"{requirement} (its marker cannot be evaluated: {error})"]
    except InvalidVersion:
        return [f"{wanted} (installed: {present}, which is no version)"]
    return [f"{wanted} (installed: {present})"]
