"""The command ``mlvgm``: puts the verbs together and turns errors into one line and an exit code.

Exit codes: 0 done · 1 done, a check or threshold failed · 2 usage, configuration, input or plugin error · 3 stopped,
resumable · 70 internal error · 130 Ctrl-C.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer

from mlvgm.cli.plugged import mount
from mlvgm.cli.typed import remember
from mlvgm.errors import InputError, InternalError, MlvgmError, UsageError
from mlvgm.files import disk_is_full, reason

# Each is a module of this package with ``register(app)`` that imports nothing heavy before a command runs.
VERBS: tuple[str, ...] = ("run", "runs", "report", "train", "weights", "plugins")

_TRACEBACK = "--traceback"
_INTERRUPTED = 130
_LONG = re.compile(r"(\S{300})\S+")  # a word that nobody wrote by hand
# What torch says in a RuntimeError of its own.
_MEMORY = re.compile("allocate memory|not enough memory|out of memory", re.IGNORECASE)


def build_app(verbs: Iterable[str] = VERBS, words: Sequence[str] = (), *, brought: bool = True) -> typer.Typer:
    """The Typer application.

    Args:
        verbs: those of core.
        words: of the command line, the verb first.
        brought: with the commands that plugins bring.
    """
    app = typer.Typer(
        name="mlvgm",
        help="Multiple latent variable generative models: purify, measure, generate views.",
        epilog="`mlvgm run` lists the jobs; `mlvgm run JOB --help` has examples.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    for verb in verbs:
        import_module(f"mlvgm.cli.{verb}").register(app, words[1:])
    if brought:
        mount(app, "commands", words[0] if words else None)
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
    # The system takes back what a process has; looking for garbage at its end is 3 % of a short command.
    atexit.register(gc.disable)
    warnings.showwarning = _show_warning
    remember(arguments)
    try:
        _refuse_bytes(arguments)
        # Typer knows the option only for its help: it may stand anywhere, and is needed when Typer has failed. Typer's
        # start-up grows with each command, so it gets those that this line can need; no global option takes a value.
        words = [argument for argument in arguments if not argument.startswith("-")]
        verb = words[0] if words else None
        version = verb is None and "--version" in arguments
        verbs = () if version else [verb] if verb in VERBS else VERBS
        app = build_app(verbs, words, brought=not version and verb not in VERBS)
        code = app(
            args=[argument for argument in arguments if argument != _TRACEBACK],
            prog_name="mlvgm",
            standalone_mode=False,
        )
        sys.exit(code or 0)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and _blame(error) is None:
            raise
        if _TRACEBACK in arguments:
            import traceback

            traceback.print_exception(error)
        _fail(as_expected(error), as_json="--json" in arguments)


def as_expected(error: BaseException) -> MlvgmError:
    """An error with message, hint and exit code: itself, what the system or Typer says, or an internal error."""
    if isinstance(error, MlvgmError):
        return error
    if hasattr(error, "format_message"):  # Typer's; its class is private
        where = getattr(getattr(error, "ctx", None), "command_path", "mlvgm")
        return UsageError(error.format_message(), hint=f"see `{where} --help`")
    if isinstance(error, OSError) and disk_is_full(error):
        return InputError(f"the disk is full: {reason(error)}")
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _MEMORY.search(str(error))):
        return InputError("not enough memory", hint="fewer images or draws at a time; see `memory` and `block`")
    blame = _blame(error)
    if blame is not None:
        return blame
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(reason(error))
    message = f"internal error: {type(error).__name__}: {error}"
    return InternalError(message, hint=f"a bug in mlvgm or a plugin; {_TRACEBACK} shows where")


def _fail(error: MlvgmError, *, as_json: bool) -> NoReturn:
    message, hint = (text and _LONG.sub(r"\1…", " ".join(text.split())) for text in (error.message, error.hint))
    with suppress(OSError):  # the terminal may be gone
        if as_json:
            import json

            print(json.dumps({"error": message, "hint": hint, "exit": error.exit_code}), file=sys.stderr)
        elif message:  # empty where Typer has shown a command's help
            print(f"error: {message}" + (f" ({hint})" if hint else ""), file=sys.stderr)
    sys.exit(error.exit_code)


def _refuse_bytes(arguments: Sequence[str]) -> None:
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"expected text in UTF-8, came {argument!r}") from None


def _blame(error: BaseException) -> MlvgmError | None:
    """The error that names the plugin whose code raised ``error``, if one has."""
    if "mlvgm.plugins.load" not in sys.modules:  # then no plugin was imported
        return None
    from mlvgm.plugins.blame import blamed

    with suppress(Exception):  # what has failed is said in any case
        return blamed(error)
    return None


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
