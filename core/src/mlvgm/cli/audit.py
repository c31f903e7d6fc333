"""``mlvgm audit``: is the robustness of a defence believable?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlvgm.cli import completion

if TYPE_CHECKING:
    from mlvgm.pipelines.audit import Verdict
    from mlvgm.runs.config import PurifyConfig

EPILOG = (
    "Examples: `mlvgm audit --generator nvae` · `mlvgm audit my_defences:purified --attack apgd-ce --out audit` · "
    "`mlvgm audit --only sanity --only active.test --set check.active.test.images=64`"
)


def register(app: typer.Typer) -> None:
    app.command("audit", epilog=EPILOG)(audit)


def audit(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:ATTRIBUTE]",
            help="A whole defence: an nn.Module from images in [0, 1] to logits, random or not, or a function without "
            "arguments that makes one. Without it, the defence that the options below describe.",
        ),
    ] = None,
    generator: Annotated[
        str | None, completion.option("generators", "Generator behind the purifier.", "Components")
    ] = None,
    attack: Annotated[
        str | None, completion.option("attacks", "Attack under audit; default apgd-ce.", "Components")
    ] = None,
    purifier: Annotated[str | None, completion.option("purifiers", "Purifier.", "Components")] = None,
    encoder: Annotated[
        str | None, completion.option("encoders", "Finds latents where the generator has no encoder.", "Components")
    ] = None,
    classifier: Annotated[
        str | None,
        completion.option("classifiers", "Classifier; of an imported defence, the one inside.", "Components"),
    ] = None,
    data: Annotated[str | None, completion.option("datasets", "Data set.", "Data")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="First N images.", rich_help_panel="Data")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Preset: demo, standard or rigorous.", rich_help_panel="Compute")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all noise.", rich_help_panel="Compute")] = None,
    device: Annotated[str | None, typer.Option(help="Torch device.", rich_help_panel="Compute")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.", rich_help_panel="Compute")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run this check, or all that begin so (sanity); may be repeated.")
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Leave this check out; may be repeated.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="KEY=VALUE for any option, e.g. check.active.test.images=64."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for card and images.", rich_help_panel="Output")] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="One object on stdout.", rich_help_panel="Output")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel="Output")] = False,
) -> None:
    """Check whether the robust accuracy of a defence can be believed; exit code 1 if a check fails or breaks."""
    import os

    import torch

    from mlvgm.attempts import AuditContext
    from mlvgm.cli.output import emit_json, progress_bar, say
    from mlvgm.errors import CheckFailed
    from mlvgm.files import check_writable
    from mlvgm.pipelines import audit as pipeline
    from mlvgm.runs.audit import audit_config, build_checks, build_subject, use_threads
    from mlvgm.runs.audit_card import as_plain, write_card
    from mlvgm.runs.build import check_device
    from mlvgm.runs.resolve import collect

    flags = {
        "generator.name": generator,
        "attack.name": attack,
        "purifier.name": purifier,
        "encoder.name": encoder,
        "classifier.name": classifier,
        "data.name": data,
        "limit": limit,
        "budget": budget,
        "seed": seed,
        "device": device,
        "threads": threads,
    }
    chosen = collect(assignments=settings or (), flags=flags, file=None, environ=os.environ)
    resolved = audit_config(chosen, target=subject, threads=torch.get_num_threads())
    checks = build_checks(chosen, budget=resolved.config.budget, only=only or (), skip=skip or ())
    check_device(resolved.config.device)
    if out is not None:
        check_writable(out)
    use_threads(resolved.config)
    inside = any(key.startswith("classifier.") for key in chosen)
    evaluation, resolved = build_subject(resolved, target=subject, classifier=inside)
    what = _named(resolved.config, subject)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    if not quiet:
        say(f"auditing {what}: {len(checks)} checks, {len(evaluation)} images")
    with progress_bar("auditing", shown=not quiet) as update:
        verdict = pipeline.audit(evaluation, checks, context=AuditContext(folder=out), progress=update)
    plain = as_plain(verdict, subject=what, config=resolved.config.model_dump(mode="json"))
    if out is not None:
        write_card(out, verdict, plain)
    if json_output:
        emit_json(plain)
    else:
        _print(verdict)
        print(verdict.sentence)
    if out is not None:
        say(f"card: {out / 'audit.html'}, {out / 'audit.md'}, {out / 'audit.json'}")
    if not verdict.believable:
        failed = [finding.check for finding in (*verdict.of("fail"), *verdict.broken)]
        raise CheckFailed(f"not believable: {', '.join(failed) or 'no check passed'}")


def _named(config: PurifyConfig, subject: str | None) -> str:
    """What is audited, in words."""
    defence = subject or config.rows[0].label
    attack = config.attacks[0].attack
    ball = f", {attack.options['norm']} {attack.options['eps']:g}" if {"norm", "eps"} <= set(attack.options) else ""
    return f"{defence} under {attack.name}{ball}, on {config.data.name} ({config.split}), budget {config.budget}"


def _print(verdict: Verdict) -> None:
    """The table of findings, on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mlvgm.runs.audit_card import requirement

    colours = {"pass": "green", "warn": "yellow", "fail": "bold red", "not run": "dim"}
    table = Table(show_lines=False)
    table.add_column("")
    for title in ("check", "status"):
        table.add_column(title, no_wrap=True)
    table.add_column("evidence", overflow="fold")
    for finding in verdict.findings:
        status = Text(finding.status, style=colours[finding.status])
        table.add_row(requirement(finding), finding.check, status, Text(finding.evidence))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(table)
