"""NVAE generators for mlvgm. This module is light: everything heavy is imported when it is used."""

from __future__ import annotations

from mlvgm.plugins.descriptors import Component, Recipe, Weights

nvae = Component(
    summary="NVAE, a hierarchical VAE with its encoder; eight latents for Fashion-MNIST 32×32, weights included",
    factory="mlvgm_nvae.build:nvae",
    config="mlvgm_nvae.config:NVAEConfig",
    converter="mlvgm_nvae.loaders.containers:convert",
    trainer="generators-nvae",
    capabilities={"encodes": True, "inverts": True},
    weights=(
        Weights(
            name="clean",
            file="mlvgm_nvae:weights/clean.safetensors",
            sha256="fec6895acc9af477b8e89b2e4d75786a26790ea9d85d59326541db13380b4207",
            licence="MIT",
            summary="Fashion-MNIST, trained on clean images as in the papers; 2.58 bits per dimension",
        ),
        Weights(
            name="denoising",
            file="mlvgm_nvae:weights/denoising.safetensors",
            sha256="f068f18e58d98dda16b93faa412063eee241bcace1e4379bc39b894e37d0bded",
            licence="MIT",
            summary="Fashion-MNIST, noisy input and clean target; no labels, no attacks; a step beyond the papers",
            note="denoising-trained: a step beyond the paper's use of a generator as it is",
        ),
    ),
    recipes={
        "purify": (
            Recipe(
                "mlvgm",
                {
                    "generator.weights": "denoising",
                    "generator.temperature": 0.6,
                    "purifier.noise": 8.0,
                    "purifier.alphas": "keep:6",
                },
            ),
            Recipe("α = 0", {"purifier.alphas": "none"}, note="reconstruction only"),
            Recipe(
                "paper: cosine",
                {
                    "generator.weights": "clean",
                    "generator.temperature": 0.6,
                    "purifier.noise": 0.0,
                    "purifier.alphas": "cosine",
                },
            ),
        ),
    },
)

train_nvae = Component(
    summary="trains NVAE: evidence lower bound with KL warm-up, on clean or noisy inputs",
    factory="mlvgm_nvae.training:NVAETraining",
    config="mlvgm_nvae.training_config:NVAETrainingConfig",
    capabilities={"data": "fashion-mnist", "processes": True},
)

vdvae_generator = Component(
    summary="VDVAE, a very deep hierarchical VAE with its encoder, from official checkpoints",
    factory="mlvgm_nvae.vdvae.build:vdvae",
    config="mlvgm_nvae.config:VDVAEConfig",
    converter="mlvgm_nvae.vdvae.loader:convert",
    capabilities={"encodes": True, "inverts": True},
)
