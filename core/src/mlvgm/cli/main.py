"""The command ``mlvgm``: puts the verbs together and turns errors into one line and an exit code.

Exit codes: 0 done · 1 done, a check or threshold failed · 2 usage, configuration, input or plugin error · 3 stopped,
resumable · 70 internal error · 130 Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer

from mlvgm.errors import MlvgmError
from mlvgm.files import disk_is_full

# Each is a module of this package with ``register(app)`` that imports nothing heavy before a command runs.
VERBS: tuple[str, ...] = ("run", "runs", "report", "purify", "train", "audit", "weights", "plugins")

_TRACEBACK = "--traceback"
_NO_SPACE = 2
_INTERNAL_ERROR = 70
_INTERRUPTED = 130


def build_app(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """The Typer application with ``verbs``."""
    app = typer.Typer(
        name="mlvgm",
        help="Multiple latent variable generative models: purify, measure, generate views.",
        epilog="Example: mlvgm run purify --generator nvae --attack autoattack",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    for verb in verbs:
        import_module(f"mlvgm.cli.{verb}").register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: without the program's name; those of the process by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    # Threads that wait by spinning slow a run several times where another process wants the same cores. Read when torch
    # is imported; costs 4 % on an idle machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.showwarning = _show_warning
    try:
        # Typer knows the option only for its help: it may stand anywhere, and is needed when Typer has failed.
        app = build_app(_verbs(arguments))
        app(args=[argument for argument in arguments if argument != _TRACEBACK], prog_name="mlvgm")
        sys.exit(0)
    except MlvgmError as error:
        _fail(error, str(error), error.exit_code, show_traceback=_TRACEBACK in arguments)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:
        if isinstance(error, OSError) and disk_is_full(error):
            _fail(error, f"the disk is full: {error}", _NO_SPACE, show_traceback=_TRACEBACK in arguments)
        message = f"{type(error).__name__}: {error} (a bug in mlvgm or a plugin; {_TRACEBACK} shows where)"
        _fail(error, f"internal error: {message}", _INTERNAL_ERROR, show_traceback=_TRACEBACK in arguments)


def _verbs(arguments: Sequence[str]) -> Sequence[str]:
    """The verbs that this command line can need; Typer's start-up grows with each.

    No global option takes a value, so the first word is the verb.
    """
    word = next((argument for argument in arguments if not argument.startswith("-")), None)
    if word in VERBS:
        return [word]
    return [] if word is None and "--version" in arguments else VERBS


def _fail(error: Exception, message: str, exit_code: int, *, show_traceback: bool) -> NoReturn:
    if show_traceback:
        import traceback

        traceback.print_exception(error)
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(exit_code)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"mlvgm {version('mlvgm-core')}")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    traceback: Annotated[bool, typer.Option(_TRACEBACK, help="On an error, show where it happened.")] = False,
) -> None:
    """Multiple latent variable generative models: purify, measure, generate views."""
