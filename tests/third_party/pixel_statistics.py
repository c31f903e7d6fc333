"""A job of a third party in one file: mean and standard deviation of the pixels of a data set, by class.

Its entry points: group ``mlvgm.jobs``, ``pixel-statistics = "pixel_statistics:descriptor"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mlvgm.cli import options
from mlvgm.plugins.descriptors import JobComponent

if TYPE_CHECKING:
    from mlvgm.protocols.job import Job

descriptor = JobComponent(
    summary="Mean and standard deviation of the pixels of a data set, by class.",
    job="pixel_statistics:job",
    command="pixel_statistics:command",
    epilog="Example: `mlvgm run pixel-statistics --data shapes -n 128`",
)


def command(data: options.Data = None, limit: options.Limit = None) -> dict[str, Any]:
    """Mean and standard deviation of the pixels of a data set, by class."""
    return {"data.name": data, "limit": limit}


def job() -> Job[Any, Any]:
    """The job; made here, so that help imports neither pydantic nor torch."""
    from dataclasses import dataclass

    from pydantic import Field

    from mlvgm.configuration.build import build_data
    from mlvgm.configuration.config import ResolvedConfig, RunConfig
    from mlvgm.configuration.part import Part, part_of
    from mlvgm.protocols.data import Dataset
    from mlvgm.protocols.job import Context, Outcome, Record, Result, Unit
    from mlvgm.reading import read
    from mlvgm.runs.job import SimpleJob
    from mlvgm.tables import Column, Table

    class Config(RunConfig):
        """What is measured."""

        BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
            "demo": {"limit": 64},
            "standard": {"limit": 1000},
            "rigorous": {},
        }
        GROWS: ClassVar[frozenset[str]] = RunConfig.GROWS | {"limit"}

        run: Literal["pixel-statistics"] = "pixel-statistics"
        limit: int | None = Field(None, ge=1, description="images: the first LIMIT; all if null")
        block: int = Field(16, ge=1, description="images in a unit")
        data: Part = part_of("datasets", "fashion-mnist", description="data set")

    @dataclass(frozen=True)
    class Study:
        data: Dataset
        samples: tuple[int, ...]

    class PixelStatistics(SimpleJob[Config, Study]):
        config = Config

        def load(self, resolved: ResolvedConfig[Config]) -> tuple[ResolvedConfig[Config], Study]:
            config = resolved.config
            return resolved, Study(*build_data(config.data, split="test", limit=config.limit))

        def units(self, config: Config, study: Study) -> list[Unit]:
            starts = range(0, len(study.samples), config.block)
            parts = [study.samples[start : start + config.block] for start in starts]
            return [Unit(f"images-{part[0]:06d}", f"{len(part)} images", size=len(part), work=part) for part in parts]

        def run(self, unit: Unit, config: Config, study: Study, context: Context) -> Outcome:
            images, labels = read(study.data, "test", unit.work)
            sums = images.double().flatten(1)
            return Outcome(
                {
                    "labels": labels.tolist(),
                    "means": sums.mean(1).tolist(),
                    "squares": sums.square().mean(1).tolist(),
                }
            )

        def result(self, config: Config, done: Mapping[str, Record]) -> Result:
            by_class: dict[int, list[tuple[float, float]]] = {}
            for _, record in sorted(done.items()):
                for label, mean, square in zip(record["labels"], record["means"], record["squares"], strict=True):
                    by_class.setdefault(label, []).append((mean, square))
            rows = []
            for label, found in sorted(by_class.items()):
                mean = sum(one for one, _ in found) / len(found)
                variance = sum(square for _, square in found) / len(found) - mean**2
                rows.append({"class": label, "images": len(found), "mean": mean, "std": max(variance, 0.0) ** 0.5})
            columns = (Column("class", "number of the class"), Column("images"), Column("mean"), Column("std"))
            body = tuple((str(r["class"]), str(r["images"]), f"{r['mean']:.4f}", f"{r['std']:.4f}") for r in rows)
            return Result({"schema": 1, "rows": rows}, (Table("pixels in [0, 1]", "", columns, body),))

        def verdict(self, config: Config, result: Result) -> str:
            darkest = min(row["mean"] for row in result.values["rows"])
            failed = config.fail_under is not None and darkest < config.fail_under
            return f"the darkest class has a mean of {darkest:.4f}, below {config.fail_under}" if failed else ""

    return PixelStatistics()
