"""Batch-norm statistics of the decoder at a sampling temperature (arXiv 2007.03898, section 4.2)."""

from __future__ import annotations

import copy

import torch
from torch import nn

from mlvgm.noise import Keys
from mlvgm_nvae.generator import HierarchicalGenerator, HierarchicalSampling
from mlvgm_nvae.network import NVAE


@torch.no_grad()
def reestimate_batch_norm(model: NVAE, *, temperature: float, seed: int, batches: int = 100, batch: int = 64) -> NVAE:
    """A copy of ``model`` whose decoder statistics are those of its own samples at ``temperature``.

    A narrower prior shifts the features of the decoder, so statistics from training fit it badly. Encoder statistics
    stay: sampling does not pass there.

    Args:
        model: not folded.
        temperature: factor on the prior's standard deviations.
        seed: of the samples.
        batches: the statistics are the plain mean over so many batches.
        batch: samples in each.
    """
    model = copy.deepcopy(model)
    generator = HierarchicalGenerator(model, sampling=HierarchicalSampling(temperature))
    # Batches are normalised by their own statistics while these are collected, as in training.
    layers = [layer for layer in model.decoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    for number in range(batches):
        samples = range(number * batch, (number + 1) * batch)
        generator.generate(generator.draw_noise(Keys.of(seed=seed, purpose="batch norm", samples=samples)))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return model.eval()
