from __future__ import annotations

import gzip
import hashlib
import io
import urllib.request
from pathlib import Path

import pytest
import torch

from mlvgm.errors import InputError
from mlvgm_vision.datasets import fashion_mnist_files, fashion_mnist_sample
from mlvgm_vision.datasets.fashion_mnist import FashionMNIST, FashionMNISTConfig, fashion_mnist
from mlvgm_vision.datasets.fashion_mnist_files import CHECKSUMS, find_full, get_full
from mlvgm_vision.datasets.idx import read_idx, write_idx


def _touch(folder: Path, names: list[str] | None = None) -> Path:
    folder.mkdir(parents=True)
    for name in names or list(CHECKSUMS):
        (folder / f"{name}.gz").touch()
    return folder


def test_bundled_files_are_the_ones_that_were_made() -> None:
    for name, expected in fashion_mnist_sample.CHECKSUMS.items():
        content = gzip.decompress((fashion_mnist_sample.FOLDER / f"{name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == expected


def test_licence_lies_beside_the_bundled_files() -> None:
    assert "Zalando" in (fashion_mnist_sample.FOLDER / "LICENSE").read_text()


def test_sample_ids_mean_the_same_images_in_sample_and_full_set(sample: FashionMNIST, full: FashionMNIST) -> None:
    ids = range(2000)
    for bundled, complete in zip(sample.batch("test", ids), full.batch("test", ids), strict=True):
        assert torch.equal(bundled, complete)


def test_converter_makes_the_bundled_files(full: FashionMNIST, tmp_path: Path) -> None:
    fashion_mnist_sample.make_sample(Path(full.info.source), tmp_path)
    for name, expected in fashion_mnist_sample.CHECKSUMS.items():
        assert hashlib.sha256(gzip.decompress((tmp_path / f"{name}.gz").read_bytes())).hexdigest() == expected


def test_full_files_are_those_of_the_mirror(full: FashionMNIST) -> None:
    for name, expected in CHECKSUMS.items():
        file = fashion_mnist_files.locate(Path(full.info.source), name)
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected


def test_splits_are_the_original_ones_and_disjoint(full: FashionMNIST) -> None:
    images = read_idx(fashion_mnist_files.locate(Path(full.info.source), "train-images-idx3-ubyte"))
    assert [full.size(split) for split in ("train", "validation", "test")] == [55_000, 5_000, 10_000]
    for split, ids, originals in (("train", [0, 54_999], [0, 54_999]), ("validation", [0, 4_999], [55_000, 59_999])):
        batch, _ = full.batch(split, ids)
        assert torch.equal((batch[:, 0, 2:-2, 2:-2] * 255).round().byte(), images[originals])


def test_images_are_padded_floats_and_classes_are_balanced(sample: FashionMNIST) -> None:
    images, labels = sample.batch("test", range(2000))
    assert images.shape == (2000, 1, 32, 32) and images.dtype == torch.float32
    assert (images.min(), images.max()) == (0, 1)
    inside = images.clone()
    inside[:, :, 2:-2, 2:-2] = 0
    assert not inside.any()
    assert labels.dtype == torch.int64
    assert labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]  # as everywhere on the web
    assert labels.bincount(minlength=10).min() > 150


def test_ids_may_come_in_any_order_and_repeat(sample: FashionMNIST) -> None:
    images, labels = sample.batch("test", [7, 3, 7])
    assert torch.equal(images[0], images[2]) and not torch.equal(images[0], images[1])
    assert torch.equal(labels[1:2], sample.batch("test", [3])[1])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_sample_refuses_training_splits_and_says_what_to_do(sample: FashionMNIST, split: str) -> None:
    assert sample.info.sample
    with pytest.raises(InputError, match=r"no (train|validation) split.*make data"):
        sample.batch(split, [0])  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [-1, 2000])
def test_sample_refuses_ids_it_does_not_have(sample: FashionMNIST, index: int) -> None:
    with pytest.raises(InputError, match="from 0 to 1999"):
        sample.batch("test", [0, index])


def test_without_the_full_set_the_sample_is_used(nowhere: Path) -> None:
    assert fashion_mnist(FashionMNISTConfig()).info.sample


