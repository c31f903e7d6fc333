"""Pixel distributions: mixtures of discretised logistics (arXiv 1701.05517), and Bernoulli."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

# Uniforms that are turned into gumbel and logistic samples stay this far from 0 and 1.
UNIFORM_MARGIN = 1e-5


def pixel_parameters(channels: int, mixtures: int, likelihood: Literal["logistic", "bernoulli"]) -> int:
    """Channels of the head: mixture logits (none for a single component), means, log-scales, coefficients.

    >>> pixel_parameters(3, 10, "logistic"), pixel_parameters(1, 1, "logistic")
    (100, 2)
    """
    if likelihood == "bernoulli":
        return channels
    coefficients = channels * (channels - 1) // 2
    return mixtures * (2 * channels + coefficients + (1 if mixtures > 1 else 0))


@dataclass(frozen=True)
class LogisticMixture:
    """A mixture of discretised logistics for each pixel; colours are linear in the colours before them.

    Pixels are in [−1, 1] inside, [0, 1] at the methods.

    Args:
        logits: (N, M, H, W).
        means: (N, C, M, H, W).
        log_scales: like ``means``, at least −7.
        coefficients: like ``means`` for RGB, in (−1, 1): red → green, red → blue, green → blue; empty for one channel.
        bits: of a colour: images are on a grid of 2^``bits`` values.
    """

    logits: Tensor
    means: Tensor
    log_scales: Tensor
    coefficients: Tensor
    bits: int = 8

    @classmethod
    def of(cls, parameters: Tensor, *, channels: int, mixtures: int, bits: int = 8) -> LogisticMixture:
        """From the head's output: M logits (if M > 1), then for each channel M means, M log-scales, M coefficients."""
        split = mixtures if mixtures > 1 else 0
        logits = parameters[:, :split] if split else torch.zeros_like(parameters[:, :1])
        rest = parameters[:, split:].unflatten(1, (channels, -1, mixtures))
        coefficients = rest[:, :, 2:].tanh().flatten(1, 2)
        return cls(logits, rest[:, :, 0], rest[:, :, 1].clamp(min=-7), coefficients, bits)

    def mean(self) -> Tensor:
        """Images in [0, 1]: weighted means and coefficients, each colour clamped before the next one reads it."""
        weights = self.logits.softmax(1).unsqueeze(1)
        return _autoregressive((weights * self.means).sum(2), (weights * self.coefficients).sum(2))

    def sample(self, gumbel: Tensor, logistic: Tensor) -> Tensor:
        """Images in [0, 1] that uniform numbers in (0, 1) make.

        Args:
            gumbel: choose the component, (N, M, H, W).
            logistic: choose the value, (N, C, H, W).
        """
        chosen = (self.logits - (-gumbel.log()).log()).argmax(1, keepdim=True)
        one_hot = torch.zeros_like(self.logits).scatter_(1, chosen, 1.0).unsqueeze(1)
        scales = (one_hot * self.log_scales).sum(2).exp()
        values = (one_hot * self.means).sum(2) + scales * (logistic.log() - (1 - logistic).log())
        return _autoregressive(values, (one_hot * self.coefficients).sum(2))

    def log_likelihood(self, images: Tensor, *, bits: int | None = None, upper_edge: float = 0.99) -> Tensor:
        """Log probability in nats of images in [0, 1], summed over colours, (N, H, W).

        Args:
            images: on a grid of 2^``bits`` values.
            bits: of a colour; None is those of the mixture.
            upper_edge: pixels in [−1, 1] above it belong to the last bin, which reaches to infinity (NVAE 0.99, where
                254/255 does too; VDVAE 0.999).
        """
        pixels = (2 * images - 1).unsqueeze(2)
        means = self.means
        if means.shape[1] == 3:
            red, green, _ = pixels.unbind(1)
            k = self.coefficients
            shift = torch.stack([torch.zeros_like(k[:, 0]), k[:, 0] * red, k[:, 1] * red + k[:, 2] * green], 1)
            means = means + shift
        levels = 2 ** (self.bits if bits is None else bits) - 1
        by_component = _discretised_logistic(pixels, means, self.log_scales, levels=levels, upper_edge=upper_edge).sum(
            1
        )
        if self.logits.shape[1] == 1:
            return by_component.squeeze(1)
        return (by_component + self.logits.log_softmax(1)).logsumexp(1)


@dataclass(frozen=True)
class Bernoulli:
    """Independent binary pixels with logits (N, C, H, W)."""

    logits: Tensor

    def mean(self) -> Tensor:
        """Probabilities of 1."""
        return self.logits.sigmoid()

    def sample(self, gumbel: Tensor, logistic: Tensor) -> Tensor:
        """Pixels 0 or 1 chosen by the uniforms ``logistic`` (N, C, H, W); ``gumbel`` is not needed."""
        return (logistic < self.logits.sigmoid()).to(self.logits.dtype)

    def log_likelihood(self, images: Tensor) -> Tensor:
        """Log probability in nats, summed over channels, (N, H, W)."""
        return -functional.binary_cross_entropy_with_logits(self.logits, images, reduction="none").sum(1)


def _autoregressive(values: Tensor, coefficients: Tensor) -> Tensor:
    if values.shape[1] == 1:
        return (values.clamp(-1, 1) + 1) / 2
    red, green, blue = values.unbind(1)
    to_green, red_to_blue, green_to_blue = coefficients.unbind(1)
    red = red.clamp(-1, 1)
    green = (green + to_green * red).clamp(-1, 1)
    blue = (blue + red_to_blue * red + green_to_blue * green).clamp(-1, 1)
    return (torch.stack([red, green, blue], 1) + 1) / 2


def _discretised_logistic(
    pixels: Tensor, means: Tensor, log_scales: Tensor, *, levels: int, upper_edge: float
) -> Tensor:
    """Log probability of the bin 1/``levels`` to each side of ``pixels``; the outermost bins reach to infinity."""
    centred, precision = pixels - means, (-log_scales).exp()
    upper, lower = precision * (centred + 1 / levels), precision * (centred - 1 / levels)
    mass = upper.sigmoid() - lower.sigmoid()
    # Far in a tail the difference of two sigmoids is lost to rounding; the density at the centre stands in for it.
    middle = precision * centred
    density = middle - log_scales - 2 * functional.softplus(middle) - math.log(levels / 2)
    inside = torch.where(mass > 1e-5, mass.clamp(min=1e-10).log(), density)
    edges = torch.where(pixels > upper_edge, -functional.softplus(lower), inside)
    return torch.where(pixels < -0.999, upper - functional.softplus(upper), edges)
