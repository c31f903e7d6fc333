"""Data sets and classifiers for mlvgm. This module is light: everything heavy is imported when it is used."""

from __future__ import annotations

from mlvgm.plugins.descriptors import Component, Weights

fashion_mnist = Component(
    summary="Fashion-MNIST, 10 kinds of clothing, 32×32 grey; 2,000 test images are bundled",
    factory="mlvgm_vision.datasets.fashion_mnist:fashion_mnist",
    config="mlvgm_vision.datasets.config:FashionMNISTConfig",
)

image_folder = Component(
    summary="your own images, image-folder:PATH with PATH/CLASS/*.png, or without labels",
    factory="mlvgm_vision.datasets.image_folder:image_folder",
    config="mlvgm_vision.datasets.config:ImageFolderConfig",
    argument="path",
)

shapes = Component(
    summary="procedural coloured shapes with known factors, coarse to fine, and exact labels",
    factory="mlvgm_vision.datasets.shapes:shapes",
    config="mlvgm_vision.datasets.config:ShapesConfig",
)

fashion_cnn = Component(
    summary="small residual classifier of Fashion-MNIST or of shapes, weights included",
    factory="mlvgm_vision.classifiers.shipped:fashion_cnn",
    config="mlvgm_vision.classifiers.config:FashionCNNConfig",
    trainer="classifiers-fashion-cnn",
    weights=(
        Weights(
            name="fashion-mnist",
            file="mlvgm_vision:weights/fashion-cnn.safetensors",
            sha256="a809e908b525389522ebf95fca65ef7f2e012c97e6602b5c10166c4d094c257d",
            licence="MIT",
            summary="Fashion-MNIST 1×32×32, 92.2 % of the 10,000 test images",
        ),
        Weights(
            name="shapes",
            file="mlvgm_vision:weights/shapes.safetensors",
            sha256="bef7013b6cc22a2f997b652b0366b7373454b7049eafcd2a8e9029c735113f30",
            licence="MIT",
            summary="shapes 3×32×32, 100 % of the 10,000 test images",
        ),
        Weights(
            name="trades",
            file="mlvgm_vision:weights/trades.safetensors",
            sha256="64c59daf4ffddae28a54f12f8cf015f6e1015fcb4b639e8cd8d1a80bf8cd2904",
            licence="MIT",
            summary="Fashion-MNIST 1×32×32, fine-tuned with TRADES (L2 1.5), 79.7 % of 2,000 validation images",
        ),
    ),
)

timm_classifier = Component(
    summary="any classifier of timm, timm:NAME",
    factory="mlvgm_vision.classifiers.timm_model:timm_classifier",
    config="mlvgm_vision.classifiers.config:TimmConfig",
    argument="model",
)

imported_classifier = Component(
    summary="your own classifier, import:module:attribute",
    factory="mlvgm_vision.classifiers.imported:imported_classifier",
    config="mlvgm_vision.classifiers.config:ImportedConfig",
    argument="target",
)

published_classifier = Component(
    summary="ResNet-50, VGG-11-BN or ResNeXt-50 with the head of arXiv 2412.03453, from the authors' checkpoints",
    factory="mlvgm_vision.classifiers.published:published_classifier",
    config="mlvgm_vision.classifiers.config:PublishedClassifierConfig",
)

train_fashion_cnn = Component(
    summary="trains fashion-cnn: AdamW, one-cycle rate, flips and shifts",
    factory="mlvgm_vision.training.fashion_cnn:FashionCNNTraining",
    config="mlvgm_vision.training.training_config:FashionCNNTrainingConfig",
    capabilities={"data": "fashion-mnist", "processes": True},
)
