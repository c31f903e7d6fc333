"""After a run with published attacks: its numbers in the published metric, in ``published.json``."""

from __future__ import annotations

from typing import Any

from mlvgm.plugins.hookspecs import hookimpl

_NAMES = ("published-deepfool", "published-carlini-wagner", "published-autoattack")


@hookimpl
def mlvgm_run_finished(run: Any) -> None:
    """Write distances, clean accuracy and robust accuracy at the task's bounds, of every defence under every attack."""
    from mlvgm.runs.stored import stored
    from mlvgm_robust.published.metric import table
    from mlvgm_robust.published.tasks import TASKS

    found = stored(run.path)
    attacks = {row.label: row.attack for row in getattr(found.config, "attacks", ()) if row.attack.name in _NAMES}
    records = [record for record in found.records.values() if record.get("attack") in attacks]
    if records:
        bounds = {label: TASKS[attack.options["task"]].bounds for label, attack in attacks.items()}
        run.write_json("published.json", table(records, bounds))
