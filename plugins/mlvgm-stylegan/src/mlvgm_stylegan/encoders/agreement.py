"""Whether an encoder, its generator and its images fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mlvgm.errors import InputError
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture

A = TypeVar("A", bound=BaseModel)


def parsed(model: type[A], architecture: Mapping[str, Any]) -> A:
    """``architecture`` as a ``model``.

    Raises:
        InputError: it is not one.
    """
    try:
        return model.model_validate(architecture)
    except ValidationError as error:
        raise InputError(f"no valid {model.__name__}: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


def check_styles(name: str, *, styles: int, w_dim: int, channels: int, generator: StyleGAN2Architecture) -> None:
    """Refuse an encoder that is of another generator.

    Raises:
        InputError: the number or the length of the styles, or the colours of the images, differ.
    """
    problem = style_mismatch(styles=styles, w_dim=w_dim, channels=channels, generator=generator)
    if problem is not None:
        raise InputError(f"the encoder {name} {problem}")


def style_mismatch(*, styles: int, w_dim: int, channels: int, generator: StyleGAN2Architecture) -> str | None:
    """Why an encoder is of another generator: number or length of styles, or colours of images; None if it is not."""
    if (styles, w_dim, channels) == (generator.num_ws, generator.w_dim, generator.image_channels):
        return None
    made = f"{styles} styles of {w_dim} numbers for images of {channels} channels"
    expected = f"{generator.num_ws} of {generator.w_dim} for {generator.image_channels}"
    return f"finds {made}, its generator needs {expected}"
