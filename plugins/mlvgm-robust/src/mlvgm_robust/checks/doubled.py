"""A defence in double precision, for finite differences that resolve one part in a million."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from mlvgm_robust.evaluation.defence import Defence

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.noise import Keys
    from mlvgm.protocols.purifier import Purifier


@dataclass(frozen=True)
class _DoubleNoise:
    """A purifier in double precision that also gets its noise in double precision."""

    inner: Purifier

    @property
    def stochastic(self) -> bool:
        return self.inner.stochastic

    @property
    def differentiable(self) -> bool:
        return self.inner.differentiable

    def to(self, device: torch.device | str) -> Self:
        return replace(self, inner=self.inner.to(device))

    def noise(self, keys: Keys) -> Any:
        return as_double(self.inner.noise(keys))

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        return self.inner.purify(images, noise)


def doubled(defence: Defence) -> Defence:
    """A copy of ``defence`` whose weights and noise are float64; the original stays as it is.

    Raises:
        Exception: whatever its parts raise that cannot be copied.
    """
    copied: Defence = as_double(defence)
    if copied.purifier is None or not hasattr(copied.purifier, "noise") or type(defence) is not Defence:
        return copied
    return replace(copied, purifier=_DoubleNoise(copied.purifier))


def as_double(value: Any) -> Any:
    """A copy of anything in which every floating tensor, however deep, is float64."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, nn.Module):
        module = copy.deepcopy(value).double()
        for part in module.modules():  # tensors that are no buffers
            for name, held in list(vars(part).items()):
                if not name.startswith("_") and not isinstance(held, (bool, nn.Module)):
                    object.__setattr__(part, name, as_double(held))
        return module
    if isinstance(value, dict):
        return {key: as_double(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(as_double(held) for held in value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in fields(value)]
    elif type(value).__module__.split(".")[0] not in ("builtins", "torch", "types") and hasattr(value, "__dict__"):
        names = [] if isinstance(value, type) or callable(value) else list(vars(value))
    else:
        return value
    copied = copy.copy(value)
    for name in names:
        object.__setattr__(copied, name, as_double(getattr(value, name)))
    return copied
