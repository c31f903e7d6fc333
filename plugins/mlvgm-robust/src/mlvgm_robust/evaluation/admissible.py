"""What is admissible: images and labels, an attack on a defence, and candidates within ball and box."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mlvgm.errors import ConfigError, InputError, PluginError
from mlvgm.foreign.answers import described
from mlvgm.protocols.attack import AttackInfo, Gradient
from mlvgm_robust.evaluation.defence import Defence

# What float32 rounding may add to a radius.
RELATIVE, ABSOLUTE = 1e-5, 1e-6


def check_labels(labels: Tensor, images: Tensor, *, classes: int) -> None:
    """Refuse labels that are not one class for each image.

    Raises:
        InputError: wrong type, shape or range.
    """
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        came = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(f"labels: expected an int64 tensor, got {came}", hint="make one with torch.as_tensor(labels)")
    if labels.shape != (len(images),):
        raise InputError(f"{len(images)} images, labels of shape {tuple(labels.shape)}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(f"labels: expected 0 to {classes - 1}, got {int(labels.min())} to {int(labels.max())}")


def check_attackable(defence: Defence, info: AttackInfo, *, gradient: Gradient = "auto") -> None:
    """Refuse an attack that cannot work on a defence.

    Raises:
        ConfigError: too few classes, gradients asked of a classifier or exact ones of a purifier that has none, or an
            attack on the latents of a purifier without a generator.
    """
    if info.minimum_classes > defence.classes:
        raise ConfigError(
            f"attack '{info.name}' needs {info.minimum_classes} classes, the classifier has {defence.classes}"
        )
    if info.access in ("gradient", "classifier") and not getattr(defence.classifier, "differentiable", True):
        raise ConfigError(
            f"attack '{info.name}' follows gradients, and none leads from the logits of "
            f"{getattr(defence.classifier, 'name', 'the classifier')} to its images",
            hint="look for no_grad, detach, argmax, rounding or NumPy in its forward, or take --attack square, which "
            "uses scores only",
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


def check_radius(info: AttackInfo, shape: Sequence[int]) -> None:
    """Refuse a ball that holds every image: its radius is a slip, and numbers that large overflow.

    Args:
        info: of the attack.
        shape: (C, H, W) of the images.

    Raises:
        ConfigError: the radius is larger than the diameter of [0, 1]^CHW in the attack's norm.
    """
    pixels = math.prod(shape)
    diameter = {"Linf": 1.0, "L2": math.sqrt(pixels), "L1": float(pixels)}[info.norm]
    if info.eps is not None and not 0 <= info.eps <= diameter * (1 + RELATIVE):
        raise ConfigError(
            f"attack '{info.name}': a radius of {info.eps:.4g} in {info.norm}; two images of {tuple(shape)} are never "
            f"farther apart than {diameter:.4g}",
            hint="radii are in units of [0, 1] pixels: 8/255 is 0.0314",
        )


def perturbation_norm(adversarial: Tensor, images: Tensor, norm: str) -> Tensor:
    """Size (B,) of each perturbation in ``norm`` ("Linf", "L2" or "L1"), in double precision."""
    difference = (adversarial.double() - images.double()).flatten(1)
    size: Tensor = difference.norm(p={"Linf": math.inf, "L2": 2, "L1": 1}[norm], dim=1)
    return size


def shown(right: Tensor, refused: Tensor) -> Tensor:
    """Which right decisions, or shares of them, (n,) show robustness: none where the candidate was refused.

    Nobody has attacked such an image as agreed, so counting the given one in its place would credit the defence with
    the attack's mistake.
    """
    return right.masked_fill(refused, 0)


def check_candidates(adversarial: Tensor, images: Tensor, info: AttackInfo) -> tuple[Tensor, Tensor]:
    """Replace what lies outside ball or box, or is not finite, by the given image.

    Returns:
        checked images and (B,) bool violations. The tolerance covers float32 rounding: 1e-5 of eps plus 1e-6.

    Raises:
        PluginError: these are no images of the given ones' shape and type.
    """
    if not isinstance(adversarial, Tensor) or (adversarial.shape, adversarial.dtype) != (images.shape, images.dtype):
        text = f"expected images {described(images)}, got {described(adversarial)}"
        raise PluginError(f"attack '{info.name}': {text}", hint="it returns one candidate for each given image")
    adversarial = adversarial.detach()
    flat = adversarial.flatten(1)
    outside = ~torch.isfinite(flat).all(1) | (flat < -1e-6).any(1) | (flat > 1 + 1e-6).any(1)
    if info.eps is not None:
        outside |= perturbation_norm(adversarial, images, info.norm).float() > info.eps * (1 + RELATIVE) + ABSOLUTE
    checked = torch.where(outside[:, None, None, None], images, adversarial.clamp(0, 1))
    return checked, outside
