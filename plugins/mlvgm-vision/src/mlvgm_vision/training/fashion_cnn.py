"""Training of FashionCNN: AdamW with a one-cycle rate, flips and small shifts; exact resume."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor
from torch.nn import functional as F

from mlvgm.errors import InputError
from mlvgm.files import write_bytes
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.statistics import wilson
from mlvgm.tensors_file import as_bytes
from mlvgm.training.minibatches import identity
from mlvgm.weights.checkpoint import load_checkpoint, save_checkpoint
from mlvgm_vision.classifiers.fashion_cnn import FashionCNN
from mlvgm_vision.training.augmentation import augment
from mlvgm_vision.training.card import write_card
from mlvgm_vision.training.confusion import accuracy, confusion
from mlvgm_vision.training.training_config import FashionCNNTraining


def one_cycle(step: int, steps: int, *, peak: float, warm_up: float) -> float:
    """Learning rate of ``step``: a cosine up from peak / 25, then a cosine down to nearly zero (arXiv 1708.07120)."""
    turn = warm_up * steps
    if step < turn:
        return peak * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / turn)) / 2)
    return peak * max(1e-4, (1 + math.cos(math.pi * (step - turn) / (steps - turn))) / 2)


class FashionCNNTrainer:
    """Trains FashionCNN on a data set whose image sides are multiples of 8.

    Every random choice is a pure function of (seed, epoch, sample id), and a checkpoint follows every epoch: a training
    that is stopped and resumed gives the same weights, bit by bit, as one that is not (same machine, torch, threads).
    """

    def __init__(self, config: FashionCNNTraining) -> None:
        self.config = config

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Train on the train split, watch the validation split, report on the test split.

        Raises:
            InputError: the data set is only a sample or its images do not fit; the checkpoint is of another training.
        """
        _check(data)
        config, samples = self.config, data.size("train")
        per_epoch = max(1, samples // config.batch)
        steps = config.epochs * per_epoch
        network = _initial(data, seed=context.seed).to(context.device)
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay, fused=True)
        training = {**config.model_dump(), "seed": context.seed, **identity(data)}
        file = context.folder / "checkpoint.pt"
        done, spent = 0, 0.0
        if context.resume and file.exists():
            state = load_checkpoint(file, identity=training)
            network.load_state_dict(state["network"])
            optimiser.load_state_dict(state["optimiser"])
            done, spent = state["done"], state["spent"]

        for epoch in range(done, config.epochs):
            start = time.process_time()
            order = _order(samples, seed=context.seed, epoch=epoch)
            for index in range(per_epoch):
                step = epoch * per_epoch + index
                ids = order[index * config.batch : (index + 1) * config.batch]
                images, labels = self._batch(data, ids, seed=context.seed, epoch=epoch)
                rate = one_cycle(step, steps, peak=config.rate, warm_up=config.warm_up)
                loss = self._step(network, optimiser, images.to(context.device), labels.to(context.device), rate)
                metrics = {"loss": loss}
                if index == per_epoch - 1:
                    counts = confusion(network, data, "validation", device=context.device)
                    spent += time.process_time() - start
                    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
                    save_checkpoint(file, {**state, "done": epoch + 1, "spent": spent}, identity=training)
                    metrics["validation accuracy"] = accuracy(counts)
                context.progress(step + 1, steps, metrics)
        return self._finish(network, data, context, spent)

    def _batch(self, data: Dataset, ids: list[int], *, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        images, labels = data.batch("train", ids)
        keys = Keys.of(seed=seed, purpose=f"train/{epoch}", samples=ids)
        return augment(images, keys, shift=self.config.shift, flip=self.config.flip), labels

    def _step(
        self, network: FashionCNN, optimiser: torch.optim.AdamW, images: Tensor, labels: Tensor, rate: float
    ) -> float:
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = F.cross_entropy(network(images), labels, label_smoothing=self.config.smoothing)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.item()

    def _finish(self, network: FashionCNN, data: Dataset, context: TrainContext, spent: float) -> Trained:
        validation = confusion(network, data, "validation", device=context.device)
        test = confusion(network, data, "test", device=context.device)
        weights = context.folder / "fashion-cnn.safetensors"
        write_bytes(weights, as_bytes(network.state_dict()))
        interval = wilson(float(test.diagonal().sum()), int(test.sum()))
        metrics = {
            "validation accuracy": accuracy(validation),
            "test accuracy": interval.value,
            "test accuracy, low": interval.low,
            "test accuracy, high": interval.high,
            "CPU seconds": spent,
        }
        card = write_card(weights, self.config, data=data.info, seed=context.seed, metrics=metrics, test=test)
        return Trained(weights, card, metrics, use=(f"classifier.weights={weights}",))


def _check(data: Dataset) -> None:
    if data.info.sample:
        raise InputError(
            f"training needs the full data set, {data.info.name} is only a sample here ({data.info.source})",
            hint="fetch it with `make data`",
        )
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


def _order(samples: int, *, seed: int, epoch: int) -> list[int]:
    """Sample ids in the order of ``epoch``."""
    (chance,) = uniform(Keys.of(seed=seed, purpose="train/order", samples=[epoch]), "order", (samples,))
    order: list[int] = chance.argsort(stable=True).tolist()
    return order


def _initial(data: Dataset, *, seed: int) -> FashionCNN:
    """The network at step 0: drawn from the seed, without disturbing the global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FashionCNN(channels=data.info.image.channels, classes=data.info.classes)


def trainer(config: FashionCNNTraining) -> FashionCNNTrainer:
    """Factory of the trainer ``fashion-cnn``."""
    return FashionCNNTrainer(config)
