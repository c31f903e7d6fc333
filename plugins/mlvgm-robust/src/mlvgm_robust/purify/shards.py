"""Shards: adversarial examples in safetensors files that others can read and write (docs/reference/shards.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.foreign.given import check_images

FORMAT = "mlvgm-shard"
VERSION = "1"
_NORMS = ("Linf", "L2", "L1")


@dataclass(frozen=True)
class Shard:
    """Images, their adversarial counterparts, and what is known about them.

    Args:
        name: the file's, without its ending.
        original: (n, C, H, W) float32 in [0, 1].
        adversarial: of the same shape, finite; whether it lies in ball and box is for whoever uses it to check.
        labels: (n,) int64, the true classes.
        samples: (n,) sample ids, which name the noise of decisions; None if the file has none.
        defence: label of the defence that was attacked; empty if unknown.
        attack: label of the attack; empty if unknown.
        norm: norm of the perturbations; None if unknown.
        eps: their largest size; None if unknown, or of a minimal-norm attack.
        refused: by image, whether the candidate was refused when the shard was made; empty if unknown.
    """

    name: str
    original: Tensor
    adversarial: Tensor
    labels: Tensor
    samples: tuple[int, ...] | None = None
    defence: str = ""
    attack: str = ""
    norm: str | None = None
    eps: float | None = None
    refused: tuple[bool, ...] = ()


def shard_metadata(record: Mapping[str, Any], *, seed: int, split: str) -> dict[str, str]:
    """The header of a unit's shard, from its record."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "defence": record["defence"],
        "attack": record["attack"],
        "norm": record["norm_name"],
        **({} if record["eps"] is None else {"eps": repr(float(record["eps"]))}),
        "seed": str(seed),
        "split": split,
    }


def read_shard(path: Path, *, record: Mapping[str, Any] | None = None) -> Shard:
    """The shard in a file.

    Args:
        path: safetensors file.
        record: the record of the unit it belongs to: it has to be that unit's, to the last bit where the record has the
            file's SHA-256. Shards of earlier versions say less, and their records have none.

    Raises:
        InputError: it is no safetensors file, a tensor is missing, has another shape or is not finite, or it is not the
            shard on record.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            header = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read shard '{path}': {error}", hint="see docs/reference/shards.md") from None
    if record is not None:
        check_digest(path, record)
        header = shard_metadata(record, seed=0, split="") | header
        tensors = {"labels": torch.tensor(record["labels"]), "samples": torch.tensor(record["samples"])} | tensors
    for name in ("original", "adversarial", "labels"):
        if name not in tensors:
            raise _bad(path, f"no tensor '{name}' (it has {', '.join(sorted(tensors)) or 'none'})")
    original, adversarial, labels = tensors["original"], tensors["adversarial"], tensors["labels"]
    check_images(original, what=f"shard '{path}', original")
    if adversarial.shape != original.shape or adversarial.dtype != torch.float32:
        raise _bad(path, f"adversarial is {_kind(adversarial)}, original is {_kind(original)}")
    if not bool(torch.isfinite(adversarial).all()):
        raise _bad(path, f"{int((~torch.isfinite(adversarial)).sum())} pixels of adversarial are NaN or infinite")
    count = len(original)
    if count == 0:
        raise _bad(path, "it holds no images")
    for name in ("labels", "samples"):
        if name in tensors and (tensors[name].shape != (count,) or tensors[name].is_floating_point()):
            raise _bad(path, f"{name} is {_kind(tensors[name])}, expected {count} integers")
    if int(labels.min()) < 0:
        raise _bad(path, f"labels begin at 0, the smallest is {int(labels.min())}")
    samples = tuple(tensors["samples"].tolist()) if "samples" in tensors else None
    if samples is not None and len(set(samples)) < count:
        raise _bad(path, "two images have the same sample id")
    norm, eps = header.get("norm"), _number(path, header.get("eps"))
    if norm is not None and norm not in _NORMS:
        raise _bad(path, f"norm '{norm}' is none of {', '.join(_NORMS)}")
    shard = Shard(
        path.stem,
        original,
        adversarial,
        labels.to(torch.int64),
        samples,
        header.get("defence", ""),
        header.get("attack", ""),
        norm,
        eps,
        tuple((record or {}).get("violations", ())),
    )
    if record is not None:
        _check_unit(path, shard, record)
    return shard


def check_digest(path: Path, record: Mapping[str, Any]) -> None:
    """Refuse a file that is not the one a unit's record was written with; records of earlier versions cannot tell.

    Raises:
        InputError: it is another, or cannot be read.
    """
    expected = record.get("shard")
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read shard '{path}': {error.strerror}", hint="restore the file") from None
    if expected not in (None, found):
        raise _bad(path, f"it is not the file on record (SHA-256 {found[:12]}…, on record {str(expected)[:12]}…)")


def _check_unit(path: Path, shard: Shard, record: Mapping[str, Any]) -> None:
    """Refuse a whole shard that is another unit's."""
    own = {
        "defence": shard.defence,
        "attack": shard.attack,
        "norm_name": shard.norm,
        "eps": shard.eps,
        "samples": list(shard.samples or ()),
        "labels": shard.labels.tolist(),
    }
    for key, value in own.items():
        if value != record[key]:
            what = key.removesuffix("_name")
            raise _bad(path, f"it is not of unit '{record['unit']}': its {what} is {value}, on record {record[key]}")


def _number(path: Path, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise _bad(path, f"eps '{text}' is no number") from None
    if not 0 <= value < float("inf"):
        raise _bad(path, f"eps is {text}")
    return value


def _bad(path: Path, what: str) -> InputError:
    return InputError(f"shard '{path}': {what}", hint="see docs/reference/shards.md")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
