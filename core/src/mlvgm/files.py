"""Files that are whole or absent, and folders that are checked before anything is computed for them."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from mlvgm.errors import InputError


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically: a reader sees the old or the new content, never half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def disk_is_full(error: OSError) -> bool:
    """Whether there was no space left, or no more of it for this user."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def check_writable(folder: Path) -> None:
    """Refuse an output folder that could not be made or written, without making it.

    Raises:
        InputError: its nearest existing parent is a file or not writable.
    """
    path = folder.absolute()
    while not path.exists():
        path = path.parent
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to output folder '{folder}'", hint=f"'{path}' is no folder you may write to")
