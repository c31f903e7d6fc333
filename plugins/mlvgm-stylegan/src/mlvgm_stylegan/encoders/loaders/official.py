"""Files of the two public code bases: an encoder, its decoder, the mean latent and the options of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mlvgm.weights.arguments import arguments
from mlvgm.weights.container import Container, tensors_of


@dataclass(frozen=True)
class Official:
    """A checkpoint in its parts.

    Args:
        encoder: tensors of the encoder, without prefix.
        decoder: tensors of the StyleGAN2, without prefix.
        average: the mean latent, one for all layers or one a layer; None where the file has none.
        options: of the training (``opts``), overridden by those given beside the file.
    """

    encoder: Mapping[str, Tensor]
    decoder: Mapping[str, Tensor]
    average: Tensor | None
    options: Mapping[str, Any]


def read_official(container: Container) -> Official:
    """The parts of ``container``; those that it does not have are empty."""
    content = container.content if isinstance(container.content, Mapping) else {}
    state = tensors_of(content, "state_dict")
    average = content.get("latent_avg")
    return Official(
        encoder=tensors_below(state, "encoder"),
        decoder=tensors_below(state, "decoder"),
        average=average if isinstance(average, Tensor) else None,
        options=arguments(container, "opts"),
    )


def tensors_below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names start with ``prefix`` and a dot, without them, and without DataParallel's ``module.``.

    The dot matters: ``encoder_ema.z`` is not below ``encoder``.
    """
    start = f"{prefix}."
    below = {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
    return {name.removeprefix("module."): tensor for name, tensor in below.items()}
