"""One command at a time on a run: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlvgm.errors import InputError
from mlvgm.files import reason

LOCK = ".lock"
# Who only looks whether a run is locked has it for an instant.
_TRIES, _SECONDS = 5, 0.05


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else works on the run in ``folder`` while inside.

    Where the file system knows no locks, nothing is locked.

    Raises:
        InputError: somebody does, or the folder cannot be written to.
    """
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"cannot write to run '{folder}' ({reason(error)})") from None
    try:
        if not _taken(handle, fcntl.LOCK_EX, tries=_TRIES):
            raise InputError(f"run '{folder}' is in use by another command", hint="wait until that ends, or stop it")
        yield
    finally:
        os.close(handle)


def is_locked(folder: Path) -> bool:
    """Whether somebody works on the run in ``folder``."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _taken(handle, fcntl.LOCK_SH, tries=1)
    finally:
        os.close(handle)


def _taken(handle: int, kind: int, *, tries: int) -> bool:
    for number in range(tries):
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if number + 1 < tries:
                time.sleep(_SECONDS)
        except OSError:
            return True
        else:
            return True
    return False
