from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import short_training
from mlvgm.errors import InputError
from mlvgm.noise import Keys
from mlvgm.protocols.train import Trained
from mlvgm.training.minibatches import order
from mlvgm_vision.classifiers.shipped import FashionCNNConfig, fashion_cnn
from mlvgm_vision.datasets.fashion_mnist import FashionMNIST
from mlvgm_vision.training.augmentation import augment
from mlvgm_vision.training.confusion import accuracy, confusion
from mlvgm_vision.training.fashion_cnn import one_cycle

OPTIONS = {"steps": 20, "batch": 16, "shift": 1, "flips": False}  # 4 passes over 80 images


def _train(data: Any, folder: Path, *, seed: int = 0, **options: Any) -> Trained:
    return short_training.run("classifier", "fashion-cnn", {**OPTIONS, **options}, data, folder, seed=seed)[1]


def _begin(data: Any, folder: Path, **options: Any) -> Any:
    return short_training.begin("classifier", "fashion-cnn", {**OPTIONS, **options}, data, folder)


@pytest.fixture
def trained(stripes: Any, tmp_path: Path) -> Trained:
    return _train(stripes, tmp_path / "uninterrupted")


def test_it_learns_and_its_weights_can_be_used(stripes: Any, trained: Trained) -> None:
    assert trained.metrics["test accuracy"] >= 0.9
    (setting,) = trained.use
    assert setting == f"classifier.weights={trained.weights}"
    classifier = fashion_cnn(FashionCNNConfig(weights=str(trained.weights)), data=stripes.info)
    images, labels = stripes.batch("test", range(40))
    right = float((classifier(images).argmax(1) == labels).float().mean())
    assert right == pytest.approx(trained.metrics["test accuracy"])


def test_killed_and_resumed_ends_with_the_same_weights(stripes: Any, tmp_path: Path) -> None:
    """Inside a pass over the images; the global random state plays no part."""
    short_training.check_killed_and_resumed("classifier", "fashion-cnn", OPTIONS, stripes, tmp_path, stop=8)


def test_the_validation_split_is_watched_after_each_pass(stripes: Any, tmp_path: Path) -> None:
    seen = short_training.figures("classifier", "fashion-cnn", {**OPTIONS, "steps": 12}, stripes, tmp_path)
    assert [number for number, figures in enumerate(seen, 1) if "validation accuracy" in figures] == [5, 10, 12]


