from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms.v2 import functional as transforms

from mlvgm.errors import InputError
from mlvgm_vision.datasets.image_files import read_image
from mlvgm_vision.datasets.image_folder import ImageFolder, ImageFolderConfig
from tolerance import close


def _pixels(seed: int, *, height: int = 12, width: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _save(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two classes, written in no order."""
    for number, name in enumerate(("dog/b.png", "cat/2.png", "cat/10.png", "dog/a.png")):
        _save(tmp_path / "animals" / name, _pixels(number))
    (tmp_path / "animals/cat/notes.txt").write_text("not an image")
    return tmp_path / "animals"


def test_order_labels_and_pixels(classes: Path) -> None:
    data = ImageFolder(ImageFolderConfig(path=classes))
    assert [str(file) for file in data.files] == ["cat/10.png", "cat/2.png", "dog/a.png", "dog/b.png"]
    assert data.info.label_names == ("cat", "dog") and data.info.image.shape == (3, 12, 10)
    images, labels = data.batch("test", [3, 0])
    assert labels.tolist() == [1, 0]
    assert torch.equal(
        (images * 255).round().byte(), torch.from_numpy(np.stack([_pixels(0), _pixels(2)])).movedim(3, 1)
    )


def test_classes_may_be_given_in_the_order_of_a_classifier(classes: Path) -> None:
    data = ImageFolder(ImageFolderConfig(path=classes, classes=("bird", "dog", "cat")))
    assert data.info.classes == 3
    assert data.batch("test", range(4))[1].tolist() == [2, 2, 1, 1]
    with pytest.raises(InputError, match="dog is none of the classes"):
        ImageFolder(ImageFolderConfig(path=classes, classes=("cat", "bird")))


def test_folder_without_labels(tmp_path: Path) -> None:
    for number, name in enumerate(("2.jpg", "1.PNG", ".hidden.png")):
        _save(tmp_path / name, _pixels(number))
    data = ImageFolder(ImageFolderConfig(path=tmp_path))
    assert [str(file) for file in data.files] == ["1.PNG", "2.jpg"]
    assert data.info.classes == 0 and data.batch("test", [0])[1].tolist() == [-1]


def test_folders_named_after_splits_are_splits(tmp_path: Path) -> None:
    for number, name in enumerate(("train/a/1.png", "train/b/2.png", "test/b/3.png")):
        _save(tmp_path / name, _pixels(number))
    data = ImageFolder(ImageFolderConfig(path=tmp_path))
    assert [data.size(split) for split in ("train", "validation", "test")] == [2, 0, 1]
    assert data.batch("test", [0])[1].tolist() == [1]
    with pytest.raises(InputError, match="validation"):
        data.batch("validation", [0])


def test_grey_is_what_pillow_makes(classes: Path) -> None:
    image = read_image(classes / "cat/2.png", channels=1)
    expected = np.asarray(Image.open(classes / "cat/2.png").convert("L"), dtype=np.float32) / 255
    assert image.shape == (1, 12, 10)
    assert np.abs(image[0].numpy() - expected).max() <= 1.01 / 255  # Pillow rounds to bytes


def test_grey_files_become_three_equal_channels(tmp_path: Path) -> None:
    _save(tmp_path / "grey.png", _pixels(0)[:, :, 0])
    image = read_image(tmp_path / "grey.png", channels=3)
    assert torch.equal((image * 255).round().byte(), torch.from_numpy(_pixels(0)[:, :, 0]).expand(3, -1, -1))


def test_resizing_is_torchvisions(classes: Path) -> None:
    data = ImageFolder(ImageFolderConfig(path=classes, height=6, width=8))
    original = torch.from_numpy(_pixels(3)).movedim(2, 0).float() / 255
    expected = transforms.resize(original, [6, 8], antialias=True)
    close(data.batch("test", [2])[0][0], expected)


def test_sixteen_bit_files_keep_their_range(tmp_path: Path) -> None:
    values = np.array([[0, 65535], [32768, 257]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    close(read_image(tmp_path / "deep.png", channels=1)[0], torch.from_numpy(values.astype(np.float32)) / 65535)


def test_orientation_of_photographs_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(_pixels(0))
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    data = ImageFolder(ImageFolderConfig(path=tmp_path))
    assert data.info.image.shape == (3, 10, 12)
    turned = torch.from_numpy(np.rot90(_pixels(0), -1).copy()).movedim(2, 0)
    assert torch.equal((data.batch("test", [0])[0][0] * 255).round().byte(), turned)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_arrays_of_floats(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random(shape)
    np.save(tmp_path / "image.npy", values)
    image = read_image(tmp_path / "image.npy", channels=3)
    expected = np.broadcast_to(values.reshape(4, 5, -1), (4, 5, 3)).astype(np.float32)
    assert np.array_equal(image.movedim(0, 2).numpy(), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), 1.5), r"expected pixels in \[0, 1\].*1.5"),
        (np.full((4, 4), -0.1), r"expected pixels in \[0, 1\].*-0.1"),
        (np.zeros((4, 4), dtype=np.int64), "int64"),
        (np.zeros((4, 4, 2)), r"\(4, 4, 2\)"),
        (np.zeros(4), "x.npy"),
    ],
)
def test_wrong_arrays_are_named(tmp_path: Path, values: np.ndarray, message: str) -> None:
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(InputError, match=message) as caught:
        ImageFolder(ImageFolderConfig(path=tmp_path)).batch("test", [0])
    assert "x.npy" in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".npy"])
@pytest.mark.parametrize("kept", [0, 20, 0.5, 0.9])
def test_one_truncated_image_is_named(classes: Path, suffix: str, kept: float) -> None:
    file = classes / f"cat/broken{suffix}"
    np.save(file, _pixels(9)) if suffix == ".npy" else _save(file, _pixels(9))
    content = file.read_bytes()
    file.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(InputError, match=rf"broken{suffix}.*repair or remove"):
        ImageFolder(ImageFolderConfig(path=classes)).batch("test", range(5))


def test_a_broken_image_does_not_disturb_until_it_is_used(classes: Path) -> None:
    file = classes / "cat/2.png"
    file.write_bytes(file.read_bytes()[:-40])
    data = ImageFolder(ImageFolderConfig(path=classes))
    data.batch("test", [0, 2, 3])
    with pytest.raises(InputError, match=r"2\.png"):
        data.batch("test", [1])


def test_images_of_different_sizes_need_a_size(classes: Path) -> None:
    _save(classes / "cat/large.png", _pixels(9, height=20))
    with pytest.raises(InputError, match=r"large.png is 20×10.*data.height"):
        ImageFolder(ImageFolderConfig(path=classes))
    assert ImageFolder(ImageFolderConfig(path=classes, height=8, width=8)).batch("test", range(5))[0].shape == (
        5,
        3,
        8,
        8,
    )


def test_folders_that_are_none(tmp_path: Path, classes: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        ImageFolder(ImageFolderConfig(path=tmp_path / "nosuch"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="found none"):
        ImageFolder(ImageFolderConfig(path=tmp_path / "empty"))
    _save(classes / "stray.png", _pixels(0))
    with pytest.raises(InputError, match=r"stray\.png"):
        ImageFolder(ImageFolderConfig(path=classes))


def test_ids_it_does_not_have_and_half_a_size(classes: Path) -> None:
    with pytest.raises(InputError, match="below 4"):
        ImageFolder(ImageFolderConfig(path=classes)).batch("test", [4])
    with pytest.raises(ValidationError, match="together"):
        ImageFolderConfig(path=classes, height=3)
