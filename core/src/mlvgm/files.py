"""Every file the program writes is whole or absent, or appended line by line; folders are checked beforehand.

A process may be killed between any two instructions. :func:`write_bytes` then leaves the old file, or none, and at most
a hidden ``.NAME.….part`` beside it, which :func:`remove_unfinished` takes away. :func:`append_line` leaves at most an
unfinished last line, which it cuts off the next time.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlvgm.errors import InputError, Stopped

_UNFINISHED = ".part"
_LEAST_FREE = 1_000_000  # bytes


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically: a reader sees the old or the new content, never half of it.

    A link stays one; a device or a pipe, which cannot be replaced, is written to.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            file.write(content)
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def append_line(path: Path, line: str) -> None:
    """Append one line and wait until it is on the disk.

    A line that a killed process left unfinished is cut off first, so that it never runs into the next one.
    """
    new = not path.exists()
    with path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    if new:
        _sync_folder(path.parent)


def is_unfinished(path: Path) -> bool:
    """Whether a file is what a killed process left of one that it was writing."""
    return re.fullmatch(rf"\..+\.[^.]+{re.escape(_UNFINISHED)}", path.name) is not None


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left in a folder; nobody else may be writing there."""
    for path in filter(is_unfinished, folder.iterdir() if folder.is_dir() else ()):
        path.unlink(missing_ok=True)


def disk_is_full(error: OSError) -> bool:
    """Whether there was no space left, or no more of it for this user."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def stopping_without_loss(safe: str, *, go_on: str) -> Iterator[None]:
    """Turn a full disk, or a file that cannot be read or written, into one message.

    Args:
        safe: what is not lost, in words.
        go_on: how to go on.

    Raises:
        Stopped: that happened.
    """
    try:
        yield
    except OSError as error:
        full = disk_is_full(error)
        what = "the disk is full" if full else reason(error)
        raise Stopped(f"{what}; {safe}", hint=f"free some space; {go_on}" if full else go_on) from None


def reason(error: OSError) -> str:
    """What went wrong and with which file, in words."""
    what = error.strerror or str(error) or type(error).__name__
    return what if error.filename is None else f"{what}: '{os.fsdecode(error.filename)}'"


def check_writable(folder: Path) -> None:
    """Refuse an output folder that could not be made or written, without making it.

    Raises:
        InputError: its nearest existing parent is a file or not writable, its name is impossible, or the disk is full.
    """
    path = folder.absolute()
    try:
        while not path.exists():
            path = path.parent
        for name in folder.absolute().relative_to(path).parts:
            (path / name).exists()  # each for itself: behind one that is missing, nothing is said about a name
        free = shutil.disk_usage(path).free
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot write to output folder '{folder}': {why}", hint="choose another name") from None
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to output folder '{folder}'", hint=f"'{path}' is no folder you may write to")
    if free < _LEAST_FREE:
        raise InputError(f"cannot write to output folder '{folder}': the disk is full", hint="free some space")


def check_empty(folder: Path, *, hint: str = "choose another") -> None:
    """Refuse an output folder as :func:`check_writable` does, and one that has something in it.

    Raises:
        InputError: it is not writable, or not empty.
    """
    check_writable(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"output folder '{folder}' is not empty", hint=hint)


def check_apart(folder: Path, out: Path) -> None:
    """Refuse an output folder inside its input, or the input itself: the next time its images would be input.

    Raises:
        InputError: it is.
    """
    source, target = folder.resolve(), out.resolve()
    if target == source or source in target.parents:
        raise InputError(f"output folder '{out}' lies in the input folder '{folder}'", hint="choose one elsewhere")


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where its file system can say so."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
