"""Published checkpoints: which code base wrote them, and which state dict in them is meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.container import Container, Converted, tensors_of
from mlvgm.weights.file import check_fit
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.loaders import nvlabs, serez
from mlvgm_nvae.network import build
from mlvgm_nvae.weights import FORMAT, skeleton

_LAYOUTS = {"SerezD/NVAE-from-scratch": serez, "NVlabs/NVAE": nvlabs}
_TRAINED = "state_dict"
_TEMPERATURE = "state_dict_temp="


def convert(container: Container) -> Converted | None:
    """The weights in a checkpoint of NVlabs/NVAE or SerezD/NVAE-from-scratch; None for other families.

    Args:
        container: a training checkpoint, or a bare state dict. ``temperature`` in its options says which re-estimated
            batch-norm statistics to take where it holds several; by default the trained ones, or the first.

    Raises:
        InputError: incomplete, or without weights for the temperature.
    """
    content, temperature = container.content, container.options.get("temperature")
    if not isinstance(content, Mapping):
        return None
    available = sorted(key for key in content if isinstance(key, str) and key.startswith(_TEMPERATURE))
    wanted = f"{_TEMPERATURE}{float(temperature)}" if temperature is not None else _TRAINED
    state = tensors_of(content, wanted, _TRAINED, *available)
    name = next((name for name, layout in _LAYOUTS.items() if layout.recognises(state)), None)
    if name is None:
        return None
    if temperature is not None and available and wanted not in content and _TRAINED not in content:
        temperatures = ", ".join(key.removeprefix(_TEMPERATURE) for key in available)
        message = f"{container.path}: no batch-norm statistics for temperature {temperature}"
        raise InputError(message, hint=f"it has them for {temperatures}")
    try:
        architecture, tensors = _LAYOUTS[name].convert(state)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{container.path}: incomplete or unsupported NVAE checkpoint: {error}") from error
    tensors = _completed(architecture, tensors, container.path)
    return Converted(FORMAT, architecture.model_dump_json(), tensors, name)


def _completed(architecture: NVAEArchitecture, tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """``tensors`` with the masks of flows where the source does not store them; all fit the architecture."""
    expected = skeleton(architecture)
    masks = {name: tensor for name, tensor in expected.state_dict().items() if name.endswith(".mask")}
    check_fit(expected, {**masks, **tensors}, path)
    if masks.keys() <= tensors.keys():
        return dict(tensors)
    fresh = build(architecture, seed=0).state_dict()
    return {**{name: fresh[name] for name in masks}, **tensors}
