from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import DataInfo, Split
from mlvgm_vision.datasets import fashion_mnist_files
from mlvgm_vision.datasets.fashion_mnist import FashionMNIST, FashionMNISTConfig, fashion_mnist


@pytest.fixture(scope="session")
def sample() -> FashionMNIST:
    return fashion_mnist(FashionMNISTConfig(source="sample"))


@pytest.fixture(scope="session")
def full() -> FashionMNIST:
    folder = fashion_mnist_files.find_full(None)
    if folder is None:
        pytest.skip("the full Fashion-MNIST is not on this computer (`make data` fetches it)")
    return FashionMNIST(folder)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer without Fashion-MNIST: every place that is searched is an empty folder below the one returned."""
    monkeypatch.delenv("MLVGM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_mnist_files, "SYSTEM", tmp_path / "system")
    return tmp_path


class Stripes:
    """Two classes of 8×8 images, horizontal and vertical stripes in noise."""

    sizes = {"train": 80, "validation": 24, "test": 40}  # noqa: RUF012

    def __init__(self) -> None:
        self.info = DataInfo("stripes", ImageSpec(1, 8, 8), ("horizontal", "vertical"), "MIT", "made here")

    def size(self, split: Split) -> int:
        return self.sizes[split]

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        noise = uniform(Keys.of(seed=0, purpose=split, samples=ids), "image", (1, 8, 8))
        labels = torch.tensor([i % 2 for i in ids])
        rows = torch.tensor([0.0, 1.0]).repeat(4)
        stripes = torch.stack([rows[:, None].expand(8, 8), rows[None].expand(8, 8)])
        return 0.5 * noise + 0.5 * stripes[labels][:, None], labels


@pytest.fixture
def stripes() -> Stripes:
    return Stripes()
