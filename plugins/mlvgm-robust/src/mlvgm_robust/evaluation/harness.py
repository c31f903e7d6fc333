"""Harness: runs an attack on a defence, checks what it returns, and scores it on noise nobody has selected on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.foreign.given import check_images
from mlvgm.noise import Keys
from mlvgm.protocols.attack import Attack, AttackContext, Gradient, Path, gradient_paths
from mlvgm.protocols.classifier import Classifier
from mlvgm_robust.evaluation.admissible import (
    check_attackable,
    check_candidates,
    check_labels,
    check_radius,
    perturbation_norm,
)
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Counts, Target


@dataclass(frozen=True)
class Protocol:
    """How an attack is run and scored.

    Args:
        eot: draws of the defence in each gradient.
        selection: fresh draws on which candidates compete.
        score: fresh draws of the final score, at least 20 for single-draw accuracy; the first ``votes`` decide.
        seed: seed of attack, selection and score noise (independent streams).
        memory: most images × draws in one differentiated pass.
        gradient: what attacks follow through the purifier; see :class:`mlvgm_robust.evaluation.target.Target`.
    """

    eot: int = 8
    selection: int = 32
    score: int = 20
    seed: int = 0
    memory: int = 512
    gradient: Gradient = "auto"


@dataclass(frozen=True)
class Scores:
    """Decisions of a defence about a batch.

    Args:
        right: (B,) bool, one fresh decision with the deployed votes is right.
        single: (B,) share of right single draws.
    """

    right: Tensor
    single: Tensor


@dataclass(frozen=True)
class Attacked:
    """An attack on a batch, scored.

    Args:
        clean: scores of the given images.
        robust: scores of the adversarial images.
        chance: (B,) probability that one deployed decision about the adversarial image is wrong, estimated on the
            selection draws. Where several attacks compete, the one with the highest counts with its own score.
        images: (B, C, H, W) adversarial images that were scored.
        norm: (B,) size of the perturbation in the attack's norm.
        violations: (B,) bool, the attack returned an image outside ball or box (it was replaced by the given one). If
            that is right, it shows no robustness; see :func:`mlvgm_robust.evaluation.admissible.shown`.
        forwards: forward passes spent, images × draws.
        backwards: backward passes spent.
        paths: how gradients reached the attack, see :func:`mlvgm.protocols.attack.gradient_paths`.
        seconds: wall time of the attack.
        decision_seconds: wall time of one deployed decision about the batch.
        notes: what the attack noted of each image (B,), by name; no decision is made on it.
    """

    clean: Scores
    robust: Scores
    chance: Tensor
    images: Tensor
    norm: Tensor
    violations: Tensor
    forwards: int
    backwards: int
    paths: tuple[Path, ...]
    seconds: float
    decision_seconds: float
    notes: Mapping[str, Tensor] = field(default_factory=dict)


def score(
    defence: Defence, images: Tensor, labels: Tensor, *, samples: Sequence[int], protocol: Protocol, purpose: str
) -> Scores:
    """Judge images once, on draws of the stream ``purpose`` that no attack and no selection has seen."""
    draws = max(protocol.score, defence.votes) if defence.stochastic else 1
    target = Target(defence, samples=samples, seed=protocol.seed, purpose=purpose, memory=protocol.memory)
    with torch.no_grad():
        logits = target(images, draws=draws)
    decision = defence.vote(logits[:, : defence.votes] if defence.stochastic else logits)
    return Scores(decision.argmax(1) == labels, (logits.argmax(2) == labels[:, None]).double().mean(1))


def select(target: Target, candidates: Sequence[Tensor], labels: Tensor, *, draws: int) -> tuple[Tensor, Tensor]:
    """Per image, the candidate with the highest estimated success on fresh selection draws; the first on ties.

    Returns:
        the chosen images, and (B,) their estimated success.
    """
    chances = torch.stack([target.success(images, labels, draws=draws).probability for images in candidates])
    best = chances.argmax(0)
    rows = torch.arange(len(labels), device=best.device)
    return torch.stack(list(candidates))[best, rows], chances[best, rows]


def transferred(
    attack: Attack,
    target: Target,
    images: Tensor,
    labels: Tensor,
    *,
    targets: Tensor | None = None,
    context: AttackContext,
    classifier: Classifier | None = None,
) -> Tensor:
    """What ``attack`` finds on the bare classifier behind the purifier of ``target``, where its loss is largest.

    Or on ``classifier``, another one of the same task.
    """
    quiet = replace(context.derive("transfer"), note=lambda name, values: None)  # the defence is not what it is about
    bare = target.undefended(classifier)
    eot, selection = (quiet.eot, quiet.selection) if bare.stochastic else (1, 1)
    own = replace(quiet, eot=eot, selection=selection, stop_at_success=False)
    return attack(bare, images, labels, targets=targets, context=own)


def run_attack(
    defence: Defence,
    attack: Attack,
    images: Tensor,
    labels: Tensor,
    *,
    samples: Sequence[int] | None = None,
    protocol: Protocol | None = None,
    progress: Callable[[str], None] = lambda message: None,
    counts: Counts | None = None,
) -> Attacked:
    """Attack a defence and score the result (the protocol of docs/explanation/evaluation.md).

    The attack's candidate and the unperturbed image compete on selection draws; the winner is scored once on score
    draws. Scoring every candidate and taking the worst would count luck as success.

    Where the purifier is not differentiable, an attack that follows gradients has only approximate ones (BPDA). What it
    finds on the bare classifier then competes as well.

    Args:
        defence: what is attacked.
        attack: any attack of the protocol.
        images: (B, C, H, W) float32 in [0, 1].
        labels: (B,) int64.
        samples: sample id of each image, which names its noise; 0 … B − 1 by default.
        protocol: draws and seed.
        progress: called with sentences about what is going on.
        counts: takes up what the attack spends, while it does.

    Raises:
        InputError: images or labels are not what they should be.
        ConfigError: the attack cannot be used with this defence.
    """
    protocol = protocol or Protocol()
    ids = list(range(len(images))) if samples is None else list(samples)
    if not isinstance(defence, Defence):
        hint = "mlvgm_robust.Defence(classifier) is one of a classifier"
        raise InputError(f"expected a Defence, got {type(defence).__name__}", hint=hint)
    if not callable(attack) or not hasattr(attack, "info"):
        hint = 'mlvgm.load("attacks/NAME") builds one'
        raise InputError(f"expected an attack, got {type(attack).__name__}", hint=hint)
    info = attack.info
    check_images(images)
    check_attackable(defence, info, gradient=protocol.gradient)
    check_radius(info, images.shape[1:])
    check_labels(labels, images, classes=defence.classes)
    if len(ids) != len(images):
        raise InputError(f"{len(images)} images, {len(ids)} sample ids")

    clean = score(defence, images, labels, samples=ids, protocol=protocol, purpose="score/clean")
    target = Target(
        defence,
        samples=ids,
        seed=protocol.seed,
        eot=protocol.eot,
        memory=protocol.memory,
        gradient=protocol.gradient,
        counts=counts,
    )
    notes: dict[str, Tensor] = {}
    context = AttackContext(
        keys=Keys.of(seed=protocol.seed, purpose="attacker", samples=ids),
        eot=protocol.eot if defence.stochastic else 1,
        selection=protocol.selection if defence.stochastic else 1,
        progress=progress,
        note=notes.__setitem__,
    )
    start = time.perf_counter()
    returned = [attack(target, images, labels, context=context)]
    paths = gradient_paths(info.access, differentiable=defence.differentiable, gradient=protocol.gradient)
    if info.access == "gradient" and "transfer" in paths:
        returned.append(transferred(attack, target, images, labels, context=context))
    candidates, outside = zip(*(check_candidates(each, images, info) for each in returned), strict=True)
    violations = torch.stack(outside).any(0)
    adversarial, chance = select(target, [*candidates, images], labels, draws=context.selection)
    seconds = time.perf_counter() - start

    robust = score(defence, adversarial, labels, samples=ids, protocol=protocol, purpose="score/adversarial")
    start = time.perf_counter()
    with torch.no_grad():
        defence(images)
    decision_seconds = time.perf_counter() - start
    return Attacked(
        clean=clean,
        robust=robust,
        chance=chance,
        images=adversarial,
        norm=perturbation_norm(adversarial, images, info.norm),
        violations=violations,
        forwards=target.counts.forwards,
        backwards=target.counts.backwards,
        paths=paths,
        seconds=seconds,
        decision_seconds=decision_seconds,
        notes=notes,
    )
