"""Purification study: defences under the same attacks on the same images, in resumable units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mlvgm.noise import Keys
from mlvgm.protocols.attack import Attack, AttackInfo
from mlvgm.protocols.data import Dataset, Split
from mlvgm.reading import read
from mlvgm.runs.slug import slug
from mlvgm.statistics import Estimate, mean_share, wilson
from mlvgm_robust.evaluation.admissible import shown
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Attacked, Protocol, run_attack
from mlvgm_robust.evaluation.target import Counts


@dataclass(frozen=True)
class Block:
    """The work of a unit: one defence, one attack, and a fixed block of sample ids.

    Args:
        name: unique within the run; names the unit's files.
        label: the defence's row.
        attack: the attack's label.
        samples: sample ids.
    """

    name: str
    label: str
    attack: str
    samples: tuple[int, ...]


@dataclass(frozen=True)
class RowResult:
    """One defence's figures under one attack, over all finished units.

    Args:
        label: the defence's row.
        attack: the attack's label.
        norm: norm of the attack's perturbations.
        eps: their largest size; None for a minimal-norm attack.
        images: how many images.
        clean: accuracy of one decision with the deployed votes on the given images (Wilson 95 %).
        robust: the same on the adversarial images.
        clean_single: accuracy of single draws (bootstrap over images, 95 %).
        robust_single: the same on the adversarial images.
        decision_milliseconds: cost of one deployed decision, per image.
        seconds: attack and selection, without scoring.
        forwards: forward passes of the attack, images × draws.
        backwards: backward passes.
        violations: images whose candidate left ball or box and was refused; they do not count as robust.
        differentiable: the purifier is.
        paths: how gradients reached the attack: ``exact``, ``bpda``, ``transfer``, or none.
    """

    label: str
    attack: str
    norm: str
    eps: float | None
    images: int
    clean: Estimate
    robust: Estimate
    clean_single: Estimate
    robust_single: Estimate
    decision_milliseconds: float
    seconds: float
    forwards: int
    backwards: int
    violations: int
    differentiable: bool = True
    paths: tuple[str, ...] = ()


def blocks(attacks: Mapping[str, Sequence[str]], samples: Sequence[int], *, block: int) -> list[Block]:
    """Blocks of a study: attacks in order, the defences each of them attacks, blocks of ``block`` sample ids.

    Args:
        attacks: labels of the defences that each attack, by label, attacks.
        samples: sample ids.
        block: images in a unit.

    >>> [one.name for one in blocks({"square": ["none"]}, range(40), block=16)]
    ['square--none--000000', 'square--none--000016', 'square--none--000032']
    """
    parts = [tuple(samples[i : i + block]) for i in range(0, len(samples), block)]
    return [
        Block(f"{slug(attack)}--{slug(label)}--{ids[0]:06d}", label, attack, ids)
        for attack, labels in attacks.items()
        for label in labels
        for ids in parts
    ]


def attack_block(
    block: Block,
    *,
    defence: Defence,
    attack: Attack,
    data: Dataset,
    split: Split,
    protocol: Protocol,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda message: None,
    counts: Counts | None = None,
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Attack one block.

    Returns:
        its record (plain values) and the tensors of its shard (docs/reference/shards.md): ``original``,
        ``adversarial``, ``purified`` (one draw of each adversarial image), ``labels`` and ``samples``.
    """
    images, labels = read(data, split, block.samples)
    attacked = run_attack(
        defence,
        attack,
        images.to(device),
        labels.to(device),
        samples=block.samples,
        protocol=protocol,
        progress=progress,
        counts=counts,
    )
    keys = Keys.of(seed=protocol.seed, purpose="picture", samples=block.samples)
    with torch.no_grad():
        purified = defence.purify(attacked.images, keys)
    outcome = record(block, labels, attacked, info=attack.info)
    return outcome | {"differentiable": defence.differentiable}, {
        "original": images,
        "adversarial": attacked.images.cpu(),
        "purified": purified.cpu(),
        "labels": labels.cpu(),
        "samples": torch.tensor(block.samples, dtype=torch.int64),
    }


def record(block: Block, labels: torch.Tensor, attacked: Attacked, *, info: AttackInfo) -> dict[str, Any]:
    """A block's outcome in plain values, per image; :mod:`mlvgm_robust.purify.recorded` says what they are."""
    notes = {"notes": {name: values.tolist() for name, values in attacked.notes.items()}} if attacked.notes else {}
    return notes | {
        "unit": block.name,
        "defence": block.label,
        "attack": block.attack,
        "norm_name": info.norm,
        "eps": info.eps,
        "samples": list(block.samples),
        "labels": labels.tolist(),
        "clean": attacked.clean.right.tolist(),
        "clean_single": attacked.clean.single.tolist(),
        "robust": attacked.robust.right.tolist(),
        "robust_single": attacked.robust.single.tolist(),
        "chance": attacked.chance.tolist(),
        "norm": attacked.norm.tolist(),
        "violations": attacked.violations.tolist(),
        "forwards": attacked.forwards,
        "backwards": attacked.backwards,
        "paths": list(attacked.paths),
        "seconds": attacked.seconds,
        "decision_seconds": attacked.decision_seconds,
    }


def summarise(records: Sequence[Mapping[str, Any]]) -> RowResult:
    """Figures of one defence under one attack, from their records."""

    def pooled(key: str) -> list[Any]:
        return [value for item in records for value in item[key]]

    images = len(pooled("samples"))
    refused, accepted = torch.tensor(pooled("violations"), dtype=torch.bool), torch.zeros(images, dtype=torch.bool)

    def accuracy(key: str, refused: torch.Tensor) -> Estimate:
        return wilson(int(shown(torch.tensor(pooled(key), dtype=torch.bool), refused).sum()), images)

    def single(key: str, refused: torch.Tensor) -> Estimate:
        return mean_share(shown(torch.tensor(pooled(key), dtype=torch.double), refused))

    return RowResult(
        label=records[0]["defence"],
        attack=records[0]["attack"],
        norm=records[0]["norm_name"],
        eps=records[0]["eps"],
        images=images,
        clean=accuracy("clean", accepted),
        robust=accuracy("robust", refused),
        clean_single=single("clean_single", accepted),
        robust_single=single("robust_single", refused),
        # The median block: the first one pays for warming up.
        decision_milliseconds=1000
        * sorted(item["decision_seconds"] / len(item["samples"]) for item in records)[len(records) // 2],
        seconds=sum(item["seconds"] for item in records),
        forwards=sum(item["forwards"] for item in records),
        backwards=sum(item["backwards"] for item in records),
        violations=sum(pooled("violations")),
        differentiable=all(item["differentiable"] for item in records),
        paths=tuple(records[0]["paths"]),
    )
