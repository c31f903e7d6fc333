"""Purifying a folder of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from mlvgm.errors import InputError, Stopped
from mlvgm.files import check_empty, disk_is_full
from mlvgm.noise import Keys
from mlvgm.pictures import write_grid, write_png
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.purifier import Purifier

SHEET = "before-after.png"
SHEET_ROWS = 12


class FolderDataset(Dataset, Protocol):
    """A data set whose samples are files.

    Attributes:
        files: name of each sample's file, relative to the folder.
        left_out: how many other files there are.
    """

    @property
    def files(self) -> tuple[str, ...]: ...

    @property
    def left_out(self) -> int: ...

    def alterations(self) -> dict[str, int]:
        """What reading changes about how many of them, in words."""
        ...


@dataclass(frozen=True)
class Purified:
    """What became of a folder.

    Args:
        images: how many there are.
        altered: what reading changed about how many of them, in words.
        left_out: how many files were no images that are read.
        sheet: picture of some images before and after.
    """

    images: int
    altered: dict[str, int]
    left_out: int
    sheet: Path


def purify_folder(
    purifier: Purifier,
    data: FolderDataset,
    *,
    out: Path,
    seed: int | None = None,
    device: str = "cpu",
    batch: int = 64,
    progress: Callable[[int, int, str], None] = lambda done, total, message: None,
) -> Purified:
    """Purify every image of ``data`` once and write PNG files of the same names below ``out``.

    Beside them goes a sheet of the first images before and after.

    Args:
        purifier: what cleans them.
        data: the images; all are read before any is purified, so that a broken one is found first.
        out: folder for the results; made if missing, must be empty.
        seed: replayable noise; fresh entropy if None.
        device: torch device.
        batch: images at a time.
        progress: called with (done, total, message).

    Raises:
        InputError: an image is broken, or ``out`` is not empty or not writable. Nothing is written then.
        Stopped: the disk is full; what is written stays, each file whole.
    """
    count = data.size("test")
    if not count:
        raise InputError(f"no images to purify in {data.info.source}", hint="folders train and validation are left out")
    blocks = [list(range(start, min(start + batch, count))) for start in range(0, count, batch)]
    for ids in blocks:
        data.batch("test", ids)
    names = [Path(file).with_suffix(".png") for file in data.files]
    if len(set(names)) < count:
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two images would become '{twice}'", hint="file names must differ in more than their endings")
    if Path(SHEET) in names:
        raise InputError(f"an image is called '{SHEET}' as the sheet of all is", hint="give it another name")
    check_empty(out)
    altered = data.alterations()
    pairs: list[torch.Tensor] = []
    for ids in blocks:
        images, _ = data.batch("test", ids)
        keys = Keys.fresh(len(ids)) if seed is None else Keys.of(seed=seed, purpose="purify", samples=ids)
        with torch.no_grad():
            purified = purifier.purify(images.to(device), purifier.noise(keys)).clamp(0, 1).cpu()
        pairs += [torch.stack(pair) for pair in zip(images, purified, strict=True)][: SHEET_ROWS - len(pairs)]
        for index, image in zip(ids, purified, strict=True):
            try:
                write_png(out / names[index], image)
            except OSError as error:
                if disk_is_full(error):
                    raise Stopped(
                        f"the disk is full; {index} of {count} images are purified, in '{out}'",
                        hint="free some space and choose another --out",
                    ) from None
                raise
        progress(ids[-1] + 1, count, "")
    write_grid(out / SHEET, torch.stack(pairs), titles=("before", "after"))
    return Purified(count, altered, data.left_out, out / SHEET)
