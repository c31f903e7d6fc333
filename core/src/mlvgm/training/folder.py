"""Whether a training can begin in a folder, or go on in it; imports no torch."""

from __future__ import annotations

from pathlib import Path

from mlvgm.errors import InputError
from mlvgm.files import check_writable
from mlvgm.runs.lock import LOCK


def check_folder(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that a training cannot begin in, or go on in.

    Raises:
        InputError: it is not writable, or in use and ``resume`` is not set, or ``resume`` is and it has nothing.
    """
    check_writable(folder)
    used = folder.exists() and any(path.name != LOCK for path in folder.iterdir())
    if used and not resume:
        raise InputError(f"folder '{folder}' is not empty", hint="add --resume, or choose another with --out")
    if resume and not used:
        raise InputError(
            f"there is nothing to resume in '{folder}'", hint="name the folder with --out, or drop --resume"
        )
