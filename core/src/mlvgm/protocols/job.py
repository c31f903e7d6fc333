"""Jobs: kinds of studies, ``mlvgm run NAME``. A job says what is special about it; :mod:`mlvgm.runs` does the rest.

A job's work is cut into *units*. What a unit finds depends on the configuration and the unit alone, so units are done
in any order, by any number of processes, and a run that was interrupted goes on with those that have no record yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from mlvgm.tables import Table

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.configuration.config import ResolvedConfig, RunConfig
    from mlvgm.configuration.settings import Settings
    from mlvgm.pictures import Picture

C = TypeVar("C", bound="RunConfig")
S = TypeVar("S")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Unit:
    """A unit of work.

    Args:
        name: unique within the run; names the unit's files.
        title: what it is, for people.
        like: units alike cost alike; time that is left is told from those.
        size: its share of the work among units alike, such as a number of images.
        configuration: hash of what it depends on, kept in its record; empty if that is all of the configuration.
        work: what the job wants to know of it.
    """

    name: str
    title: str = ""
    like: str = ""
    size: int = 1
    configuration: str = ""
    work: Any = None


@dataclass(frozen=True)
class Outcome:
    """What a unit found.

    Args:
        record: plain values.
        tensors: written beside it, if there are any.
        metadata: of the file of tensors.
    """

    record: Record
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def _nothing(effort: Callable[[], int]) -> None:
    pass


@dataclass(frozen=True)
class Context:
    """What a unit may use while it is done.

    Args:
        say: shows a few words, such as what a step has come to.
        watch: is given a function that tells the effort so far, in whatever unit, for the progress within a unit.
        folder: of the run; a long unit keeps checkpoints of its own in it.
    """

    say: Callable[[str], None] = lambda words: None
    watch: Callable[[Callable[[], int]], None] = _nothing
    folder: Path = Path()


@dataclass(frozen=True)
class Result:
    """What a run has found.

    Args:
        values: plain values, for machines; ``metrics.json``.
        tables: for people.
        notes: sentences below the tables, which belong to their figures.
        small_print: what a careful reader should know, and how to get better numbers.
    """

    values: Mapping[str, Any]
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    small_print: str = ""


class StoredRun(Protocol):
    """What a report reads of a run directory."""

    @property
    def path(self) -> Path:
        """The directory."""
        ...

    @property
    def config(self) -> Path:
        """The file of its configuration."""
        ...

    def read_json(self, name: str) -> dict[str, Any]:
        """The contents of a JSON file of the run, empty if it was never written."""
        ...

    def read_json_list(self, name: str) -> list[Any]:
        """The same of a file that holds a list."""
        ...

    def shard(self, unit: str) -> Path:
        """The file of a unit's tensors."""
        ...

    def read_images(self, unit: str) -> dict[str, Tensor]:
        """Its tensors."""
        ...


@dataclass(frozen=True)
class Source:
    """A run on disk, for a report.

    Args:
        run: its directory.
        config: its configuration.
        records: finished units, by name.
        state: ``finished``, or why not.
    """

    run: StoredRun
    config: Any
    records: Mapping[str, Record]
    state: str

    @property
    def name(self) -> str:
        return self.run.path.resolve().name

    @property
    def finished(self) -> bool:
        return self.state == "finished"


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Args:
        title: what it is about.
        sources: the runs it is of.
        tables: its tables.
        pictures: its figures.
        remark: why it stands apart from the sections before; empty if it does not.
        notes: what must be said of a row wherever its figures appear: label and text.
        cautions: what a reader should know first.
        problems: what is wrong with files it was made from.
    """

    title: str
    sources: tuple[Source, ...]
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    remark: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    cautions: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@runtime_checkable
class Job(Protocol[C, S]):
    """One kind of study: ``C`` is its configuration, ``S`` what it loads.

    :class:`mlvgm.runs.job.SimpleJob` has all of it but ``config``, ``load``, ``run`` and ``result``.
    """

    @property
    def config(self) -> type[C]:
        """The class of its configuration."""
        ...

    @property
    def groups(self) -> Collection[str]:
        """Groups of settings that are components, whose bare key is their name."""
        ...

    def resolve(self, settings: Settings, *, threads: int) -> ResolvedConfig[C]:
        """The configuration that explicit settings come to, every value with its source. Loads nothing.

        Raises:
            ConfigError: an option is unknown or its value is not allowed.
            PluginError: a component is unknown or does not load.
        """
        ...

    def name(self, config: C) -> str:
        """Part of the name of a run's folder."""
        ...

    def plan(self, config: C, study: S | None) -> Mapping[str, str]:
        """What is about to happen, as titled lines; more precise once there is a study. Refuses what cannot be."""
        ...

    def load(self, resolved: ResolvedConfig[C]) -> tuple[ResolvedConfig[C], S]:
        """Everything a run needs, all inputs checked; may say more of the configuration than was known before."""
        ...

    def documents(self, config: C, study: S) -> Mapping[str, Mapping[str, Any]]:
        """JSON files that a run keeps beside its configuration, by name: what its records cannot be read without."""
        ...

    def wave(self, config: C, study: S, done: Mapping[str, Record]) -> Sequence[Unit]:
        """Units that can be done now, in order, given the records of those that are; done ones may be among them.

        Units of one wave do not depend on each other. Without units that are not done the run is finished.
        """
        ...

    def run(self, unit: Unit, config: C, study: S, context: Context) -> Outcome:
        """Do a unit."""
        ...

    def problem(self, record: Record) -> str:
        """What is wrong with a record read back, in words; empty if nothing is."""
        ...

    def contradiction(self, config: C, done: Mapping[str, Record]) -> str:
        """Why records cannot all be of a run with this configuration, in words; empty if they can."""
        ...

    def misfit(self, config: C, study: S, done: Mapping[str, Record]) -> str:
        """Why finished units would not go with those that are left to do now, in words; empty if they would."""
        ...

    def news(self, config: C, study: S, done: Mapping[str, Record], unit: Unit) -> str:
        """What is known now that ``unit`` is done and was not before, for people; empty if nothing is."""
        ...

    def result(self, config: C, done: Mapping[str, Record]) -> Result:
        """What the units that are done come to."""
        ...

    def headline(self, values: Mapping[str, Any]) -> str:
        """The values of a result in a few words, for lists of runs; reads them from a file, so they may be damaged."""
        ...

    def verdict(self, config: C, result: Result) -> str:
        """Why a finished run fails a threshold that the user set, in words; empty if it does not."""
        ...

    def sections(self, sources: Sequence[Source]) -> Sequence[Section]:
        """A report of runs of this job, those that can stand together merged."""
        ...
