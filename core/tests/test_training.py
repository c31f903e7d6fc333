"""What trainings share: every image once an epoch, noise of the right strength, averages."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlvgm.errors import InputError
from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import DataInfo, Split
from mlvgm.protocols.train import Made
from mlvgm.training.augmentation import mirrored, noisy_inputs
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.card import write_card
from mlvgm.training.config import WarmCosineConfig
from mlvgm.training.draws import Draws
from mlvgm.training.identity import of_data
from mlvgm.training.minibatches import check_image, minibatch
from mlvgm.training.session import Session

INFO = DataInfo("toy", ImageSpec(1, 2, 2), ("a", "b"), "MIT", "memory")
KEYS = Keys.of(seed=0, purpose="train", samples=[0])


@dataclass
class Numbered:
    """The pixels of image i are i / 2¹⁶, which is exact; notes which it was asked for."""

    count: int
    info: DataInfo = INFO
    seen: list[int] = field(default_factory=list)

    def size(self, split: Split) -> int:
        assert split == "train"
        return self.count

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        assert split == "train"
        self.seen.extend(ids)
        images = (torch.tensor(ids, dtype=torch.float32) / 2**16).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
        return images, torch.tensor(ids) % 2


def test_every_epoch_shows_every_image_once() -> None:
    data = Numbered(50)
    for step in range(13):
        images, labels = minibatch(data, step=step, batch=8, seed=0)
        assert torch.equal((images[:, 0, 0, 0] * 2**16).long() % 2, labels)
    assert sorted(data.seen[:50]) == sorted(data.seen[50:100]) == list(range(50))
    assert data.seen[:50] != data.seen[50:100] and len(data.seen) == 13 * 8


def test_a_step_does_not_depend_on_those_before_it_and_the_seed_decides() -> None:
    one, other, third = Numbered(50), Numbered(50), Numbered(50)
    minibatch(one, step=9, batch=8, seed=0)
    for step in range(10):
        minibatch(other, step=step, batch=8, seed=0)
    minibatch(third, step=9, batch=8, seed=1)
    assert one.seen == other.seen[-8:] and one.seen != third.seen


def test_equal_numbers_keep_their_order_on_every_machine() -> None:
    count = 60_000
    (chance,) = uniform(Keys.of(seed=0, purpose="order", samples=[0]), "order", (count,))
    assert len(chance.unique()) < count
    data = Numbered(count)
    minibatch(data, step=0, batch=count, seed=0)
    assert data.seen == np.argsort(chance.numpy(), kind="stable").tolist()


@dataclass
class Painted(Numbered):
    """Image i is of the grey value ``grey`` + i."""

    grey: int = 0

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        images = ((torch.tensor(ids) + self.grey) / 255).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
        return images, torch.tensor(ids) % 2


def test_data_are_known_by_their_images() -> None:
    known = of_data(Painted(50))
    elsewhere = dataclasses.replace(INFO, source="another folder")
    assert of_data(Painted(50, info=elsewhere)) == known == of_data(Painted(50))
    others = [Painted(51), Painted(50, grey=1), Painted(50, info=dataclasses.replace(INFO, name="other"))]
    assert all(of_data(other) != known for other in others)
    assert of_data(Painted(3)) != of_data(Painted(4))


def test_a_card_says_how_the_weights_were_made_and_claims_no_licence(tmp_path: Path) -> None:
    config = WarmCosineConfig(steps=9, batch=4, learning_rate=0.5, warmup_steps=7)
    session = Session("generator", "toy", config, Numbered(5), tmp_path, 3)
    session.weights.write_bytes(b"weights")
    made = Made(title="t", summary="s", use=(), findings=["found"], details=["more"])
    figure = tmp_path / "metrics.png"
    text = write_card(session, made, seconds=1.0, figure=figure, data_options={"size": [2, 2]}).read_text("utf-8")
    options = "'data.size=[2,2]' --set 'train.steps=9' --set 'train.batch=4' --set 'train.learning_rate=0.5'"
    assert f"`mlvgm train generator toy --data toy --seed 3 --set {options} --set 'train.warmup_steps=7'`" in text
    assert "- Data: toy, train split (MIT)" in text and "- found\n" in text and "](metrics.png)" in text
    assert "licence MIT" not in text and "- Licence: none stated" in text and text.endswith("more\n")


def test_data_that_do_not_fit() -> None:
    check_image(INFO, "network", (1, 2, 2), option="architecture")
    with pytest.raises(InputError, match=r"toy has 1×2×2 images, the network is for 3×2×2 \(set train\.architecture\)"):
        check_image(INFO, "network", (3, 2, 2), option="architecture")


def test_noise_has_the_share_and_strength_asked_for() -> None:
    clean = torch.full((4000, 1, 8, 8), 0.5)
    noisy = noisy_inputs(clean, Draws(KEYS, len(clean)), sigmas=(0.1, 0.3), share=0.75)
    deviations = (noisy - clean).flatten(1).std(1)
    assert (deviations > 0).float().mean().item() == pytest.approx(0.75, abs=0.03)
    # Uniform between the ends; clamping and 64-pixel estimates blur them a little.
    assert deviations[deviations > 0].mean().item() == pytest.approx(0.195, abs=0.01)
    assert noisy.min() == 0 and noisy.max() == 1


@pytest.mark.parametrize(("sigmas", "share"), [((0.0, 0.0), 1.0), ((0.1, 0.3), 0.0)])
def test_no_noise_is_the_images_themselves(sigmas: tuple[float, float], share: float) -> None:
    clean = torch.rand(2, 1, 4, 4)
    assert noisy_inputs(clean, Draws(KEYS, len(clean)), sigmas=sigmas, share=share) is clean


def test_processes_share_the_noise_of_a_batch() -> None:
    whole = Draws(KEYS, 6)
    for kind in ("normal", "uniform"):
        expected = getattr(whole, kind)("z", (2, 3))
        parts = [getattr(Draws(KEYS, 6, slice(first, first + 3)), kind)("z", (2, 3)) for first in (0, 3)]
        assert expected.shape == (6, 2, 3) and torch.equal(torch.cat(parts), expected)
        assert not torch.equal(getattr(whole.derive("other"), kind)("z", (2, 3)), expected)
        assert not torch.equal(getattr(whole, kind)("y", (2, 3)), expected)


def test_images_are_mirrored_below_a_half() -> None:
    images = torch.rand(3, 2, 2, 4, generator=torch.Generator().manual_seed(0))
    found = mirrored(images, torch.tensor([0.49, 0.5, 0.0]))
    assert torch.equal(found, torch.stack([images[0].flip(2), images[1], images[2].flip(2)]))


def test_averages_move_parameters_and_copy_buffers() -> None:
    average, model = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    with torch.no_grad():
        model.weight.fill_(3)
        model.running_mean.fill_(5)
    update_average(average, model, decay=0.75)
    assert average.weight.tolist() == [1.5, 1.5] and average.running_mean.tolist() == [5, 5]
    assert early_decay(0.99, 0) == 0.1 and early_decay(0.5, 100) == 0.5
