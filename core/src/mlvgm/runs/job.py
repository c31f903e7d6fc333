"""What jobs that need nothing special have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

from mlvgm.configuration.config import ResolvedConfig, RunConfig
from mlvgm.configuration.part import kinds_of, parts_of
from mlvgm.configuration.resolve import resolve
from mlvgm.configuration.settings import Settings
from mlvgm.plugins.load import component
from mlvgm.protocols.job import Context, Outcome, Record, Result, Section, Source, Unit

C = TypeVar("C", bound=RunConfig)
S = TypeVar("S")


class SimpleJob(Generic[C, S]):
    """A :class:`mlvgm.protocols.job.Job` once it has ``config``, ``load``, ``units``, ``run`` and ``result``.

    All its units are independent of each other, and each depends on all of the configuration but
    :attr:`RunConfig.GROWS <mlvgm.configuration.config.RunConfig.GROWS>`.
    """

    config: ClassVar[type[Any]]

    @property
    def groups(self) -> Collection[str]:
        """The fields that are components."""
        return tuple(kinds_of(self.config))

    def load(self, resolved: ResolvedConfig[C]) -> tuple[ResolvedConfig[C], S]:
        """Everything a run needs, all inputs checked."""
        raise NotImplementedError

    def units(self, config: C, study: S) -> Sequence[Unit]:
        """All units of a run."""
        raise NotImplementedError

    def run(self, unit: Unit, config: C, study: S, context: Context) -> Outcome:
        """Do a unit."""
        raise NotImplementedError

    def result(self, config: C, done: Mapping[str, Record]) -> Result:
        """What the units that are done come to."""
        raise NotImplementedError

    def resolve(self, settings: Settings, *, threads: int) -> ResolvedConfig[C]:
        """Every setting checked, budgets and defaults filled in."""
        return resolve(self.config, settings, threads=threads, run=self.config.model_fields["run"].default)

    def name(self, config: C) -> str:
        """The job and its components."""
        parts = [named.name for _, named in parts_of(config)]
        return "-".join([config.run, *parts]).replace(":", "-").replace("/", "-")

    def plan(self, config: C, study: S | None) -> Mapping[str, str]:
        """Plugins, every field of the configuration, and how much there is to do."""
        parts = list(parts_of(config))
        entries = [component(kind, named.name).entry for kind, named in parts]
        fields = config.model_dump(mode="json", exclude={"run"}, exclude_none=True)
        said = {name: value for name, value in fields.items() if not isinstance(value, dict)}
        lines = {"plugins": ", ".join(dict.fromkeys(entry.provider for entry in entries)) or "none"}
        lines |= {kind: _described(named.name, named.options) for kind, named in parts}
        lines["options"] = ", ".join(f"{name} {value}" for name, value in said.items())
        return lines if study is None else lines | {"work": f"{len(self.units(config, study))} units"}

    def documents(self, config: C, study: S) -> Mapping[str, Mapping[str, Any]]:
        """None."""
        return {}

    def wave(self, config: C, study: S, done: Mapping[str, Record]) -> Sequence[Unit]:
        """All units at once, each with the hash of what it depends on."""
        depends = self._depends(config)
        return [
            unit if unit.configuration else replace(unit, configuration=depends) for unit in self.units(config, study)
        ]

    def problem(self, record: Record) -> str:
        """Nothing is known of records."""
        return ""

    def contradiction(self, config: C, done: Mapping[str, Record]) -> str:
        """Nothing is known of records."""
        return ""

    def misfit(self, config: C, study: S, done: Mapping[str, Record]) -> str:
        """A unit that the run has no longer, or that depended on something else."""
        now = {unit.name: unit.configuration for unit in self.wave(config, study, {})}
        for name, record in done.items():
            if now.get(name) != record.get("configuration"):
                return f"what unit '{name}' depends on"
        return ""

    def news(self, config: C, study: S, done: Mapping[str, Record], unit: Unit) -> str:
        """Nothing."""
        return ""

    def headline(self, values: Mapping[str, Any]) -> str:
        """Nothing."""
        return ""

    def verdict(self, config: C, result: Result) -> str:
        """No thresholds."""
        return ""

    def sections(self, sources: Sequence[Source]) -> Sequence[Section]:
        """Each run apart, with the tables of its result."""
        found = []
        for source in sources:
            result = self.result(source.config, source.records)
            cautions = (result.small_print,) if result.small_print else ()
            notes = tuple(("", note) for note in result.notes)
            found.append(Section(source.name, (source,), result.tables, notes=notes, cautions=cautions))
        return found

    def _depends(self, config: C) -> str:
        text = config.model_dump_json(exclude=set(config.GROWS))
        return hashlib.sha256(text.encode()).hexdigest()


def _described(name: str, options: Mapping[str, Any]) -> str:
    said = ", ".join(f"{key} {value}" for key, value in options.items() if value is not None)
    return f"{name} ({said})" if said else name
