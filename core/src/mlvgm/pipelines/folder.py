"""Purifying a folder of images."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Protocol

import torch

from mlvgm.errors import InputError, Stopped
from mlvgm.files import check_writable, disk_is_full, write_bytes
from mlvgm.noise import Keys
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.purifier import Purifier


class FolderDataset(Dataset, Protocol):
    """A data set whose samples are files.

    Attributes:
        files: name of each sample's file, relative to the folder.
    """

    @property
    def files(self) -> tuple[str, ...]: ...


def purify_folder(
    purifier: Purifier,
    data: FolderDataset,
    *,
    out: Path,
    seed: int | None = None,
    device: str = "cpu",
    batch: int = 64,
    progress: Callable[[int, int, str], None] = lambda done, total, message: None,
) -> int:
    """Purify every image of ``data`` once and write PNG files of the same names below ``out``.

    Args:
        purifier: what cleans them.
        data: the images; all are read before any is purified, so that a broken one is found first.
        out: folder for the results; made if missing, must be empty.
        seed: replayable noise; fresh entropy if None.
        device: torch device.
        batch: images at a time.
        progress: called with (done, total, message).

    Returns:
        how many images were written.

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
    check_writable(out)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"output folder '{out}' is not empty", hint="choose another")
    for ids in blocks:
        images, _ = data.batch("test", ids)
        keys = Keys.fresh(len(ids)) if seed is None else Keys.of(seed=seed, purpose="purify", samples=ids)
        with torch.no_grad():
            purified = purifier.purify(images.to(device), purifier.noise(keys)).clamp(0, 1).cpu()
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
    return count


def write_png(path: Path, image: torch.Tensor) -> None:
    """Write an image (C, H, W) in [0, 1] as 8-bit PNG, rounding to nearest; the file is whole or absent."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (image * 255).round().to(torch.uint8).movedim(0, 2).numpy()
    content = BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(content, format="PNG")
    write_bytes(path, content.getvalue())
