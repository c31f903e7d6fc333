"""``mlvgm audit``: is the robustness of a defence believable?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlvgm.cli import options

if TYPE_CHECKING:
    from mlvgm_robust.audit.examine import Examined
    from mlvgm_robust.audit.finding import Finding


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
    from mlvgm.cli.progress import progress_bar
    from mlvgm.configuration.threads import default_threads
    from mlvgm.errors import CheckFailed
    from mlvgm.files import check_writable
    from mlvgm_robust.purify.resolve import check_given, collect

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
    chosen = collect(assignments=settings or (), flags=flags, environ=os.environ)
    if out is not None:
        check_writable(out)
    check_given(chosen)

    from mlvgm_robust.audit.evaluation import audit_config
    from mlvgm_robust.audit.examine import examine

    resolved = audit_config(chosen, target=subject, threads=default_threads(os.environ))

    def quietly(finding: Finding) -> None:
        if not quiet:
            say(_line(finding))

    def begin(words: str) -> None:
        if not quiet:
            say(words)

    try:
        with progress_bar("auditing", shown=not quiet) as update:
            verdict = examine(
                resolved,
                chosen,
                target=subject,
                only=only or (),
                skip=skip or (),
                out=out,
                progress=update,
                begin=begin,
                found=quietly if json_output else _printer(),
            )
    except KeyboardInterrupt:
        kept = f"what was found so far is kept in {out / 'audit.json'}" if out else "nothing is kept without --out"
        say(f"stopped: {kept}")
        raise
    if json_output:
        emit_json(verdict.plain)
    else:
        _conclude(verdict)
    if out is not None:
        say(f"card: {out / 'audit.html'}, {out / 'audit.md'}, {out / 'audit.json'}")
    if verdict.believable is False:
        objections = ", ".join(finding.check for finding in verdict.objections)
        raise CheckFailed(f"not believable: {objections or 'no check passed'}")


def _line(finding: Finding) -> str:
    return f"{finding.status}: {finding.check}: {finding.evidence}"


def _printer() -> Callable[[Finding], None]:
    """Prints findings on stdout, one a row, as they come."""
    import shutil
    import sys
    import textwrap

    from mlvgm_robust.audit.card import requirement

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


def _conclude(verdict: Examined) -> None:
    """What was left out, and the verdict, on stdout."""
    if verdict.left_out:
        print(f"left out: {', '.join(verdict.left_out)}")
    print(verdict.sentence)
