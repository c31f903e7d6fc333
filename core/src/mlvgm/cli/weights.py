"""``mlvgm weights``: convert checkpoints of other code bases, list what ships, check files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mlvgm.cli import completion, options
from mlvgm.cli.output import emit_json, print_columns, say


def register(app: typer.Typer, words: Sequence[str] = ()) -> None:
    """Add the verb to ``app``."""
    weights = typer.Typer(
        help="Convert checkpoints of other code bases, list what ships, check files.", no_args_is_help=True
    )
    weights.command("convert")(convert)
    weights.command("list")(list_weights)
    weights.command("verify")(verify)
    app.add_typer(weights, name="weights")


def convert(
    src: Annotated[Path, typer.Argument(metavar="SRC", help="A pickle, a PyTorch file, or a bare safetensors.")],
    to: Annotated[Path, typer.Option("--to", metavar="DST.safetensors", help="The weights file to write.")],
    config: Annotated[
        Path | None, typer.Option(help="Constructor arguments, a JSON or YAML file, for what tensors do not tell.")
    ] = None,
    family: Annotated[
        str | None,
        typer.Option("--as", help="The generator it is for.", autocompletion=completion.names("generators")),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace DST.")] = False,
    json: options.Json = False,
) -> None:
    """Make a weights file of a published checkpoint; nothing in the checkpoint is executed."""
    from mlvgm.weights import convert as conversion
    from mlvgm.weights.options import read_options

    done = conversion.convert(src, to, options=read_options(config), family=family, force=force)
    if json:
        emit_json({**vars(done), "path": str(done.path)})
    use = shlex.join(["--generator", done.generator, "--set", f"generator.weights={done.path}"])
    say(f"{done.layout}: {done.tensors} tensors, {done.numbers:,} numbers → {done.path}\nuse them with: {use}")


def list_weights(json: options.Json = False) -> None:
    """List the weights that ship with the installed plugins."""
    from mlvgm.plugins.index import Index
    from mlvgm.weights.shipped import all_shipped

    found = all_shipped(Index.installed())
    if json:
        emit_json({"weights": [weights.record() for weights in found]})
        return
    rows = [
        (
            f"{weights.entry.kind}/{weights.entry.name}",
            weights.weights.name,
            "missing" if weights.size is None else f"{weights.size / 1e6:.1f} MB",
            weights.weights.licence,
            weights.weights.sha256[:12],
            weights.weights.summary,
        )
        for weights in found
    ]
    print_columns([("COMPONENT", "NAME", "SIZE", "LICENCE", "SHA256", "SUMMARY"), *rows])


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME|PATH]…", help="Default: everything that ships.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Check that weights are whole, finite and fit their component; exit code 1 if some are not."""
    from mlvgm.errors import CheckFailed
    from mlvgm.weights import verify as verification

    verdicts = verification.verify(names or ())
    problems = sum(verdict.status == "problem" for verdict in verdicts)
    if json:
        emit_json({"ok": problems == 0, "weights": [vars(verdict) for verdict in verdicts]})
    elif verdicts:
        print_columns([(verdict.status, verdict.name, verdict.detail) for verdict in verdicts])
    if problems:
        raise CheckFailed(f"{problems} of {len(verdicts)} weights are not usable")
