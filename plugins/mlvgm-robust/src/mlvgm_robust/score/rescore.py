"""Scoring stored adversarial examples on a defence, without attacking it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.protocols.attack import AttackInfo
from mlvgm.statistics import Estimate, mean_share
from mlvgm_robust.evaluation.admissible import check_candidates, shown
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, score
from mlvgm_robust.purify.outcomes import accuracy
from mlvgm_robust.purify.shards import Shard


@dataclass(frozen=True)
class Rescored:
    """Decisions of a defence about one shard.

    Args:
        shard: what was scored.
        clean: (n,) bool, one decision about the original is right.
        clean_single: (n,) share of right single draws.
        robust: the same of the adversarial images.
        robust_single: the same.
        refused: (n,) bool, the adversarial image lies outside box or ball, now or when it was made; the original was
            scored in its place.
    """

    shard: Shard
    clean: Tensor
    clean_single: Tensor
    robust: Tensor
    robust_single: Tensor
    refused: Tensor


@dataclass(frozen=True)
class ScoreRow:
    """Figures of a defence on the adversarial examples of one attack.

    Args:
        label: the defence that decides.
        made_against: the defence the examples were made against; empty if unknown.
        attack: the attack that made them; empty if unknown.
        norm: norm that was checked; None if only the box was.
        eps: radius that was checked; None if only the box was.
        images: how many.
        clean: accuracy of one deployed decision on the originals (Wilson 95 %).
        robust: the same on the adversarial images.
        clean_single: accuracy of single draws (bootstrap over images, 95 %).
        robust_single: the same on the adversarial images.
        refused: adversarial images outside box or ball, now or when they were made; they do not count as robust.
        changed: decisions that differ from those on record; None where there are none to compare with.
    """

    label: str
    made_against: str
    attack: str
    norm: str | None
    eps: float | None
    images: int
    clean: Estimate
    robust: Estimate
    clean_single: Estimate
    robust_single: Estimate
    refused: int
    changed: int | None = None


def rescore(
    defence: Defence, shard: Shard, *, samples: Sequence[int], protocol: Protocol, device: str = "cpu"
) -> Rescored:
    """Decide about a shard as the harness decides: on score draws, named by ``samples`` and the protocol's seed.

    Raises:
        InputError: a label is no class of the defence, or the images do not fit it.
    """
    if int(shard.labels.max()) >= defence.classes:
        raise InputError(
            f"shard '{shard.name}': label {int(shard.labels.max())}, the classifier has {defence.classes} classes"
        )
    info = AttackInfo(shard.attack or shard.name, shard.norm or "L2", shard.eps if shard.norm else None)  # type: ignore[arg-type]
    checked, refused = check_candidates(shard.adversarial, shard.original, info)
    if shard.refused:  # when it was made; the file has the original
        refused = refused | torch.tensor(shard.refused)
    labels = shard.labels.to(device)
    clean, robust = (
        score(defence, images.to(device), labels, samples=samples, protocol=protocol, purpose=f"score/{purpose}")
        for images, purpose in ((shard.original, "clean"), (checked, "adversarial"))
    )
    return Rescored(shard, clean.right.cpu(), clean.single.cpu(), robust.right.cpu(), robust.single.cpu(), refused)


def score_rows(
    label: str, scored: Sequence[Rescored], *, recorded: Mapping[str, Sequence[bool]] | None = None
) -> list[ScoreRow]:
    """Figures of one defence, shards of the same attack on the same defence together.

    Args:
        label: the defence that decided.
        scored: shards, in order.
        recorded: right decisions about the adversarial images on record, by name of the shard.
    """
    groups: dict[tuple[str, str, str | None, float | None], list[Rescored]] = {}
    for one in scored:
        shard = one.shard
        groups.setdefault((shard.defence, shard.attack, shard.norm, shard.eps), []).append(one)
    rows = []
    for (made_against, attack, norm, eps), found in groups.items():
        refused = int(torch.cat([one.refused for one in found]).sum())
        known = recorded is not None and all(one.shard.name in recorded for one in found)
        rows.append(
            ScoreRow(
                label,
                made_against,
                attack,
                norm,
                eps,
                sum(len(one.robust) for one in found),
                accuracy(torch.cat([one.clean for one in found])),
                accuracy(torch.cat([shown(one.robust, one.refused) for one in found])),
                mean_share(torch.cat([one.clean_single for one in found])),
                mean_share(torch.cat([shown(one.robust_single, one.refused) for one in found])),
                refused,
                _changed(found, recorded) if recorded is not None and known else None,
            )
        )
    return rows


def _changed(scored: Sequence[Rescored], recorded: Mapping[str, Sequence[bool]]) -> int:
    return sum(int((one.robust != torch.tensor(recorded[one.shard.name], dtype=torch.bool)).sum()) for one in scored)
