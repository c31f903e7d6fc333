"""Several processes that share each batch: the steps are those of one process with the whole batch, to rounding.

Every process has some of the images of a batch, equally many. Gradients and figures are averaged, and batch norms
normalise by the statistics of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def average(values: Tensor) -> Tensor:
    """The mean over processes, in place."""
    dist.all_reduce(values)
    return values.div_(dist.get_world_size())


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean of all gradients, in one message."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    whole = average(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, whole.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def average_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """The mean of each figure."""
    means = average(torch.tensor(list(figures.values()), dtype=torch.double))
    return dict(zip(figures, means.tolist(), strict=True))


class _Sum(torch.autograd.Function):
    """The sum over processes; each of them depends on it, so gradients are summed likewise."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm by the statistics of the whole batch; torch's own needs a GPU."""

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return super().forward(features)
        count = features.numel() // features.shape[1] * dist.get_world_size()
        mean = _Sum.apply(features.sum((0, 2, 3))) / count
        centred = features - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = (variance + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        normalised: Tensor = centred * scale[:, None, None]
        return normalised if self.bias is None else normalised + self.bias[:, None, None]

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as torch does: a cumulative mean where there is no momentum."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def share_batch_norms(network: Module) -> Module:
    """Make the batch norms of ``network`` normalise by the whole batch, in place; state dicts stay as they are."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm
    return network
