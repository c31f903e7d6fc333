"""Tensors as the bytes of a safetensors file, the same bytes every time."""

from __future__ import annotations

import json
from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor


def as_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The file that holds ``tensors`` and ``metadata``.

    safetensors writes metadata in random order; here they stand in the order of their names.
    """
    # Copies, for safetensors refuses tensors that share memory.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = save(copies, dict(metadata or {}))
    if not metadata:
        return content
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # Tensors begin at a multiple of eight bytes.
    ordered = ordered.ljust(-(-len(ordered) // 8) * 8)
    return len(ordered).to_bytes(8, "little") + ordered + content[8 + length :]
