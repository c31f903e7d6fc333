"""Executing a choice of alphas: sets, trials, choice and held-out figures, each recorded as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from mlvgm.configuration.build import build_part
from mlvgm.configuration.part import Part
from mlvgm.errors import InputError
from mlvgm.protocols.data import Split
from mlvgm.reading import read
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.work import at_work
from mlvgm.statistics import Estimate, mcnemar, wilson
from mlvgm_robust.alphas.adversarial_set import (
    build_adversarial_set,
    read_adversarial_set,
    right_decisions,
    shuffled,
    still_adversarial,
    write_adversarial_set,
)
from mlvgm_robust.alphas.config import AlphasConfig
from mlvgm_robust.alphas.method import (
    AdversarialSet,
    AlphaMethod,
    AlphaProblem,
    Measured,
    Trial,
    purifier_of,
    with_alphas,
)
from mlvgm_robust.alphas.monotonicity import monotonicity
from mlvgm_robust.alphas.objective import Objective, choose, search
from mlvgm_robust.alphas.records import finished_alphas
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import run_attack
from mlvgm_robust.purify.study import Study

Report = Callable[[str, int, int, str], None]
SCHEDULES = ("none", "linear", "cosine")
_FIGURES = ("transferred", "clean", "adaptive")


def execute_alphas(
    config: AlphasConfig,
    study: Study,
    method: AlphaMethod,
    run: RunDirectory,
    *,
    report: Report = lambda stage, done, total, message: None,
) -> dict[str, Any]:
    """Do what is not done yet and return the results in plain values (also written to ``metrics.json``).

    Interrupted at any moment, calling it again ends with the same results.

    Args:
        config: what is asked for.
        study: its components.
        method: likewise.
        run: where sets, records and results go.
        report: called with stage, steps done, steps in all, and a sentence.

    Raises:
        Stopped: SIGTERM or SIGHUP, or a file could not be written; everything recorded is safe.
    """
    torch.set_num_threads(config.study.threads)
    with at_work(run, go_on=f"the same command with --out {run.path} goes on"):
        result = _execute(config, study, method, run, report)
        run.write_json("metrics.json", result)
    return result


def _execute(
    config: AlphasConfig, study: Study, method: AlphaMethod, run: RunDirectory, report: Report
) -> dict[str, Any]:
    (defence,) = study.defences.values()
    asked = config.search
    stored = {
        name: _stored_set(name, count, split, config, study, run, report)
        for name, count, split in (
            ("search", asked.images, asked.split),
            ("held-out", asked.held_out, asked.held_out_split),
        )
    }
    adversarial, held_out = (each for each, _ in stored.values())
    problem = AlphaProblem(defence, adversarial, seed=config.study.seed)
    done = finished_alphas(run)

    report("measuring", 0, 1, "what the method wants to know")
    propose = method(problem)
    memory, weight = config.study.memory, asked.weight
    trace = search(
        propose,
        Objective.of(problem, purpose="objective", weight=weight, memory=memory),
        evaluations=method.evaluations,
        trials=_trials(done, "trial"),
        record=_recorder(run, done, "trial"),
        progress=lambda *step: report("searching", *step),
    )
    report("choosing", 0, 1, "the leaders on fresh draws")
    chosen = choose(
        trace,
        Objective.of(problem, purpose="fresh", weight=weight, memory=memory),
        choice=asked.choice,
        top=asked.top,
        recorded=_trials(done, "fresh"),
        record=_recorder(run, done, "fresh"),
    )
    alphas = [round(alpha, 4) for alpha in chosen.alphas]
    for number, (label, spec) in enumerate([("chosen", alphas), *((name, name) for name in SCHEDULES)]):
        unit = f"held-out-{label}"
        if unit not in done:
            report("held-out images", number, len(SCHEDULES) + 1, label)
            done[unit] = {"unit": unit, "label": label} | _judged(spec, config, study, held_out)
            run.append(done[unit])
    rows = [done[f"held-out-{label}"] for label in ("chosen", *SCHEDULES)]
    return {
        "schema": 1,
        "method": config.method.name,
        "sets": {name: figures for name, (_, figures) in stored.items()},
        "evaluations": len(trace),
        "passes": len(trace) * len(adversarial) * defence.votes * (2 if weight else 1),
        "measuring_passes": propose.passes if isinstance(propose, Measured) else 0,
        "findings": propose.findings if isinstance(propose, Measured) else {},
        "trials": [asdict(trial) for trial in trace.trials],
        "chosen": asdict(replace(chosen, alphas=tuple(alphas))),
        "use": "--set purifier.alphas=[" + ",".join(map(str, alphas)) + "]",
        "monotonicity": _monotonicity(trace.trials),
        "rows": [_row(row, rows[0]) for row in rows],
    }


def _stored_set(
    name: str, count: int, split: Split, config: AlphasConfig, study: Study, run: RunDirectory, report: Report
) -> tuple[AdversarialSet, dict[str, Any]]:
    """The set in its file, made first if need be, without images that no longer fool pure reconstruction; figures."""
    (defence,), (attack,) = study.defences.values(), study.attacks.values()
    plain = with_alphas(defence, [0.0] * len(purifier_of(defence).alphas))
    options = {"seed": config.study.seed, "memory": config.study.memory}
    path, unit = run.path / f"{name}.safetensors", f"set-{name}"
    if unit not in finished_alphas(run):
        built = build_adversarial_set(
            plain,
            attack,
            study.data,
            split=split,
            samples=_half(name, study.data.size(split), seed=config.study.seed),
            count=count,
            eot=config.search.eot,
            device=config.study.device,
            progress=lambda *step: report(f"{name} images", *step),
            **options,
        )
        write_adversarial_set(path, built.adversarial)
        run.append({"unit": unit, "split": split, "tried": built.tried, "right": built.right})
    stored = read_adversarial_set(path, device=config.study.device)
    fooled = still_adversarial(plain, stored, **options)
    if not bool(fooled.any()):
        raise InputError(f"none of the {len(stored)} images in '{path}' is adversarial on fresh draws")
    eight_bits = replace(stored, images=(stored.images * 255).round() / 255)
    figures = {
        "stored": len(stored),
        "dropped": int((~fooled).sum()),
        "kept": int(fooled.sum()),
        "kept_in_eight_bits": int((fooled & still_adversarial(plain, eight_bits, **options)).sum()),
    }
    return stored[fooled], figures | {key: finished_alphas(run)[unit][key] for key in ("split", "tried", "right")}


def _half(name: str, size: int, *, seed: int) -> list[int]:
    """Search and held-out images come from different halves, even where both are of one split."""
    order = shuffled(size, seed=seed)
    return order[: size // 2] if name == "search" else order[size // 2 :]


def _judged(spec: object, config: AlphasConfig, study: Study, adversarial: AdversarialSet) -> dict[str, Any]:
    """Decisions of the defence with the alphas ``spec`` on held-out images, built as a user would build it."""
    (defence,), (attack,) = study.defences.values(), study.attacks.values()
    named = config.study.rows[0].purifier
    generator = purifier_of(defence).generator
    purifier = build_part("purifiers", Part(name=named.name, **{**named.options, "alphas": spec}), generator=generator)
    judged: Defence = replace(defence, purifier=purifier)
    split, options = config.search.held_out_split, {"seed": config.study.seed, "memory": config.study.memory}
    # Clean accuracy is of images as they come; those of the set are right at α = 0 because they were chosen so.
    ids = _half("held-out", study.data.size(split), seed=config.study.seed)[: config.search.held_out]
    images, labels = (tensor.to(config.study.device) for tensor in read(study.data, split, ids))
    transferred = right_decisions(
        judged, adversarial.images, adversarial.labels, adversarial.samples, purpose="held-out/set", **options
    )
    figures = {
        "alphas": list(purifier.alphas),
        "transferred": transferred.tolist(),
        "clean": right_decisions(judged, images, labels, ids, purpose="held-out/clean", **options).tolist(),
        "adaptive": [],
    }
    count = min(config.search.adaptive, len(ids))
    for start in range(0, count, config.study.block):
        rows = slice(start, min(start + config.study.block, count))
        attacked = run_attack(judged, attack, images[rows], labels[rows], samples=ids[rows], protocol=study.protocol)
        figures["adaptive"] += attacked.robust.right.tolist()
    return figures


def _row(row: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracies of one vector with their intervals, and p of the exact McNemar test against the chosen one."""
    estimates: dict[str, Estimate | None] = {
        name: wilson(sum(row[name]), len(row[name])) if row[name] else None for name in _FIGURES
    }
    against = {
        name: mcnemar(torch.tensor(chosen[name]), torch.tensor(row[name]))
        for name in _FIGURES
        if row[name] and row is not chosen
    }
    plain = {name: None if estimate is None else asdict(estimate) for name, estimate in estimates.items()}
    return {"label": row["label"], "alphas": row["alphas"], **plain, "p_against_chosen": against}


def _monotonicity(trials: Sequence[Trial]) -> dict[str, Any] | None:
    """The study of the uniform vectors among the trials."""
    uniform = [trial for trial in trials if trial.origin == "uniform"]
    return asdict(monotonicity(uniform)) if uniform else None


def _recorder(run: RunDirectory, done: Mapping[str, Any], prefix: str) -> Callable[[Trial], None]:
    numbers = iter(range(len(_trials(done, prefix)), 10**6))
    return lambda trial: run.append({"unit": f"{prefix}-{next(numbers):06d}", "trial": asdict(trial)})


def _trials(done: Mapping[str, Mapping[str, Any]], prefix: str) -> list[Trial]:
    """Recorded trials, in order."""
    records = [done[unit]["trial"] for unit in sorted(done) if unit.startswith(f"{prefix}-")]
    return [Trial(**{**record, "alphas": tuple(record["alphas"])}) for record in records]
