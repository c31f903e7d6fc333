"""Checkpoints of other code bases as plain data: nothing in them is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.file import read_weights
from mlvgm.weights.unpickle import Record, unpickle

PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".tar", ".bin", ".th")


@dataclass(frozen=True)
class Container:
    """A checkpoint file as plain data.

    Args:
        path: where it was read.
        content: dicts, lists, tuples, strings, numbers, None, tensors, and :class:`~mlvgm.weights.unpickle.Record` for
            every object of a class (a persistence object, a namespace): its class name and its state, inert.
        options: constructor arguments given beside the file (``--config``), for what its tensors do not tell.
    """

    path: Path
    content: Any
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Converted:
    """A checkpoint in this project's terms.

    Args:
        format: ``"mlvgm-<name>/<version>"``.
        architecture: JSON of the family's architecture.
        tensors: under this project's names; they fit the architecture.
        layout: which code base wrote the checkpoint, for messages (``"NVlabs/stylegan2-ada-pytorch"``).
    """

    format: str
    architecture: str
    tensors: Mapping[str, Tensor]
    layout: str


def read_container(path: Path, *, options: Mapping[str, Any] | None = None) -> Container:
    """Read a pickle, a PyTorch file or safetensors.

    Raises:
        InputError: missing, damaged, hostile, or of an unknown kind.
    """
    if not path.is_file():
        raise InputError(f"checkpoint '{path}' does not exist or is not a file")
    if path.suffix == ".safetensors":
        return Container(path, dict(read_weights(path).tensors), options or {})
    return Container(path, unpickle(path), options or {})


def tensors_of(content: Any, *keys: str) -> dict[str, Tensor]:
    """The state dict in ``content``: under the first of ``keys`` it has, else its own tensors.

    A pickled module counts as its state dict. ``module.`` that DataParallel puts before every name is taken off.
    """
    chosen = content
    if isinstance(content, Mapping):
        chosen = next((content[key] for key in keys if isinstance(content.get(key), Mapping | Record)), content)
    if isinstance(chosen, Record):
        chosen = module_state(chosen)
    if not isinstance(chosen, Mapping):
        return {}
    tensors = {name: value for name, value in chosen.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors and all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def module_state(module: Record) -> dict[str, Tensor]:
    """The state dict of a pickled ``torch.nn.Module``, a persistence object of StyleGAN2-ADA or StyleGAN3 included.

    Parameters and persistent buffers of it and its submodules, under the names ``state_dict()`` gives them. A record of
    something else has none.

    Example:
        >>> import torch
        >>> layer = Record("Linear", {"_parameters": {"weight": torch.ones(1, 2), "bias": None}, "_buffers": {}})
        >>> module_state(Record("Net", {"_modules": {"fc": layer}}))
        {'fc.weight': tensor([[1., 1.]])}
    """
    state: dict[str, Tensor] = {}
    passing = module.state.get("_non_persistent_buffers_set", ())
    for kind in ("_parameters", "_buffers"):
        for name, value in _mapping(module.state.get(kind)).items():
            if isinstance(value, Tensor) and not (kind == "_buffers" and name in passing):
                state[name] = value
    for name, child in _mapping(module.state.get("_modules")).items():
        if isinstance(child, Record):
            state |= {f"{name}.{inner}": tensor for inner, tensor in module_state(child).items()}
    return state


def constructor_arguments(module: Record) -> dict[str, Any]:
    """The named arguments that a persistence object was constructed with; empty where nothing is known."""
    return dict(_mapping(module.state.get("_init_kwargs")))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
