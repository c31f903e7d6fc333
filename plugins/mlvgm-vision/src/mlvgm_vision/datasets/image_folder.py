"""The user's own images: one folder a class, or one folder without labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.latents import ImageSpec
from mlvgm.protocols.data import DataInfo, Split
from mlvgm_vision.datasets.config import ImageFolderConfig
from mlvgm_vision.datasets.image_files import SUFFIXES, alterations, colours, image_size, read_image

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
UNLABELLED = -1


class ImageFolder:
    """Images of a folder, sorted by path, so a sample id always means the same file.

    All headers are checked when it is built; files are decoded when they are asked for. A folder without labels has no
    classes, and its labels are -1.

    Attributes:
        info: sizes and label names.
        files: of the test split, in the order of its sample ids, relative to the folder.

    Raises:
        InputError: no images, a broken header, images of different sizes without ``size``, unknown class folders.
    """

    def __init__(self, config: ImageFolderConfig) -> None:
        self._config = config
        roots = _split_folders(config.path)
        found = {split: _images(folder) for split, folder in roots.items()}
        if not any(found.values()):
            raise InputError(
                f"expected images in {config.path}, found none", hint=f"kinds of files: {', '.join(sorted(SUFFIXES))}"
            )
        names = sorted({label for images in found.values() for label, _ in images if label is not None})
        classes = config.classes or tuple(names)
        if surplus := sorted(set(names) - set(classes)):
            raise InputError(
                f"folder {config.path / surplus[0]} is none of the classes: {', '.join(classes)}",
                hint="add it to data.classes, or move it away",
            )
        self._labels = {
            split: torch.tensor([UNLABELLED if label is None else classes.index(label) for label, _ in images])
            for split, images in found.items()
        }
        self._files = {split: tuple(file for _, file in images) for split, images in found.items()}
        files = [file for split in self._files.values() for file in split]
        height, width = _common_size(files, config.size)
        self.info = DataInfo(
            name="image-folder",
            image=ImageSpec(config.channels, height, width),
            label_names=classes if names else (),
            licence=config.licence,
            source=str(config.path),
        )

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file.relative_to(self._config.path) for file in self._files.get("test", ()))

    @property
    def left_out(self) -> int:
        """How many visible files below the folder are no images of the test split."""
        there = sum(file.is_file() and not _hidden(file, self._config.path) for file in self._config.path.rglob("*"))
        return there - len(self.files)

    @property
    def grey(self) -> bool:
        """No image of the test split has colours."""
        return all(colours(file) == 1 for file in self._files.get("test", ()))

    def alterations(self) -> dict[str, int]:
        """What reading changes about how many images of the test split, in words."""
        shape = self.info.image.shape
        found = (alterations(file, channels=shape[0], size=shape[1:]) for file in self._files.get("test", ()))
        return dict(Counter(words for each in found for words in each))

    def size(self, split: Split) -> int:
        """Number of images of ``split``, 0 where there is no such folder."""
        return len(self._files.get(split, ()))

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) in [0, 1] and labels (B,), -1 where there are none.

        Raises:
            InputError: a file is broken, or there is no such sample id.
        """
        files, chosen = self._files.get(split, ()), [int(i) for i in ids]
        if any(not 0 <= i < len(files) for i in chosen):
            raise InputError(
                f"expected sample ids below {len(files)} in the {split} split of {self._config.path}, came "
                f"{min(chosen)} to {max(chosen)}",
                hint="ask for fewer images" if files else f"put them into {self._config.path / split}",
            )
        shape = self.info.image.shape
        images = [read_image(files[i], channels=self._config.channels, size=shape[1:]) for i in chosen]
        if not images:
            return torch.empty(0, *shape), torch.empty(0, dtype=torch.int64)
        return torch.stack(images), self._labels[split][chosen]


def image_folder(config: ImageFolderConfig) -> ImageFolder:
    """Factory of the data set ``image-folder``."""
    return ImageFolder(config)


def _split_folders(root: Path) -> dict[Split, Path]:
    if not root.is_dir():
        raise InputError(f"expected a folder of images, {root} is not a folder", hint="check data.path")
    splits: dict[Split, Path] = {split: root / split for split in SPLITS if (root / split).is_dir()}
    return splits or {"test": root}


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _images(folder: Path) -> list[tuple[str | None, Path]]:
    """Class (None in a folder without classes) and file of all images, sorted."""
    flat = _files(folder)
    inside = [(child.name, file) for child in _folders(folder) for file in _files(child, deep=True)]
    if flat and inside:
        raise InputError(
            f"{folder} has images beside class folders: {flat[0].name}, {inside[0][1].relative_to(folder)}",
            hint="move the images into class folders, or the folders away",
        )
    return [(None, file) for file in flat] or [(label, file) for label, file in inside]


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _files(folder: Path, *, deep: bool = False) -> list[Path]:
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(
        file for file in found if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )


def _common_size(files: Sequence[Path], size: tuple[int, int] | None) -> tuple[int, int]:
    """``size`` or the size all images share; reads every header either way."""
    sizes = [image_size(file) for file in files]
    if size is not None:
        return size
    for file, other in zip(files, sizes, strict=True):
        if other != sizes[0]:
            raise InputError(
                f"images differ in size: {files[0]} is {sizes[0][0]}×{sizes[0][1]}, {file} is {other[0]}×{other[1]}",
                hint="set data.height and data.width",
            )
    return sizes[0]
