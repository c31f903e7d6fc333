"""A run at work: nobody else touches it, signals end it in order, and its folder says how it ended."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from mlvgm.errors import Interruption, Stopped
from mlvgm.files import remove_unfinished
from mlvgm.foreign.others import BadAnswer
from mlvgm.runs.lock import locked
from mlvgm.runs.rundir import RunDirectory, State

# What a terminal, a batch system or `kill` sends to end a program.
_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def at_work(run: RunDirectory, *, go_on: str, leads: bool = True) -> Iterator[None]:
    """While inside, the run is locked and ``running``; afterwards ``finished``, ``stopped`` or ``failed``.

    Args:
        run: the run.
        go_on: how to go on with a stopped run, in words.
        leads: this process writes the status; the others of a group only hear signals.

    Raises:
        InputError: another command works on the run, or it cannot be written to.
        Stopped: SIGTERM, SIGHUP, a file could not be written, or a module of other people has failed after records
            exist; everything recorded is safe.
    """

    def ended(state: State, error: BaseException) -> None:
        if leads:
            with suppress(OSError):  # a full disk cannot take this either; the records say enough
                run.set_status(state, reason=str(error) or type(error).__name__)

    with locked(run.path) if leads else nullcontext():
        try:
            with run.keeping_records(go_on), stopping_on_signals(go_on):
                if leads:
                    for folder in (run.path, run.images):
                        remove_unfinished(folder)
                    run.set_status("running")
                yield
                if leads:
                    run.set_status("finished")
        except (Stopped, KeyboardInterrupt) as error:
            ended("stopped", error)
            raise
        except BadAnswer as error:
            ended("stopped", error)
            if not run.records.exists():  # nothing to keep: an error like any found before
                raise
            raise Stopped(error.message, hint=f"finished units are safe; once that is mended, {go_on}") from error
        except BaseException as error:
            ended("failed", error)
            raise


class _Terminated(Interruption):
    """SIGTERM or SIGHUP came."""


@contextmanager
def stopping_on_signals(go_on: str, *, kept: str = "finished units are safe") -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into :class:`Stopped` while inside (main thread only; elsewhere it does nothing).

    Args:
        go_on: how to go on, in words.
        kept: what is not lost.
    """

    def stop(number: int, frame: object) -> None:
        raise _Terminated(signal.Signals(number).name)

    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        for number, handler in before.items():
            if handler not in (signal.SIG_IGN, None):  # ignored under nohup, which wants a run to outlive its terminal
                signal.signal(number, stop)
    except ValueError:
        yield
        return
    try:
        yield
    except _Terminated as error:
        raise Stopped(f"terminated by {error}; {kept}", hint=go_on) from None
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
