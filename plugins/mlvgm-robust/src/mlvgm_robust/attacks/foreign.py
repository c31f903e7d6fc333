"""What the adapters around other libraries share: their options, a model they can call, and no traces left behind."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import nn

from mlvgm.errors import ConfigError, MlvgmError, PluginError, unknown
from mlvgm.noise import uniform
from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.attacks.geometry import project
from mlvgm_robust.evaluation.admissible import check_candidates

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target

MENDED = "mended"
_WORDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "none",
}


class Deployed(nn.Module):
    """One deployed decision a call, as a plain module; libraries find its device by its parameter or its buffers."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self.register_parameter("device", nn.Parameter(target.get_buffer("anchor").clone(), requires_grad=False))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        defence = self.target.defence
        scores: Tensor = defence.vote(self.target(images, draws=defence.votes if defence.stochastic else 1))
        return scores


def library(name: str) -> ModuleType:
    """The library of that name.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"attack '{name}' needs the package {name}", hint=f"pip install 'mlvgm-robust[{name}]'"
        ) from error


def check_options(constructor: Callable[..., Any], options: Mapping[str, Any], *, name: str, own: set[str]) -> None:
    """Refuse options that a foreign constructor does not take, with another type too, and the lack of those it needs.

    Args:
        constructor: the attack's class.
        options: what the user gave.
        name: of the attack, for messages.
        own: parameters that the adapter fills in.

    Raises:
        ConfigError: an option is unknown, missing or of another type than its default.
    """
    parameters = {key: value for key, value in inspect.signature(constructor).parameters.items() if key not in own}
    for option in options:
        if option not in parameters:
            raise unknown(f"option of '{name}'", option, parameters)
        expected = _expected(parameters[option], options[option])
        if expected:
            raise ConfigError(f"option '{option}' of attack '{name}': expected {expected}, came {options[option]!r}")
    for key, parameter in parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if needed and key not in options:
            raise ConfigError(f"attack '{name}' needs the option '{key}'")


def _expected(parameter: inspect.Parameter, value: object) -> str:
    """What a parameter takes, in words, if that is not ``value``; empty where it is, or nothing says what it takes.

    A parameter says it by annotation, or else by its default; whole numbers are often defaults of fractions.
    """
    annotation, default = parameter.annotation, parameter.default
    if annotation is parameter.empty:
        taken = set() if default is parameter.empty else {float if type(default) is int else type(default)}
    else:
        taken = set(get_args(annotation)) or {annotation}
    if not taken <= _WORDS.keys() or type(value) in taken or (float in taken and type(value) is int):
        return ""
    return " or ".join(words for kind, words in _WORDS.items() if kind in taken)


def search(
    find: Callable[[Deployed, Tensor, int], Tensor],
    target: Target,
    images: Tensor,
    *,
    info: AttackInfo,
    context: AttackContext,
) -> Tensor:
    """Candidates of a foreign attack, inside ball and box; what it believes about its success is not asked.

    Those that are outside, or not finite, are mended, and noted as :data:`MENDED`.

    Where the target is stochastic each call of the model is one fresh decision. The attack's own random numbers follow
    from the context's first key and from the batch as a whole: unlike native attacks, it may depend on batch mates.

    Args:
        find: ``find(model, images, seed) -> candidates`` runs the attack.
        target: bound to the images.
        images: (B, C, H, W) in [0, 1].
        info: of the attack.
        context: randomness and progress.

    Raises:
        PluginError: the foreign code failed.
    """
    if len(images) == 0:
        return images
    context.progress(f"{info.name}, {len(images)} images")
    seed = int(2**24 * uniform(context.keys[:1], "foreign", ()))
    with isolated(seed, images):
        try:
            found = find(Deployed(target), images.clone(), seed)
        except MlvgmError:
            raise
        except Exception as error:
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(f"attack '{info.name}' failed: {cause}", hint="see --traceback") from error
    found = found.detach().to(images)
    context.note(MENDED, check_candidates(found, images, info)[1].double())
    finite = found.flatten(1).isfinite().all(1)[:, None, None, None]
    found = torch.where(finite, found, images)
    return found.clamp(0, 1) if info.eps is None else project(found, images, norm=info.norm, eps=info.eps)


@contextlib.contextmanager
def isolated(seed: int, images: Tensor) -> Iterator[None]:
    """Global generators seeded, tracing and standard output guarded; afterwards all is as it was before."""
    trace, python = sys.gettrace(), random.getstate()
    numpy = sys.modules.get("numpy")
    legacy = None if numpy is None else numpy.random.get_state()
    try:
        with (
            torch.random.fork_rng(devices=[images.device] if images.is_cuda else []),
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            random.seed(seed)
            if numpy is not None:
                numpy.random.seed(seed)
            yield
    finally:
        sys.settrace(trace)
        random.setstate(python)
        if numpy is not None:
            numpy.random.set_state(legacy)
