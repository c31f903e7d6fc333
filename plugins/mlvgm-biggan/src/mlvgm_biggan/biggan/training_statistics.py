"""Batch-norm statistics for evaluation, measured once on fresh draws."""

from __future__ import annotations

import torch
from torch import nn

from mlvgm.noise import Keys
from mlvgm_biggan.biggan.network import BigGAN
from mlvgm_biggan.biggan.training_data import draw


@torch.no_grad()
def standing_statistics(network: BigGAN, *, batches: int, batch: int, seed: int) -> None:
    """Batch-norm statistics as means over many batches of fresh draws (arXiv 1809.11096, section 4), in place."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
    network.train()
    device = network.embedding.weight.device
    for number in range(batches):
        keys = Keys.of(seed=seed, purpose="standing", samples=[number])
        chunks, classes = draw(network.architecture, keys, count=batch, device=device)
        network(chunks, network.embed(classes))
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
