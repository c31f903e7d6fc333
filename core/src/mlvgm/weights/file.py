"""The weights file: safetensors, with its format and architecture as text in the metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules import module as registration

from mlvgm.errors import InputError, MlvgmError
from mlvgm.files import write_bytes
from mlvgm.tensors_file import as_bytes
from mlvgm.weights.pickles.scalars import printable

N = TypeVar("N", bound=nn.Module)

# Parameters of a network that are registered twice or not stored.
_SPARE = 64

_AGAIN = "reinstall the plugin or fetch the file again"


@dataclass(frozen=True)
class WeightsFile:
    """What is in a weights file.

    Args:
        format: ``"mlvgm-<name>/<version>"``, which reader it is for; empty for a bare state dict.
        architecture: JSON that, with the tensors, makes the network; empty for a bare state dict.
        tensors: by name, on the CPU.
        note: further metadata (where it came from).
    """

    format: str
    architecture: str
    tensors: Mapping[str, Tensor]
    note: Mapping[str, str] = field(default_factory=dict)


def write_weights(path: Path, content: WeightsFile) -> None:
    """Write ``content`` to ``path``; the file appears whole or not at all, and is the same bytes every time.

    Raises:
        InputError: the folder is missing, not writable or full.
    """
    metadata = {**content.note, "format": content.format, "architecture": content.architecture}
    try:
        write_bytes(path, as_bytes(content.tensors, metadata))
    except OSError as error:
        raise InputError(f"cannot write weights to '{path}': {error}", hint="choose another folder") from error


def read_weights(path: Path, *, sha256: str | None = None, format: str | None = None) -> WeightsFile:
    """The content of a safetensors file.

    Args:
        path: ours, or a bare state dict (its ``format`` is then empty).
        sha256: expected checksum of the file.
        format: expected format.

    Raises:
        InputError: the file is missing, unreadable, or not the expected one.
    """
    if sha256 is not None:
        verify_sha256(path, sha256)
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: expected a readable safetensors file, got: {error}", hint=_AGAIN) from error
    content = WeightsFile(metadata.pop("format", ""), metadata.pop("architecture", ""), tensors, metadata)
    if format not in (None, content.format):
        raise InputError(f"{path}: expected weights of format '{format}', came '{content.format}'")
    return content


def verify_sha256(path: Path, expected: str) -> None:
    """Refuse a file that is not the one expected.

    Raises:
        InputError: it cannot be read, or has another checksum.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", hint=_AGAIN) from error
    if found != expected:
        raise InputError(f"{path}: expected sha256 {expected[:12]}…, got {found[:12]}…", hint=_AGAIN)


def check_finite(tensors: Mapping[str, Tensor], path: object) -> None:
    """Refuse tensors with numbers that are not finite.

    Raises:
        InputError: some have; ``path`` is named.
    """
    strange = [name for name, tensor in tensors.items() if not is_finite(tensor)]
    if strange:
        raise InputError(f"{path}: {len(strange)} tensors have values that are not finite, {strange[0]} among them")


def is_finite(tensor: Tensor) -> bool:
    """All numbers in ``tensor`` are finite."""
    # Eight-bit numbers have no such check of their own.
    narrow = tensor.is_floating_point() and tensor.itemsize == 1
    return bool((tensor.float() if narrow else tensor).isfinite().all())


def check_fit(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse ``tensors`` that ``network`` does not have, or without all that it has.

    Args:
        network: may be on the meta device, where building one of any size costs no memory.
        tensors: by name.
        path: where they are from.

    Raises:
        InputError: tensors are missing, superfluous, or of another shape.
    """
    expected = network.state_dict()
    problems = [f"missing {name}" for name in expected.keys() - tensors.keys()]
    problems += [f"unexpected {name}" for name in tensors.keys() - expected.keys()]
    problems += [
        f"{name} is {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected.keys() & tensors.keys()
        if tensors[name].shape != expected[name].shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:3])
        raise InputError(f"{path}: {len(problems)} tensors do not fit its architecture: {shown}", hint=_AGAIN)


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load ``tensors`` into ``network``; all of them must fit, and none may be missing.

    Raises:
        InputError: tensors are missing, superfluous, of another shape, or not finite.
    """
    check_fit(network, tensors, path)
    check_finite(tensors, path)
    network.load_state_dict(dict(tensors))


def fitting(make: Callable[[], N], tensors: Mapping[str, Tensor], path: Path) -> N:
    """The network of ``make`` without memory, which ``tensors`` fit.

    Raises:
        InputError: it cannot be made, has more parameters than there are tensors, or others.
    """
    try:
        with torch.device("meta"), _no_more_than(len(tensors)):
            network = make()
    except MlvgmError:
        raise
    except Exception as error:  # layers meet sizes that nobody thought of with whatever they raise
        reason = printable(f"{type(error).__name__}: {error}"[:200])
        message = f"{path}: no network can be made of its architecture: {reason}"
        raise InputError(message, hint=_AGAIN) from error
    check_fit(network, tensors, path)
    return network


def filled(make: Callable[[], N], tensors: Mapping[str, Tensor], path: Path) -> N:
    """The network of ``make`` in evaluation mode, with ``tensors`` in it.

    It is made without memory first, so that nothing is allocated for tensors that do not fit, and nothing is drawn for
    those that do: initialising a large network takes long. Only where it has buffers that are not stored, it is made
    again to compute them; the global random state stays as it was.

    Raises:
        InputError: see :func:`fitting` and :func:`fill`.
    """
    network = fitting(make, tensors, path)
    if any(module._non_persistent_buffers_set for module in network.modules()):
        with torch.random.fork_rng(devices=[]):
            network = make()
    else:
        network = network.to_empty(device="cpu")
    fill(network, tensors, path)
    return network.eval()


@contextmanager
def _no_more_than(tensors: int) -> Iterator[None]:
    """Ends the making of a network that registers many more parameters and buffers than there are ``tensors``."""
    left = 2 * tensors + _SPARE

    def count(_: nn.Module, name: str, value: Any) -> None:
        nonlocal left
        left -= value is not None
        if left < 0:
            raise ValueError(f"it has more parameters than the {tensors} tensors of the file")

    hooks = [
        registration.register_module_parameter_registration_hook(count),
        registration.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
