"""Alpha schedules: how much of each latent is replaced by a draw from the prior, coarse → fine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mlvgm.errors import ConfigError, unknown

_PLAIN = ("none", "linear", "cosine")
_WITH_ARGUMENT = ("constant", "keep")


def none(count: int) -> tuple[float, ...]:
    """α_i = 0: reconstruct, resample nothing."""
    return (0.0,) * count


def linear(count: int) -> tuple[float, ...]:
    """α_i = i / n for i = 1 … n (arXiv 2412.03453): the first is above 0, the last is 1.

    >>> linear(4)
    (0.25, 0.5, 0.75, 1.0)
    """
    return tuple(i / count for i in range(1, count + 1))


def cosine(count: int) -> tuple[float, ...]:
    """α_i = (1 − cos(π i / n)) / 2 for i = 1 … n (arXiv 2412.03453).

    >>> [round(alpha, 3) for alpha in cosine(4)]
    [0.146, 0.5, 0.854, 1.0]
    """
    return tuple((1 - math.cos(math.pi * i / count)) / 2 for i in range(1, count + 1))


def constant(count: int, value: float) -> tuple[float, ...]:
    """α_i = ``value`` for every latent."""
    return (value,) * count


def keep(count: int, first: int) -> tuple[float, ...]:
    """α_i = 0 for the ``first`` latents, 1 for the rest.

    Beyond the papers, whose schedules never keep a latent whole; it lets a model share its decoder's prefix among
    draws.

    >>> keep(4, 3)
    (0.0, 0.0, 0.0, 1.0)
    """
    if first > count:
        raise ConfigError(f"alphas 'keep:{first}' keeps {first} latents, the generator has {count}")
    return (0.0,) * first + (1.0,) * (count - first)


def parse(spec: str) -> Callable[[int], tuple[float, ...]]:
    """The schedule ``spec`` names, as a function of the number of latents.

    Args:
        spec: ``none``, ``linear``, ``cosine``, ``constant:VALUE`` with a value in [0, 1], or ``keep:K``.

    Raises:
        ConfigError: no such schedule, or its argument is missing or out of range.

    Example:
        >>> parse("keep:1")(3)
        (0.0, 1.0, 1.0)
    """
    name, colon, argument = spec.partition(":")
    if name not in _PLAIN + _WITH_ARGUMENT:
        raise unknown("alpha schedule", name, _PLAIN + _WITH_ARGUMENT)
    if bool(colon) != (name in _WITH_ARGUMENT):
        raise ConfigError(
            f"alphas '{spec}'", hint="write none, linear, cosine, constant:0.5, keep:6 or a list of numbers"
        )
    if name == "keep":
        if not argument.isdecimal():
            raise ConfigError(
                f"alphas '{spec}': expected a whole number of latents to keep", hint="for instance keep:6"
            )
        return lambda count: keep(count, int(argument))
    if name == "constant":
        value = _number(argument)
        if not 0 <= value <= 1:
            raise ConfigError(f"alphas '{spec}': expected a number in [0, 1]", hint="for instance constant:0.5")
        return lambda count: constant(count, value)
    return {"none": none, "linear": linear, "cosine": cosine}[name]


def resolve(spec: str | Sequence[float], count: int, *, attenuation: float = 1.0) -> tuple[float, ...]:
    """One alpha for each of ``count`` latents.

    Args:
        spec: a schedule (see :func:`parse`), or one number in [0, 1] for each latent.
        count: latents of the generator.
        attenuation: factor in [0, 1] on all of them, keeps the schedule's shape (the paper's fine-grained tasks: 0.7).

    Raises:
        ConfigError: the list has another length, or the schedule does not fit.

    Example:
        >>> resolve([0.0, 1.0], 2, attenuation=0.5)
        (0.0, 0.5)
    """
    alphas = parse(spec)(count) if isinstance(spec, str) else tuple(spec)
    if len(alphas) != count:
        raise ConfigError(f"{len(alphas)} alphas for a generator with {count} latents", hint="give one for each latent")
    return tuple(attenuation * alpha for alpha in alphas)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
