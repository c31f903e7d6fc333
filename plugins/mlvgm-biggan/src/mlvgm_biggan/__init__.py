"""BigGAN generators for mlvgm. This module is light: everything heavy is imported when it is used."""

from __future__ import annotations

from mlvgm.plugins.descriptors import Component, Recipe, Weights

biggan_generator = Component(
    summary="BigGAN and BigBiGAN: chunks of one z and a class, official checkpoints",
    factory="mlvgm_biggan.biggan.build:biggan",
    config="mlvgm_biggan.biggan.config:BigGANConfig",
    converter="mlvgm_biggan.biggan.loader:convert",
    trainer="generators-biggan",
    capabilities={"encodes": True, "inverts": True, "conditional": True},
    weights=(
        Weights(
            name="fashion-mnist",
            file="mlvgm_biggan:weights/fashion-mnist.safetensors",
            sha256="988b712067fff5ad249a09732087f156f39a1a95b4d516d78f72dc8d1d965627",
            licence="MIT",
            summary="Fashion-MNIST 1×32×32, four chunks of z and ten classes, with an encoder; FID 0.49",
            note="the encoder was trained to denoise: a step beyond the paper's use of a model as it is",
        ),
    ),
    recipes={
        "purify": (
            Recipe("mlvgm", {"purifier.noise": 4.0, "purifier.alphas": "keep:2"}),
            Recipe("α = 0", {"purifier.alphas": "none"}, note="reconstruction only"),
            Recipe("cosine", {"purifier.noise": 0.0, "purifier.alphas": "cosine"}),
        ),
    },
)

biggan_deep_generator = Component(
    summary="BigGAN-deep: every block reads all of z and the class, from official checkpoints",
    factory="mlvgm_biggan.deep.build:biggan_deep",
    config="mlvgm_biggan.deep.config:BigGANDeepConfig",
    converter="mlvgm_biggan.deep.loader:convert",
    capabilities={"inverts": True, "conditional": True},
)

train_biggan = Component(
    summary="trains BigGAN: hinge loss, projection discriminator with spectral norm",
    factory="mlvgm_biggan.biggan.training:BigGANTraining",
    config="mlvgm_biggan.biggan.training_config:BigGANTrainingConfig",
    capabilities={"data": "fashion-mnist"},
)

train_biggan_encoder = Component(
    summary="trains an encoder for trained BigGAN weights, and writes both as one file",
    factory="mlvgm_biggan.encoder.training:EncoderTraining",
    config="mlvgm_biggan.encoder.training_config:EncoderTrainingConfig",
    capabilities={"data": "fashion-mnist"},
)