def test_the_seed_decides_and_the_global_random_state_stays(stripes: Any, tmp_path: Path, trained: Trained) -> None:
    state = torch.get_rng_state()
    other = _train(stripes, tmp_path / "other", seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert other.weights.read_bytes() != trained.weights.read_bytes()


def test_card_says_how_and_how_good(trained: Trained) -> None:
    card = trained.card.read_text()
    assert "`mlvgm train classifier fashion-cnn --data stripes --seed 0 --set 'train.steps=20'" in card
    assert f"**{trained.metrics['test accuracy']:.2%}**" in card and "Wilson" in card
    assert "| horizontal |" in card and "| vertical |" in card


def test_the_accuracy_that_is_published_is_of_the_test_split(
    stripes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = stripes.batch

    def turned(split: str, ids: Any) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = batch(split, ids)
        return images, 1 - labels if split == "validation" else labels

    monkeypatch.setattr(stripes, "batch", turned)
    metrics = _train(stripes, tmp_path / "it").metrics
    assert metrics["validation accuracy"] <= 0.1 and metrics["test accuracy"] >= 0.9


def test_training_refuses_the_sample_and_images_that_do_not_fit(
    sample: FashionMNIST, stripes: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"only a bundled sample.*make data"):
        _train(sample, tmp_path)
    stripes.sizes = {**stripes.sizes, "train": 0}
    with pytest.raises(InputError, match="at least two classes"):
        _train(stripes, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [one_cycle(step, 100, peak=2.0, warm_up=0.25) for step in range(100)]
    assert rates[0] == pytest.approx(2 / 25) and rates[25] == max(rates) == 2.0
    assert rates[:26] == sorted(rates[:26]) and rates[25:] == sorted(rates[25:], reverse=True)
    assert rates[-1] == pytest.approx(1 + math.cos(math.pi * 74 / 75))


def test_augmented_images_are_shifts_and_mirror_images() -> None:
    images = torch.rand(200, 2, 6, 5)
    keys = Keys.of(seed=0, purpose="test", samples=range(200))
    chosen = []
    for image, result in zip(images, augment(images, keys, shift=1, flip=True), strict=True):
        padded = F.pad(image, [1] * 4)
        candidates = {}
        for top in range(3):
            for left in range(3):
                candidates[top, left, False] = padded[:, top : top + 6, left : left + 5]
                candidates[top, left, True] = candidates[top, left, False].flip(2)
        matches = [name for name, candidate in candidates.items() if torch.equal(candidate, result)]
        assert len(matches) == 1
        chosen += matches
    assert len(set(chosen)) == 18  # each of them happens
    assert 70 < sum(mirrored for _, _, mirrored in chosen) < 130


def test_augmentation_of_an_image_does_not_depend_on_its_batch() -> None:
    images = torch.rand(8, 1, 6, 6)
    keys = Keys.of(seed=0, purpose="test", samples=range(8))
    whole = augment(images, keys, shift=2, flip=True)
    order = [5, 2]
    assert torch.equal(augment(images[order], keys[order], shift=2, flip=True), whole[order])


def test_confusion_counts_by_true_and_predicted_class(stripes: Any, tmp_path: Path) -> None:
    class AlwaysSecond(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 1.0]).expand(len(images), 2)

    counts = confusion(AlwaysSecond(), _begin(stripes, tmp_path).session, "test")
    assert counts.tolist() == [[0, 20], [0, 20]] and accuracy(counts) == 0.5


def test_every_epoch_has_an_order_and_augmentations_of_its_own(stripes: Any, tmp_path: Path) -> None:
    orders = [order(80, seed=0, epoch=epoch, purpose="train/order") for epoch in range(3)]
    assert all(sorted(ids) == list(range(80)) for ids in orders)
    stripes.batch = lambda split, ids: (torch.ones(len(ids), 1, 8, 8), torch.tensor(ids) % 2)
    training = _begin(stripes, tmp_path)
    epochs = [[training.batch(5 * epoch + index) for index in range(5)] for epoch in range(3)]
    for one, other in combinations(range(3), 2):
        assert orders[one] != orders[other]
        # Shifted by at most one pixel, so that nine images are all that there can be; their order tells.
        assert not torch.equal(*(torch.cat([images for images, _ in epochs[epoch]]) for epoch in (one, other)))
    for epoch in range(3):
        assert torch.cat([labels for _, labels in epochs[epoch]]).tolist() == [i % 2 for i in orders[epoch]]


def test_augmentations_of_one_image_differ_by_epoch(stripes: Any, tmp_path: Path) -> None:
    size = stripes.sizes["train"]
    stripes.batch = lambda split, ids: (torch.eye(8).expand(len(ids), 1, 8, 8), torch.tensor(ids))
    training = _begin(stripes, tmp_path, batch=size, shift=2)
    seen = [dict(zip(labels.tolist(), images, strict=True)) for images, labels in map(training.batch, range(3))]
    for one, other in combinations(seen, 2):
        assert sum(torch.equal(one[i], other[i]) for i in range(size)) < size / 3


def test_smoothing_gives_every_class_its_share_of_the_label(stripes: Any, tmp_path: Path) -> None:
    """Logits 2 and 0 with a label that is 0.9 the first class and 0.1 the second."""
    training = _begin(stripes, tmp_path, smoothing=0.2)
    training.network = lambda images: torch.tensor([2.0, 0.0], requires_grad=True).expand(len(images), 2)
    training.batch = lambda number: (torch.ones(3, 1, 8, 8), torch.zeros(3, dtype=torch.long))
    assert training.step(0)["loss"] == pytest.approx(math.log(1 + math.exp(-2)) + 0.1 * 2, rel=1e-5)
