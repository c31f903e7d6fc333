"""The converter of StyleGAN2 checkpoints: which code base wrote one, and its tensors under this project's names."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.container import Container, Converted, tensors_of
from mlvgm_stylegan.encoders.agreement import first_problem
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.loaders import ada, inversion, rosinality, tensorflow
from mlvgm_stylegan.stylegan2.loaders.persistence import attributes_of, network_of
from mlvgm_stylegan.stylegan2.weights import FORMAT, architecture_json


def convert(container: Container) -> Converted | None:
    """Weights of this project from a StyleGAN2 checkpoint, None for other families.

    Known are pickles of NVlabs/stylegan2-ada-pytorch (and StyleGAN2 in those of NVlabs/stylegan3), of the TensorFlow
    code bases NVlabs/stylegan2 and stylegan2-ada, and PyTorch files of rosinality/stylegan2-pytorch, e4e and
    Style-Transformer; and the bare state dict of each.

    Raises:
        InputError: it is a StyleGAN2, but incomplete or of an unsupported kind.
    """
    try:
        return _ada(container) or _tensorflow(container) or inversion.convert(container) or _rosinality(container)
    except (KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else str(error)
        reason = f"no tensor {reason}" if isinstance(error, KeyError) else reason
        raise InputError(f"{container.path}: incomplete or unsupported StyleGAN2 checkpoint: {reason}") from error


def _ada(container: Container) -> Converted | None:
    state, arguments = network_of(container)
    if not ada.recognises(state):
        return None
    # What the layers of a pickle say of themselves; the constructor's defaults differ between the two code bases.
    layer = attributes_of(container, "synthesis", "b4", "conv1")
    dense = attributes_of(container, "mapping", "fc0")
    stored = {"conv_clamp": layer.get("conv_clamp"), "activation": layer.get("activation", "lrelu")}
    if "bias_gain" in dense:
        stored["lr_multiplier"] = dense["bias_gain"]
    return _converted(*ada.convert(state, {**stored, **ada.flattened(arguments)}), layout=ada.LAYOUT)


def _tensorflow(container: Container) -> Converted | None:
    variables, static = tensorflow.variables_of(container)
    if not tensorflow.recognises(variables):
        return None
    return _converted(*ada.convert(*tensorflow.convert(variables, static)), layout=tensorflow.LAYOUT)


def _rosinality(container: Container) -> Converted | None:
    content = container.content
    state = tensors_of(content, "g_ema", "state_dict")
    if not rosinality.recognises(state):
        return None
    beside = state.pop("latent_avg", None)
    average = content.get("latent_avg", beside)
    return _converted(*rosinality.convert(state, container.options, average=average), layout=rosinality.LAYOUT)


def _converted(architecture: StyleGAN2Architecture, tensors: Mapping[str, Tensor], *, layout: str) -> Converted:
    ours = {f"generator.{name}": tensor for name, tensor in tensors.items()}
    return Converted(FORMAT, architecture_json(architecture), ours, layout)
