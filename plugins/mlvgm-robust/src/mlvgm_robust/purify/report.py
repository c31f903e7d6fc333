"""A report of purification runs: those on the same images in one section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlvgm.protocols.job import Section, Source
from mlvgm_robust.purify.plan import small_print
from mlvgm_robust.purify.recorded import attacked
from mlvgm_robust.purify.report_charts import charts
from mlvgm_robust.purify.report_images import panels
from mlvgm_robust.purify.report_tables import tables
from mlvgm_robust.purify.sections import labels_of, merged


def report(sources: Sequence[Source]) -> list[Section]:
    """Tables and figures of runs, merged where they are on the same images."""
    found = []
    for group in merged([replace(source, records=attacked(source.records)) for source in sources]):
        shown, problems = panels(group)
        said = {source.name: small_print(source.config, len(labels_of(source))) for source in group.sources}
        found.append(
            Section(
                group.title,
                group.sources,
                tuple(tables(group)),
                (*charts(group), *shown),
                remark=group.remark,
                notes=tuple(dict.fromkeys((row.label, note) for row, note in group.rows if note)),
                cautions=tuple(f"{name}: {text}" if len(sources) > 1 else text for name, text in said.items() if text),
                problems=tuple(problems),
            )
        )
    return found
