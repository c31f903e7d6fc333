"""Training of FashionCNN: AdamW with a one-cycle rate, flips and small shifts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from mlvgm.errors import InputError
from mlvgm.files import write_bytes
from mlvgm.noise import Keys
from mlvgm.protocols.data import DataInfo, Dataset
from mlvgm.protocols.train import Made
from mlvgm.statistics import wilson
from mlvgm.tensors_file import as_bytes
from mlvgm.training.minibatches import order
from mlvgm.training.schedule import set_rate
from mlvgm.training.session import Session
from mlvgm_vision.classifiers.fashion_cnn import FashionCNN
from mlvgm_vision.training.augmentation import augment
from mlvgm_vision.training.confusion import accuracy, by_class, confusion
from mlvgm_vision.training.training_config import FashionCNNTrainingConfig


def one_cycle(step: int, steps: int, *, peak: float, warm_up: float) -> float:
    """Learning rate of ``step``: a cosine up from peak / 25, then a cosine down to nearly zero (arXiv 1708.07120)."""
    turn = warm_up * steps
    if step < turn:
        return peak * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / turn)) / 2)
    return peak * max(1e-4, (1 + math.cos(math.pi * (step - turn) / (steps - turn))) / 2)


class FashionCNNTraining:
    """``mlvgm train classifier fashion-cnn``, on a data set whose image sides are multiples of 8.

    Learns from the train split, watches the validation split after each pass, reports on the test split.

    Raises:
        InputError: the images do not fit, or there are no classes.
    """

    def __init__(self, config: FashionCNNTrainingConfig, *, session: Session) -> None:
        _check(session.data)
        self.config, self.session = config, session
        info = session.data.info
        self.network = session.shared(
            session.initial(lambda: FashionCNN(channels=info.image.channels, classes=info.classes))
        )
        self.optimiser = torch.optim.AdamW(self.network.parameters(), weight_decay=config.weight_decay, fused=True)
        self.parts = {"network": self.network, "optimiser": self.optimiser}
        self.per_epoch = max(1, session.data.size("train") // config.batch)

    def step(self, number: int) -> Mapping[str, float]:
        config, session = self.config, self.session
        images, labels = self.batch(number)
        set_rate(one_cycle(number, config.steps, peak=config.learning_rate, warm_up=config.warm_up), self.optimiser)
        loss = F.cross_entropy(self.network(images), labels, label_smoothing=config.smoothing)
        session.update(self.optimiser, loss)
        if (number + 1) % self.per_epoch and number + 1 < config.steps:
            return {"loss": loss.item()}
        counts = confusion(self.network, session, "validation")
        return {"loss": loss.item()} | ({"validation accuracy": accuracy(counts)} if counts.sum() else {})

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """Augmented images and labels of a step: an epoch leaves out what fills no batch."""
        data, session = self.session.data, self.session
        epoch, index = divmod(number, self.per_epoch)
        ids = order(data.size("train"), seed=session.seed, epoch=epoch, purpose="train/order")
        ids = ids[index * self.config.batch : (index + 1) * self.config.batch]
        ids = ids[session.rows(len(ids))]
        images, labels = data.batch("train", ids)
        keys = Keys.of(seed=session.seed, purpose=f"train/{epoch}", samples=ids)
        images = augment(images, keys, shift=self.config.shift, flip=self.config.flips)
        return images.to(session.device), labels.to(session.device)

    def finish(self) -> Made:
        path, info = self.session.weights, self.session.data.info
        write_bytes(path, as_bytes(self.network.state_dict()))
        validation, test = (confusion(self.network, self.session, split) for split in ("validation", "test"))
        interval = wilson(float(test.diagonal().sum()), int(test.sum()))
        metrics = {
            "validation accuracy": accuracy(validation),
            "test accuracy": interval.value,
            "test accuracy, low": interval.low,
            "test accuracy, high": interval.high,
        }
        return Made(
            title="fashion-cnn",
            summary="A small residual classifier (space-to-depth stem, two stride-2 blocks) of "
            f"{info.image.height}×{info.image.width} images.",
            use=(f"classifier.weights={path}",),
            metrics=metrics,
            findings=_findings(metrics, int(test.sum())),
            details=_details(test, info),
        )


def _findings(metrics: Mapping[str, float], images: int) -> tuple[str, ...]:
    return (
        f"Validation accuracy (last part of the training set, not trained on): {metrics['validation accuracy']:.2%}",
        f"Test accuracy, all {images:,} images: **{metrics['test accuracy']:.2%}** (95 % Wilson interval "
        f"{metrics['test accuracy, low']:.2%} to {metrics['test accuracy, high']:.2%})",
    )


def _details(test: Tensor, info: DataInfo) -> tuple[str, ...]:
    return (
        "## Accuracy of each class on the test split",
        "",
        *by_class(test, info.label_names),
        "",
        "It is trained on clean images only and is not robust: small adversarial perturbations change most answers.",
    )


def _check(data: Dataset) -> None:
    if data.info.classes < 2 or not data.size("train"):
        raise InputError(
            f"training needs a train split with at least two classes, {data.info.name} ({data.info.source}) has "
            f"{data.size('train')} images of {data.info.classes} classes",
            hint="for a folder: PATH/train/CLASS/*.png",
        )
    image = data.info.image
    if image.height % 8 or image.width % 8:
        raise InputError(
            f"fashion-cnn needs image sides that are multiples of 8, {data.info.name} has {image.height}×{image.width}",
            hint="set the data set's size",
        )
