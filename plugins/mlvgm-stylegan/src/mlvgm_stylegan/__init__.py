"""StyleGAN generators for mlvgm. This module is light: everything heavy is imported when it is used."""

from __future__ import annotations

from mlvgm.plugins.descriptors import Component, Recipe, Weights

stylegan2_generator = Component(
    summary="StyleGAN2: one style a layer, official checkpoints, encoders into W+",
    factory="mlvgm_stylegan.stylegan2.build:stylegan2",
    config="mlvgm_stylegan.stylegan2.config:StyleGAN2Config",
    converter="mlvgm_stylegan.stylegan2.loaders.convert:convert",
    trainer="generators-stylegan2",
    capabilities={"encodes": True},
    weights=(
        Weights(
            name="fashion-mnist",
            file="mlvgm_stylegan:weights/fashion-mnist.safetensors",
            sha256="88f485e96a61af654fa4b6bcc96cf35fdfe5a4719de5ab8bba537945a792d9b2",
            licence="MIT",
            summary="Fashion-MNIST 1×32×32, 8 styles, with an encoder into W+ that keeps 87 % of right labels",
        ),
        Weights(
            name="shapes",
            file="mlvgm_stylegan:weights/shapes.safetensors",
            sha256="e27320ab1aa6f80a7d6379696b898d896cd99909f1bd4f79de5060a756179ffc",
            licence="MIT",
            summary="shapes 3×32×32, 8 styles, no encoder",
        ),
    ),
    recipes={
        "purify": (
            Recipe(
                "mlvgm",
                {
                    "generator.weights": "fashion-mnist",
                    "generator.psi": 1.0,
                    "purifier.noise": 4.0,
                    "purifier.alphas": "keep:6",
                },
            ),
            Recipe("α = 0", {"purifier.alphas": "none"}, note="reconstruction only"),
            Recipe("paper: cosine", {"purifier.noise": 0.0, "purifier.alphas": "cosine"}),
        ),
    },
)

stylegan3_generator = Component(
    summary="StyleGAN3 (translation and rotation equivariant), from official checkpoints",
    factory="mlvgm_stylegan.stylegan3.build:stylegan3",
    config="mlvgm_stylegan.stylegan3.config:StyleGAN3Config",
    converter="mlvgm_stylegan.stylegan3.loader:convert",
)

train_stylegan2 = Component(
    summary="trains StyleGAN2: non-saturating loss, lazy R1, path-length regularisation",
    factory="mlvgm_stylegan.stylegan2.training:StyleGAN2Training",
    config="mlvgm_stylegan.stylegan2.training_config:StyleGAN2TrainingConfig",
    capabilities={"data": "fashion-mnist"},
)

train_stylegan2_encoder = Component(
    summary="trains an encoder into W+ for trained StyleGAN2 weights, and writes both as one file",
    factory="mlvgm_stylegan.encoders.training:EncoderTraining",
    config="mlvgm_stylegan.encoders.training_config:EncoderTrainingConfig",
    capabilities={"data": "fashion-mnist", "processes": True},
)
