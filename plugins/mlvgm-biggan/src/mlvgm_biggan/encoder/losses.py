"""What an encoder is trained for: the draws behind generated images, and reconstructions of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mlvgm_biggan.biggan.discriminator import Discriminator
from mlvgm_biggan.biggan.network import BigGAN
from mlvgm_biggan.encoder.light import LightEncoder


@dataclass(frozen=True)
class EncoderLosses:
    """Terms of the loss, scalars.

    Args:
        latent: mean squared error of z of generated images.
        label: cross-entropy of the class of generated images.
        pixel: mean squared error of reconstructions of real images in [−1, 1].
        feature: error of their discriminator features.
        prior: mean square of z of real images: its deviation from the standard normal's mean.
    """

    latent: Tensor
    label: Tensor
    pixel: Tensor
    feature: Tensor
    prior: Tensor


def encoder_losses(
    encoder: LightEncoder,
    generator: BigGAN,
    discriminator: Discriminator | None,
    *,
    generated: Tensor,
    z: Tensor,
    classes: Tensor,
    real: Tensor,
    inputs: Tensor,
) -> EncoderLosses:
    """The terms of one step; labels of real images have no part in them.

    Args:
        encoder: in training.
        generator: frozen.
        discriminator: frozen, for its features; None leaves them out.
        generated: images (B, C, H, W) in [0, 1].
        z: that they were made of, (B, dim_z).
        classes: that they were made of, (B,).
        real: images (B, C, H, W) in [0, 1].
        inputs: what the encoder sees: ``generated``, then ``real``, clean or noisy.
    """
    found, logits = encoder(inputs)
    count = len(generated)
    found_real = found[count:]
    chunks = found_real.split(generator.architecture.chunks, 1)
    rebuilt, target = generator(chunks, encoder.condition(logits[count:])), 2 * real - 1
    feature = target.new_zeros(())
    if discriminator is not None:
        with torch.no_grad():
            wanted = discriminator.features(target)
        feature = feature_error(discriminator.features(rebuilt), wanted)
    return EncoderLosses(
        latent=F.mse_loss(found[:count], z),
        label=F.cross_entropy(logits[:count], classes),
        pixel=F.mse_loss(rebuilt, target),
        feature=feature,
        prior=found_real.square().mean(),
    )


def feature_error(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean over levels of the squared error, as a share of the mean square of what was wanted."""
    levels = zip(found, wanted, strict=True)
    return torch.stack([F.mse_loss(one, other) / other.square().mean() for one, other in levels]).mean()
