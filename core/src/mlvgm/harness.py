"""Harness: runs an attack on a defence, checks what it returns, and scores it on noise nobody has selected on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlvgm.defence import Defence
from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys
from mlvgm.protocols.attack import Attack, AttackContext, AttackInfo, Gradient, Path, gradient_paths
from mlvgm.target import Target

# What float32 rounding may add to a radius.
RELATIVE, ABSOLUTE = 1e-5, 1e-6


@dataclass(frozen=True)
class Protocol:
    """How an attack is run and scored.

    Args:
        eot: draws of the defence in each gradient.
        selection: fresh draws on which candidates compete.
        score: fresh draws of the final score, at least 20 for single-draw accuracy; the first ``votes`` decide.
        seed: seed of attack, selection and score noise (independent streams).
        memory: most images × draws in one differentiated pass.
        gradient: what attacks follow through the purifier; see :class:`mlvgm.target.Target`.
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
        violations: (B,) bool, the attack returned an image outside ball or box (it was replaced by the given one).
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


def check_images(images: Tensor, *, what: str = "images") -> None:
    """Refuse images that are not finite float32 NCHW in [0, 1].

    Raises:
        InputError: wrong type, shape or range, or NaN.
    """
    if images.ndim != 4 or images.dtype != torch.float32:
        raise InputError(f"{what}: expected float32 (N, C, H, W), got {images.dtype} {tuple(images.shape)}")
    if not bool(torch.isfinite(images).all()):
        raise InputError(f"{what}: {int((~torch.isfinite(images)).sum())} pixels are NaN or infinite")
    if images.numel() and (float(images.min()) < 0 or float(images.max()) > 1):
        low, high = float(images.min()), float(images.max())
        raise InputError(f"{what}: expected values in [0, 1], got [{low:.4g}, {high:.4g}]", hint="divide bytes by 255")


def check_attackable(defence: Defence, info: AttackInfo, *, gradient: Gradient = "auto") -> None:
    """Refuse an attack that cannot work on a defence.

    Raises:
        ConfigError: too few classes, exact gradients asked of a purifier that has none, or an attack on the latents of
            a purifier without a generator.
    """
    if info.minimum_classes > defence.classes:
        raise ConfigError(
            f"attack '{info.name}' needs {info.minimum_classes} classes, the classifier has {defence.classes}"
        )
    if info.needs_generator and getattr(defence.purifier, "generator", None) is None:
        raise ConfigError(
            f"attack '{info.name}' needs a purifier with a generator, came {type(defence.purifier).__name__}",
            hint="take --purifier mlvgm with --set compare=false, or another attack",
        )
    if info.needs_generator and (gradient == "bpda" or not defence.differentiable):
        raise ConfigError(
            f"attack '{info.name}' needs the encoder's exact gradient",
            hint="take a generator with an encoder of its own and leave gradient on auto, or take another attack",
        )
    if info.access == "gradient" and gradient == "exact" and not defence.differentiable:
        raise ConfigError(
            f"attack '{info.name}' is to follow exact gradients, the purifier has none",
            hint="leave gradient on auto for BPDA and transfer, or take --attack square",
        )


def perturbation_norm(adversarial: Tensor, images: Tensor, norm: str) -> Tensor:
    """Size (B,) of each perturbation in ``norm`` ("Linf", "L2" or "L1"), in double precision."""
    difference = (adversarial.double() - images.double()).flatten(1)
    size: Tensor = difference.norm(p={"Linf": math.inf, "L2": 2, "L1": 1}[norm], dim=1)
    return size


def check_candidates(adversarial: Tensor, images: Tensor, info: AttackInfo) -> tuple[Tensor, Tensor]:
    """Replace what lies outside ball or box, or is not finite, by the given image.

    Returns:
        checked images and (B,) bool violations. The tolerance covers float32 rounding: 1e-5 of eps plus 1e-6.
    """
    if adversarial.shape != images.shape:
        raise InputError(f"attack '{info.name}' returned {tuple(adversarial.shape)} for {tuple(images.shape)}")
    flat = adversarial.flatten(1)
    outside = ~torch.isfinite(flat).all(1) | (flat < -1e-6).any(1) | (flat > 1 + 1e-6).any(1)
    if info.eps is not None:
        outside |= perturbation_norm(adversarial, images, info.norm).float() > info.eps * (1 + RELATIVE) + ABSOLUTE
    checked = torch.where(outside[:, None, None, None], images, adversarial.clamp(0, 1))
    return checked, outside


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
) -> Tensor:
    """What ``attack`` finds on the bare classifier behind the purifier of ``target``, where its loss is largest."""
    quiet = replace(context.derive("transfer"), note=lambda name, values: None)  # the defence is not what it is about
    bare = replace(quiet, eot=1, selection=1, stop_at_success=False)
    return attack(target.undefended(), images, labels, targets=targets, context=bare)


def run_attack(
    defence: Defence,
    attack: Attack,
    images: Tensor,
    labels: Tensor,
    *,
    samples: Sequence[int] | None = None,
    protocol: Protocol | None = None,
    progress: Callable[[str], None] = lambda message: None,
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

    Raises:
        InputError: images or labels are not what they should be.
        ConfigError: the attack cannot be used with this defence.
    """
    protocol = protocol or Protocol()
    ids = list(range(len(images))) if samples is None else list(samples)
    info = attack.info
    check_images(images)
    check_attackable(defence, info, gradient=protocol.gradient)
    if labels.shape != (len(images),) or len(ids) != len(images):
        raise InputError(f"{len(images)} images, labels of shape {tuple(labels.shape)}, {len(ids)} sample ids")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < defence.classes:
        raise InputError(f"labels: expected 0 to {defence.classes - 1}, got {int(labels.min())} to {int(labels.max())}")

    clean = score(defence, images, labels, samples=ids, protocol=protocol, purpose="score/clean")
    target = Target(
        defence,
        samples=ids,
        seed=protocol.seed,
        eot=protocol.eot,
        memory=protocol.memory,
        gradient=protocol.gradient,
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
    candidates, outside = zip(*(check_candidates(each.detach(), images, info) for each in returned), strict=True)
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
