"""PyTorch's present file format: an uncompressed zip archive of a pickle and one file for each storage."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor

from mlvgm.weights.pickles.budget import Context, Refused
from mlvgm.weights.pickles.opcodes import run
from mlvgm.weights.pickles.tensors import dtype_of, typed, whole

_ENCRYPTED = 1


def is_zip(file: BinaryIO) -> bool:
    """``file`` starts like a zip archive; its position is kept."""
    start = file.read(4)
    file.seek(-len(start), 1)
    return start == b"PK\x03\x04"


def read_zip(file: BinaryIO, context: Context) -> Any:
    """The data in a PyTorch zip archive.

    Raises:
        Refused: its entries are compressed, overlap or claim more than the file has, or its pickle is refused.
    """
    with ZipFile(file) as archive:
        _check(archive, file)
        pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Refused(f"is a zip archive with {len(pickles)} files 'data.pkl', a PyTorch file has one")
        folder = pickles[0].removesuffix("data.pkl")
        order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in archive.namelist() else b"little"
        if order != b"little":
            raise Refused("was written on a big-endian machine")
        storages: dict[str, Tensor] = {}

        def storage(identity: Any) -> Tensor:
            if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
                raise Refused("refers to something that is no storage")
            _, kind, key, _, count = identity
            if not isinstance(key, str):
                raise Refused("names a storage by something that is no text")
            if key not in storages:
                storages[key] = _bytes(archive, f"{folder}data/{key}")
            return typed(storages[key], dtype_of(kind), whole(count))

        with archive.open(pickles[0]) as content:
            return run(BytesIO(content.read()), replace(context, persistent=storage))


def _check(archive: ZipFile, file: BinaryIO) -> None:
    entries = archive.infolist()
    if any(entry.compress_type != ZIP_STORED or entry.file_size != entry.compress_size for entry in entries):
        raise Refused("is a compressed zip archive; PyTorch's are not")
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        raise Refused("is an encrypted zip archive")
    if len({entry.filename for entry in entries}) < len(entries):
        raise Refused("is a zip archive with two files of one name")
    if sum(entry.file_size for entry in entries) > file.seek(0, 2):
        raise Refused("is a zip archive whose files overlap")


def _bytes(archive: ZipFile, name: str) -> Tensor:
    if name not in archive.NameToInfo:
        raise Refused("lacks the numbers of a tensor")
    content = bytearray(archive.read(name))
    return torch.frombuffer(content, dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)
