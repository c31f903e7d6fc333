"""A study without plugins, done in a moment: brightness classified behind nothing and behind noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from toys import Additive, Brightness, Shift

from mlvgm.latents import ImageSpec
from mlvgm.plugins.hooks import Hooks
from mlvgm.plugins.index import Index
from mlvgm.protocols.data import DataInfo, Split
from mlvgm.runs.execute import execute
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.stored import stored
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purify.config import PurifyConfig, checked
from mlvgm_robust.purify.job import PurifyJob
from mlvgm_robust.purify.study import Study, protocol_of


@dataclass(frozen=True)
class Levels:
    """Images of one brightness each, the brighter ones of class 1."""

    count: int = 12

    @property
    def info(self) -> DataInfo:
        return DataInfo("levels", ImageSpec(1, 4, 4), ("dark", "bright"), "none", "made up")

    def size(self, split: Split) -> int:
        return self.count

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        levels = torch.linspace(0.05, 0.95, self.count)[list(ids)]
        return levels[:, None, None, None].expand(-1, 1, 4, 4).contiguous(), (levels > 0.5).long()


def toy_config(**changes: Any) -> PurifyConfig:
    rows = [{"label": label, "purifier": {"name": "none"}} for label in ("noisy", "undefended")]
    attacks = [{"label": label, "attack": {"name": "shift"}} for label in ("shift", "stay")]
    tree: dict[str, Any] = {"threads": 1, "limit": 12, "block": 4, "votes": 3, "data": {"name": "levels"}}
    tree |= {"classifier": {"name": "brightness"}, "rows": rows, "attacks": attacks}
    return checked(tree | changes)


def toy_study(config: PurifyConfig, *, shift: float = 0.2) -> Study:
    defences = {
        "noisy": Defence(Brightness(), Additive(0.1), votes=config.votes),
        "undefended": Defence(Brightness(), votes=config.votes),
    }
    attacks = {"shift": Shift(0.2, shift), "stay": Shift(0.2, 0.0)}
    return Study(Levels(), attacks, defences, tuple(range(config.limit or 12)), protocol_of(config))


def toy_run(path: Path, config: PurifyConfig) -> RunDirectory:
    import yaml

    text = yaml.safe_dump(config.model_dump(mode="json"))
    return RunDirectory.create(path, name="toy", config=text, environment={"threads": 1})


def do(run: RunDirectory, config: PurifyConfig, **options: Any) -> Mapping[str, Any]:
    return execute(PurifyJob(), config, toy_study(config), run, hooks=Hooks(Index()), **options).values


def finished_units(run: RunDirectory) -> Mapping[str, Mapping[str, Any]]:
    """Records of a run, checked."""
    return stored(run.path).records
