"""Published checkpoints: which code base wrote them, and which state dict in them is meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.arguments import arguments, number
from mlvgm.weights.container import Container, Converted, tensors_of
from mlvgm.weights.file import check_fit
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.config import TEMPERATURE
from mlvgm_nvae.loaders import nvlabs, serez
from mlvgm_nvae.network import NVAE, build
from mlvgm_nvae.weights import FORMAT

_LAYOUTS = (serez, nvlabs)
_TRAINED = "state_dict"
_REESTIMATED = "state_dict_temp="


def convert(container: Container) -> Converted | None:
    """The weights in a checkpoint of NVlabs/NVAE or SerezD/NVAE-from-scratch; None for other families.

    Where it holds several state dicts, those with batch-norm statistics re-estimated at the temperature are taken, else
    the trained ones.

    Args:
        container: a training checkpoint, or a bare state dict. Its options may have ``temperature``, 0.6 without, and
            the arguments of NVlabs' training that tensors do not tell: ``num_x_bits``, ``res_dist``, ``arch_instance``.

    Raises:
        InputError: incomplete, of a variant that is not supported, or without weights for the temperature.
    """
    content = container.content
    if not isinstance(content, Mapping):
        return None
    temperature = number(container.options, "temperature", path=container.path) or TEMPERATURE
    reestimated = _temperatures(content)
    wanted = reestimated.get(temperature, _TRAINED)
    state = tensors_of(content, wanted, *reestimated.values())
    layout = next((layout for layout in _LAYOUTS if layout.recognises(state)), None)
    if layout is None:
        return None
    if reestimated and wanted not in content:
        message = f"{container.path}: no batch-norm statistics for temperature {temperature:g}, and no trained ones"
        has = ", ".join(f"{known:g}" for known in sorted(reestimated))
        raise InputError(
            message, hint=f"it has them for {has}: --set generator.temperature=T, or `temperature: T` in --config"
        )
    try:
        architecture, tensors = layout.convert(state, arguments(container, "args"), path=container.path)
    except (KeyError, ValueError, IndexError) as error:
        reason = f"no tensor {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{container.path}: incomplete or unsupported NVAE checkpoint: {reason}") from error
    tensors = _completed(architecture, tensors, container.path)
    chosen = f"statistics of temperature {temperature:g}" if wanted != _TRAINED else "trained statistics"
    name = f"{layout.LAYOUT} ({chosen})" if reestimated else layout.LAYOUT
    return Converted(FORMAT, architecture.model_dump_json(), tensors, name)


def _temperatures(content: Mapping[str, object]) -> dict[float, str]:
    """Keys of the state dicts with re-estimated statistics, by temperature."""
    found = {}
    for key in content:
        if isinstance(key, str) and key.startswith(_REESTIMATED):
            try:
                found[float(key.removeprefix(_REESTIMATED))] = key
            except ValueError:
                continue
    return found


def _completed(architecture: NVAEArchitecture, tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """``tensors`` with the masks of flows where the source does not store them; all fit the architecture."""
    with torch.device("meta"):
        expected = NVAE(architecture)
    masks = {name: tensor for name, tensor in expected.state_dict().items() if name.endswith(".mask")}
    check_fit(expected, {**masks, **tensors}, path)
    if masks.keys() <= tensors.keys():
        return dict(tensors)
    fresh = build(architecture, seed=0).state_dict()
    return {**{name: fresh[name] for name in masks}, **tensors}
