"""mlvgm: multiple latent variable generative models as defenders, measured objects and sources of views.

Importing it is cheap; torch loads with the first name that needs it.

Example:
    >>> import mlvgm
    >>> data = mlvgm.load("datasets/fashion-mnist")
    >>> classifier = mlvgm.load("classifiers/fashion-cnn", data=data.info)
    >>> defence = mlvgm.Defence(classifier)
    >>> images, labels = data.batch("test", range(8))
    >>> defence(images).shape
    torch.Size([8, 10])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlvgm.api import load
    from mlvgm.defence import Defence
    from mlvgm.harness import Attacked, Protocol, run_attack
    from mlvgm.latents import ImageSpec, Latents, LatentSpec, select_latents
    from mlvgm.noise import Keys, Noise
    from mlvgm.target import Target

_HOMES = {
    "load": "mlvgm.api",
    "Defence": "mlvgm.defence",
    "Attacked": "mlvgm.harness",
    "Protocol": "mlvgm.harness",
    "run_attack": "mlvgm.harness",
    "ImageSpec": "mlvgm.latents",
    "LatentSpec": "mlvgm.latents",
    "Latents": "mlvgm.latents",
    "select_latents": "mlvgm.latents",
    "Keys": "mlvgm.noise",
    "Noise": "mlvgm.noise",
    "Target": "mlvgm.target",
}

__all__ = [
    "Attacked",
    "Defence",
    "ImageSpec",
    "Keys",
    "LatentSpec",
    "Latents",
    "Noise",
    "Protocol",
    "Target",
    "load",
    "run_attack",
    "select_latents",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mlvgm' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
