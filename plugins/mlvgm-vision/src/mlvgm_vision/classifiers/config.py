"""Options of the classifiers; apart from the classifiers, so that options are checked without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

Architecture = Literal["resnet50", "vgg11-bn", "resnext50"]


class FashionCNNConfig(BaseModel):
    """Which weights FashionCNN uses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str | None = Field(
        None,
        description="name of weights that ship, or path of a file `mlvgm train classifier fashion-cnn` made; default: "
        "those of the data set",
    )


class ImportedConfig(BaseModel):
    """Which Python object is the classifier, and how its images are prepared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(
        description="module:attribute of an nn.Module (images → logits), or of a function without arguments that makes "
        "one"
    )
    size: tuple[int, int] | None = Field(
        None, description="height and width images are resized to, pixels; default: as they are"
    )
    mean: tuple[float, ...] = Field(
        (0.0,), min_length=1, description="of the normalisation, for each channel or for all"
    )
    std: tuple[PositiveFloat, ...] = Field(
        (1.0,), min_length=1, description="of the normalisation, for each channel or for all"
    )


class PublishedClassifierConfig(BaseModel):
    """Which of the published networks, and its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture = Field(
        description="resnet50 (gender), vgg11-bn (identities) or resnext50 (cars), with the published head"
    )
    weights: str = Field(description="checkpoint of the classifier; read as plain data, nothing in it is executed")


class TimmConfig(BaseModel):
    """Which timm model, and with which weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(description="name of a timm model, for example resnet18.a1_in1k")
    pretrained: bool = Field(
        True, description="use the published weights, fetched once from the Hugging Face hub; ignored with a checkpoint"
    )
    checkpoint: Path | None = Field(None, description="file with fine-tuned weights (safetensors or PyTorch)")
    num_classes: int | None = Field(
        None,
        ge=2,
        description="classes of the checkpoint; default: those of the published weights, else of the data set",
    )
    size: tuple[int, int] | None = Field(
        None, description="height and width images are resized to, pixels; default: what the model was trained at"
    )
    mean: tuple[float, float, float] | None = Field(None, description="of the normalisation; default: the model's own")
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = Field(
        None, description="of the normalisation; default: the model's own"
    )
