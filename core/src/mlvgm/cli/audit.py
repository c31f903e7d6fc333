"""``mlvgm audit``: is the robustness of a defence believable?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlvgm.cli import options

if TYPE_CHECKING:
    from mlvgm.audit.verdict import Verdict
    from mlvgm.protocols.check import Finding
    from mlvgm.runs.config import PurifyConfig, ResolvedConfig
    from mlvgm.runs.settings import Settings

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
    generator: options.Generator = None,
    attack: Annotated[str | None, options.component("attacks", "Attack under audit; default apgd-ce.")] = None,
    purifier: options.Purifier = None,
    encoder: options.Encoder = None,
    classifier: Annotated[
        str | None,
        options.component("classifiers", "Classifier; of an imported defence, the one inside."),
    ] = None,
    data: options.Data = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="First N images.", rich_help_panel="Data")
    ] = None,
    budget: options.Budget = None,
    seed: options.Seed = None,
    device: options.ConfiguredDevice = None,
    threads: options.Threads = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run this check, or all that begin so (sanity); may be repeated.")
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Leave this check out; may be repeated.")] = None,
    settings: Annotated[list[str] | None, options.assignments("check.active.test.images=64")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for card and images.", rich_help_panel="Output")] = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check whether the robust accuracy of a defence can be believed; exit code 1 if a check fails or breaks.

    Findings are shown as they come, on stdout, or with --json on stderr. Ctrl-C ends with exit code 130, and --out
    keeps what was found until then.
    """
    import os

    from mlvgm.cli.output import emit_json, say
    from mlvgm.files import check_writable
    from mlvgm.runs.parts import check_given
    from mlvgm.runs.resolve import collect
    from mlvgm.runs.threads import default_threads

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
    if out is not None:
        check_writable(out)
    check_given(chosen)

    from mlvgm.audit.evaluation import audit_config

    resolved = audit_config(chosen, target=subject, threads=default_threads(os.environ))

    def show(verdict: Verdict, plain: dict[str, Any]) -> None:
        if json_output:
            emit_json(plain)
        else:
            _conclude(verdict)

    def quietly(finding: Finding) -> None:
        if not quiet:
            say(_line(finding))

    examine(
        resolved,
        chosen,
        target=subject,
        only=only or (),
        skip=skip or (),
        out=out,
        quiet=quiet,
        show=show,
        found=quietly if json_output else _printer(),
    )


def examine(
    resolved: ResolvedConfig,
    chosen: Settings,
    *,
    target: str | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    out: Path | None,
    quiet: bool,
    show: Callable[[Verdict, dict[str, Any]], None],
    found: Callable[[Finding], None] = lambda finding: None,
) -> None:
    """Check every input, load what is audited, run the checks, show what they found, and keep its card.

    Args:
        resolved: the evaluation under audit.
        chosen: settings of the user, among them those of checks.
        target: ``module:attribute`` of a whole defence, if one is imported.
        only: checks to run; all if empty.
        skip: checks to leave out.
        out: folder for card and images, which is made; None to keep nothing.
        quiet: no progress.
        show: called with the verdict, also as plain values.
        found: called with each finding as its check ends.

    Raises:
        CheckFailed: the robust accuracy is not believable.
        KeyboardInterrupt: it was stopped; what was found until then is in ``out``.
    """
    from mlvgm.audit.attempts import AuditContext
    from mlvgm.audit.card import as_plain, write_card
    from mlvgm.audit.evaluation import build_checks, build_subject, use_threads
    from mlvgm.audit.verdict import audit as run_checks
    from mlvgm.cli.output import say
    from mlvgm.cli.progress import progress_bar
    from mlvgm.errors import CheckFailed
    from mlvgm.files import check_writable
    from mlvgm.runs.parts import check_device

    checks, left_out = build_checks(chosen, budget=resolved.config.budget, only=only, skip=skip)
    check_device(resolved.config.device)
    if out is not None:
        check_writable(out)
    use_threads(resolved.config)
    inside = any(key.startswith("classifier.") for key in chosen)
    subject, resolved = build_subject(resolved, target=target, classifier=inside)
    what = _named(resolved.config, target)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    if not quiet:
        say(f"auditing {what}: {len(checks)} checks, {len(subject)} images")
        parts: list[Any] = [subject.defence.classifier, subject.defence.purifier]
        for part in parts:
            if getattr(part, "stochastic", False) and hasattr(part, "nature"):
                say(f"{part.name}: {part.nature.described}")
    config = resolved.config.model_dump(mode="json")

    def keep(verdict: Verdict) -> dict[str, Any]:
        plain = as_plain(verdict, subject=what, config=config)
        if out is not None:
            write_card(out, verdict, plain)
        return plain

    try:
        with progress_bar("auditing", shown=not quiet) as update:
            context = AuditContext(folder=out)
            verdict = run_checks(
                subject, checks, left_out=left_out, context=context, progress=update, keep=keep, found=found
            )
    except KeyboardInterrupt:
        kept = f"what was found so far is kept in {out / 'audit.json'}" if out else "nothing is kept without --out"
        say(f"stopped: {kept}")
        raise
    show(verdict, keep(verdict))
    if out is not None:
        say(f"card: {out / 'audit.html'}, {out / 'audit.md'}, {out / 'audit.json'}")
    if verdict.believable is False:
        objections = ", ".join(finding.check for finding in verdict.objections)
        raise CheckFailed(f"not believable: {objections or 'no check passed'}")


def _named(config: PurifyConfig, subject: str | None) -> str:
    """What is audited, in words."""
    defence = subject or config.rows[0].label
    attack = config.attacks[0].attack
    ball = f", {attack.options['norm']} {attack.options['eps']:g}" if {"norm", "eps"} <= set(attack.options) else ""
    return f"{defence} under {attack.name}{ball}, on {config.data.name} ({config.split}), budget {config.budget}"


def _line(finding: Finding) -> str:
    return f"{finding.status}: {finding.check}: {finding.evidence}"


def _printer() -> Callable[[Finding], None]:
    """Prints findings on stdout, one a row, as they come."""
    import shutil
    import sys
    import textwrap

    from mlvgm.audit.card import requirement

    # A progress bar takes what is printed to its own stream: only a terminal is the same for both.
    stream = None if sys.stdout.isatty() else sys.stdout
    width = shutil.get_terminal_size().columns if stream is None else 160

    def show(finding: Finding) -> None:
        head = f"{requirement(finding):>2}  {finding.check:<20} {finding.status:<8} "
        print(
            textwrap.fill(finding.evidence, max(width, 60), initial_indent=head, subsequent_indent=" " * len(head)),
            file=stream,
            flush=True,
        )

    return show


def _conclude(verdict: Verdict) -> None:
    """What was left out, and the verdict, on stdout."""
    if verdict.left_out:
        print(f"left out: {', '.join(verdict.left_out)}")
    print(verdict.sentence)
