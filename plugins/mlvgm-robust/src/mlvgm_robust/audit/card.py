"""The card of an audit: JSON for machines, Markdown and one self-contained HTML page for people."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlvgm.files import write_text
from mlvgm_robust.audit.finding import Finding
from mlvgm_robust.audit.verdict import Verdict

SCHEMA = 1
_COLOURS = {"pass": "#3a9a5b", "warn": "#b98a00", "fail": "#c8503c", "no power": "#7a5ea8", "not run": "#888"}
_STYLE = """
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
  table { border-collapse: collapse }
  td, th { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top }
  .verdict { background: #f6f6f6; padding: .6rem 1rem; font-weight: bold }
  pre { background: #f6f6f6; padding: 1rem; overflow: auto }
"""


def as_plain(verdict: Verdict, *, subject: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The audit as plain values, which ``audit.json`` and ``--json`` have.

    Args:
        verdict: what was found.
        subject: what was audited, in words.
        config: the resolved configuration.
    """
    findings = [
        {
            "check": finding.check,
            "requirements": list(finding.requirements),
            "status": finding.status,
            "evidence": finding.evidence,
            "values": _keys_as_text(finding.values),
        }
        for finding in verdict.findings
    ]
    return {
        "schema": SCHEMA,
        "subject": subject,
        "believable": verdict.believable,
        "verdict": verdict.sentence,
        "left_out": list(verdict.left_out),
        "findings": findings,
        "config": config,
    }


def write_card(folder: Path, verdict: Verdict, plain: Mapping[str, Any]) -> None:
    """Write ``audit.json``, ``audit.md`` and ``audit.html`` into an existing folder."""
    write_text(folder / "audit.json", json.dumps(plain, indent=1, sort_keys=True) + "\n")
    write_text(folder / "audit.md", _markdown(verdict, str(plain["subject"])))
    write_text(folder / "audit.html", _page(verdict, plain))


def requirement(finding: Finding) -> str:
    """Numbers of a finding's requirements, for tables."""
    return ", ".join(map(str, finding.requirements)) or "–"


def _markdown(verdict: Verdict, subject: str) -> str:
    rows = [
        f"| {requirement(finding)} | `{finding.check}` | {finding.status} | {finding.evidence.replace('|', '/')} |"
        for finding in verdict.findings
    ]
    head = ["| requirement | check | status | evidence |", "| --- | --- | --- | --- |"]
    left_out = [f"Left out: {', '.join(f'`{name}`' for name in verdict.left_out)}", ""] if verdict.left_out else []
    return "\n".join([f"# Audit of {subject}", "", f"**{verdict.sentence}**", "", *left_out, *head, *rows]) + "\n"


def _page(verdict: Verdict, plain: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"<tr><td>{requirement(finding)}<td><code>{html.escape(finding.check)}</code>"
        f'<td style="color:{_COLOURS[finding.status]}">{finding.status}<td>{html.escape(finding.evidence)}'
        for finding in verdict.findings
    )
    subject, config = html.escape(str(plain["subject"])), html.escape(json.dumps(plain["config"], indent=1))
    left_out = f"<p>Left out: {html.escape(', '.join(verdict.left_out))}</p>\n" if verdict.left_out else ""
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Audit of {subject}</title>
<style>{_STYLE}</style>
<h1>Audit of {subject}</h1>
<p class="verdict">{html.escape(verdict.sentence)}</p>
{left_out}<table>
<tr><th>requirement<th>check<th>status<th>evidence
{rows}
</table>
<h2>Configuration</h2>
<pre>{config}</pre>
</html>
"""


def _keys_as_text(values: Any) -> Any:
    """Plain values whose mappings have text keys, and neither NaN nor infinity, as JSON wants them."""
    if isinstance(values, Mapping):
        return {str(key): _keys_as_text(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_keys_as_text(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
