"""Square: random search on the margin, without gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, uniform
from mlvgm.protocols.attack import AttackInfo, Norm
from mlvgm_robust.attacks.config import SquareConfig
from mlvgm_robust.attacks.geometry import per_image
from mlvgm_robust.attacks.improver import Improver
from mlvgm_robust.attacks.square_moves import first_guess, numbers_needed, propose, window_side

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.attacks.incumbents import Incumbents


_BLOCK = 64  # proposals whose random numbers are drawn at once


@dataclass(frozen=True)
class Square(Improver):
    """Square attack (Andriushchenko et al., arXiv 1912.00049); its schedule is stretched over ``queries``.

    Against a random defence a proposal is compared with a running mean of the current point's margin, which gets fresh
    draws in every query too, and must be better by a standard error. So a lucky draw is not kept as the mark to beat.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        queries: proposals in one restart.
        restarts: random starts.
    """

    norm: Norm = "L2"
    eps: float = 1.0
    queries: int = 5000
    restarts: int = 1

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("square", self.norm, self.eps, access="score")

    def improve(self, incumbents: Incumbents, images: Tensor) -> None:
        keys = incumbents.context.keys
        search = self._search_scores if incumbents.target.stochastic else self._search
        for restart in range(self.restarts):
            rows = incumbents.standing()
            if len(rows) == 0:
                break
            name = f"start{restart}"
            start = first_guess(images[rows], norm=self.norm, eps=self.eps, keys=keys[rows], name=name)
            search(incumbents, rows, images, start, keys.derive(name))

    def _search(self, incumbents: Incumbents, rows: Tensor, images: Tensor, point: Tensor, keys: Keys) -> None:
        """Against a deterministic target: keep what is better, stop at success."""
        best = torch.full_like(point[:, 0, 0, 0], -torch.inf)
        candidate, centre = point, images[rows]
        numbers = _Numbers(keys, rows, images.shape[1])
        for query in range(self.queries):
            margin = incumbents.margin(incumbents.target[rows](candidate, draws=1).squeeze(1), rows)
            better = margin > best
            point, best = torch.where(per_image(better), candidate, point), torch.where(better, margin, best)
            fooled = best > 0
            if fooled.any():
                incumbents.take(point[fooled], rows[fooled])
                rows, point, best, centre = rows[~fooled], point[~fooled], best[~fooled], centre[~fooled]
                numbers.keep(~fooled)
                if len(rows) == 0:
                    return
            candidate = self._propose(centre, point, numbers.of(query), query)

    def _search_scores(self, incumbents: Incumbents, rows: Tensor, images: Tensor, point: Tensor, keys: Keys) -> None:
        """Against a random target: compare mean margins on fresh draws of both sides."""
        centre, total, count = images[rows], torch.zeros_like(point[:, 0, 0, 0]), torch.zeros_like(point[:, 0, 0, 0])
        numbers = _Numbers(keys, rows, images.shape[1])
        every = max(self.queries // 10, 1)
        for query in range(self.queries):
            candidate = self._propose(centre, point, numbers.of(query), query)
            current, _ = _mean_margin(incumbents, point, rows)
            total, count = total + current, count + 1
            margin, error = _mean_margin(incumbents, candidate, rows)
            better = margin - error > total / count
            point = torch.where(per_image(better), candidate, point)
            total, count = torch.where(better, margin, total), torch.where(better, 1.0, count)
            if (query + 1) % every == 0 or query + 1 == self.queries:
                incumbents.offer(point, rows)
                keep = ~incumbents.broken[rows]
                rows, point, centre, total, count = rows[keep], point[keep], centre[keep], total[keep], count[keep]
                numbers.keep(keep)
                if len(rows) == 0:
                    return

    def _propose(self, images: Tensor, point: Tensor, numbers: Tensor, query: int) -> Tensor:
        side = window_side(query, self.queries, images.shape[1:], self.norm)
        return propose(images, point, numbers, side=side, norm=self.norm, eps=self.eps)


class _Numbers:
    """Random numbers of the proposals, drawn in blocks for the images still worked on."""

    def __init__(self, keys: Keys, rows: Tensor, channels: int) -> None:
        self._keys = keys[rows]
        self._shape = (_BLOCK, numbers_needed(channels))
        self._block = torch.empty(len(rows), 0)

    def of(self, query: int) -> Tensor:
        if query % _BLOCK == 0:
            self._block = uniform(self._keys, f"proposals{query // _BLOCK}", self._shape)
        return self._block[:, query % _BLOCK]

    def keep(self, rows: Tensor) -> None:
        if not rows.all():
            self._keys = self._keys[rows]
            self._block = self._block[rows.to(self._block.device)]


def _mean_margin(incumbents: Incumbents, candidates: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean margin over fresh draws and its standard error, each (b,)."""
    draws = incumbents.context.eot
    logits = incumbents.target[rows](candidates, draws=draws)
    margins = incumbents.margin(logits.flatten(0, 1), rows.repeat_interleave(draws)).reshape(-1, draws)
    mean = margins.mean(1)
    return mean, margins.std(1) / draws**0.5 if draws > 1 else torch.zeros_like(mean)


def build(config: SquareConfig) -> Square:
    """The attack of ``config``."""
    return Square(**config.model_dump())