def test_places_are_searched_in_order(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_full(None) is None
    cache = _touch(nowhere / "cache/mlvgm/data/fashion-mnist/usr/share/datasets/fashion-mnist")
    assert find_full(None) == cache
    debian = _touch(nowhere / "system/usr/share/datasets/fashion-mnist")
    assert find_full(None) == debian
    monkeypatch.setenv("MLVGM_DATA", str(nowhere / "variable"))
    assert find_full(None) == debian  # the variable may name a folder of other data sets
    variable = _touch(nowhere / "variable/fashion-mnist")
    assert find_full(None) == variable
    option = _touch(nowhere / "option")
    assert find_full(nowhere / "option") == option


def test_incomplete_folders_are_passed_over(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLVGM_DATA", str(_touch(nowhere / "variable", list(CHECKSUMS)[:3])))
    cache = _touch(nowhere / "cache/mlvgm/data/fashion-mnist")
    assert find_full(None) == cache


def test_a_folder_the_user_names_is_never_replaced_by_another(nowhere: Path) -> None:
    _touch(nowhere / "system/usr/share/datasets/fashion-mnist")
    with pytest.raises(InputError, match="elsewhere"):
        fashion_mnist(FashionMNISTConfig(data_dir=nowhere / "elsewhere"))


class _Mirror:
    """Stands for the network: answers each address with ``content``."""

    def __init__(self, content: bytes) -> None:
        self.content, self.asked = content, []

    def __call__(self, address: str, *, timeout: float) -> io.BytesIO:
        self.asked.append(address)
        return io.BytesIO(self.content)


def test_download_checks_and_is_done_once(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = _Mirror(gzip.compress(b"content"))
    monkeypatch.setattr(urllib.request, "urlopen", mirror)
    for name in CHECKSUMS:
        monkeypatch.setitem(CHECKSUMS, name, hashlib.sha256(b"content").hexdigest())
    folder = get_full(None)
    assert folder == nowhere / "cache/mlvgm/data/fashion-mnist"
    assert len(mirror.asked) == 4 and all(address.endswith("-ubyte.gz") for address in mirror.asked)
    assert get_full(None) == folder and len(mirror.asked) == 4


@pytest.mark.parametrize("content", [gzip.compress(b"something else"), b"<html>not gzip</html>"], ids=["gzip", "html"])
def test_download_of_other_content_is_refused(nowhere: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", _Mirror(content))
    with pytest.raises(InputError, match="did not send"):
        fashion_mnist(FashionMNISTConfig(source="full"))
    assert find_full(None) is None


def test_download_without_network_says_what_to_do(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(address: str, *, timeout: float) -> io.BytesIO:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(InputError, match=r"no route to host.*make data"):
        fashion_mnist(FashionMNISTConfig(source="full"))


def test_sample_never_downloads(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = _Mirror(b"")
    monkeypatch.setattr(urllib.request, "urlopen", mirror)
    assert fashion_mnist(FashionMNISTConfig()).size("test") == 2000
    assert mirror.asked == []


@pytest.mark.parametrize("compress", [True, False])
def test_idx_files_read_as_written(tmp_path: Path, compress: bool) -> None:
    values = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4)
    content = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, *range(24)])
    assert write_idx(values) == content
    file = tmp_path / ("file.gz" if compress else "file")
    file.write_bytes(gzip.compress(content) if compress else content)
    assert torch.equal(read_idx(file), values)


@pytest.mark.parametrize(
    "content",
    [b"", b"not gzip", gzip.compress(bytes(100))[:20], gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 9, 1]))],
    ids=["empty", "not gzip", "truncated", "too short"],
)
def test_broken_idx_files_are_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.gz"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.gz"):
        read_idx(file)


def test_files_of_another_data_set_are_refused(tmp_path: Path) -> None:
    for name in CHECKSUMS:
        shape = (5, 28, 28) if "images" in name else (5,)
        (tmp_path / name).write_bytes(write_idx(torch.zeros(shape, dtype=torch.uint8)))
    with pytest.raises(InputError, match="expected 10000 images"):
        fashion_mnist(FashionMNISTConfig(data_dir=tmp_path)).batch("test", [0])
