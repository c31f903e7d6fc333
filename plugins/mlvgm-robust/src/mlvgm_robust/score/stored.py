"""What ``mlvgm run score`` scores, and on which defences: shards of a run or a folder, and a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mlvgm.configuration.settings import Setting, Settings, flatten
from mlvgm.errors import ConfigError, InputError
from mlvgm.runs.stored import Stored as Run
from mlvgm.runs.stored import stored as read_run
from mlvgm_robust.purify.config import PurifyConfig, checked
from mlvgm_robust.purify.recorded import attacked
from mlvgm_robust.purify.resolve import resolve
from mlvgm_robust.purify.shards import Shard, read_shard
from mlvgm_robust.purify.study import Study, build_study
from mlvgm_robust.score.rescore import Rescored, ScoreRow, rescore, score_rows

_OF_DEFENCES = ("generator", "purifier", "encoder", "classifier")
# What decides about images; everything else is about making them.
_OF_DECISIONS = ("votes", "rule", "clamp", "score", "seed", "memory", "device", "threads")


@dataclass(frozen=True)
class Stored:
    """Adversarial examples on disk.

    Args:
        shards: with sample ids, in order of their names.
        recorded: right decisions about adversarial images on record, by name of the shard.
        config: of the run they are from, if they are from one.
        problems: shards of the run that are missing, damaged or another unit's, each with what is wrong.
    """

    shards: tuple[Shard, ...]
    recorded: Mapping[str, Sequence[bool]]
    config: PurifyConfig | None
    problems: tuple[str, ...] = ()


def stored(path: Path, *, norm: str | None = None, eps: float | None = None) -> Stored:
    """The shards of a run directory, of a folder, or a single one.

    Args:
        path: run directory, folder of ``*.safetensors``, or one such file.
        norm: norm of perturbations, for shards that do not say.
        eps: their largest size, for shards that do not say.

    Raises:
        InputError: there are none, or one of a folder is not what it should be.
    """
    if (path / "config.yaml").is_file():
        return _of_run(read_run(path))
    if not path.exists():
        raise InputError(f"no such folder or shard: '{path}'", hint="see `mlvgm runs list`")
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        raise InputError(f"no shards in '{path}'", hint="a run directory, or a folder of .safetensors files")
    shards, count = [], 0
    for file in files:
        shard = read_shard(file)
        if shard.samples is None:
            shard = replace(shard, samples=tuple(range(count, count + len(shard.labels))))
        count += len(shard.labels)
        if shard.norm is None:
            shard = replace(shard, norm=norm, eps=eps)
        shards.append(shard)
    return Stored(tuple(shards), {}, None)


def _of_run(found: Run) -> Stored:
    """The shard of every finished unit; images without a record are of a unit that was interrupted."""
    run, config = found.run, found.config
    if not isinstance(config, PurifyConfig):
        raise InputError(f"'{run.path}' is a run of `mlvgm run {config.run}`, which stores no adversarial examples")
    records = attacked(found.records)
    if not records:
        raise InputError(f"run '{run.path}' has no finished unit yet", hint=f"`mlvgm runs resume {run.path}` goes on")
    shards, problems = [], []
    for unit in sorted(records):
        try:
            shards.append(read_shard(run.shard(unit), record=records[unit]))
        except InputError as error:
            problems.append(error.message)
    recorded = {name: record["robust"] for name, record in records.items()}
    return Stored(tuple(shards), recorded, config, tuple(problems))


def score_config(settings: Settings, run: PurifyConfig | None, *, threads: int) -> tuple[PurifyConfig, bool]:
    """The configuration whose defences decide, and whether they are the run's own.

    Without an option that describes a defence, those of the run decide; otherwise the one described, on the run's data
    and with its votes unless told otherwise.

    Raises:
        ConfigError: an option is unknown or says nothing about scoring.
    """
    for key, setting in settings.items():
        group = key.split(".")[0]
        if setting.source.startswith("--") and group not in (*_OF_DEFENCES, *_OF_DECISIONS, "data"):
            known = ", ".join([*(f"{name}.*" for name in (*_OF_DEFENCES, "data")), *_OF_DECISIONS])
            raise ConfigError(f"'{key}' has no effect on scores", hint=f"options: {known}")
    relevant = {k: v for k, v in settings.items() if k.split(".")[0] in (*_OF_DEFENCES, *_OF_DECISIONS, "data")}
    decisions = {key: setting.value for key, setting in relevant.items() if key in _OF_DECISIONS}
    if run is not None and len(decisions) == len(relevant):
        return checked(run.model_dump(mode="json") | decisions), True
    base: dict[str, Any] = {"compare": False, "limit": 1}
    if run is not None:
        base |= {name: getattr(run, name) for name in (*_OF_DECISIONS, "split", "budget")}
        base |= flatten(run.model_dump(mode="json", include={"data", "classifier"}))
    for name in ("data", "classifier"):  # another component has options of its own
        if f"{name}.name" in relevant:
            base = {key: value for key, value in base.items() if not key.startswith(f"{name}.")}
    given = {key: Setting(value, "the run") for key, value in base.items()} | relevant
    return resolve(given, threads=threads).config, False


def score_stored(
    found: Stored,
    config: PurifyConfig,
    *,
    own: bool,
    progress: Callable[[int, int, str], None] = lambda done, total, message: None,
) -> list[ScoreRow]:
    """Score every shard on the defence it was made against (``own``), or on that of the configuration.

    Raises:
        InputError: shards do not fit the defences.
    """
    torch.set_num_threads(config.threads)
    study = build_study(config, attacking=False)
    jobs = [(label, shard) for shard in found.shards for label in _judges(study, shard, own=own)]
    scored: dict[str, list[Rescored]] = {}
    for number, (label, shard) in enumerate(jobs):
        progress(number, len(jobs), f"{label}: {shard.name}")
        assert shard.samples is not None
        shape = study.data.info.image.shape
        if shard.original.shape[1:] != torch.Size(shape):
            raise InputError(
                f"shard '{shard.name}' has images {tuple(shard.original.shape[1:])}, the defence takes {tuple(shape)}",
                hint=f"choose --data to match; it is '{config.data.name}'",
            )
        one = rescore(
            study.defences[label], shard, samples=shard.samples, protocol=study.protocol, device=config.device
        )
        scored.setdefault(label, []).append(one)
    recorded = found.recorded if own else None
    judges = [label for label in study.defences if label in scored]
    return [row for label in judges for row in score_rows(label, scored[label], recorded=recorded)]


def _judges(study: Study, shard: Shard, *, own: bool) -> list[str]:
    if not own:
        return list(study.defences)
    if shard.defence not in study.defences:
        raise InputError(f"shard '{shard.name}' was made against '{shard.defence}', which is no defence of the run")
    return [shard.defence]
