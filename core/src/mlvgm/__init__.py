"""mlvgm: multiple latent variable generative models as defenders, measured objects and sources of views.

Importing it is cheap; torch loads with the first name that needs it.

Components by name:
    load             build a generator, encoder, classifier, data set, purifier or attack: ``load("attacks/fgsm")``

Noise, latents, images:
    Keys             name randomness: seed, purpose, sample, draw; the same keys, the same numbers
    Noise            base noise of a batch, which a generator turns into latents
    Latents          values of all latents of a batch, coarse to fine
    LatentSpec       one latent of a generator: name, shape, resolution, group
    ImageSpec        size of the images a component makes or takes
    select_latents   numbers of the latents that a name, range or group addresses

Beside them: ``mlvgm.protocols`` says what components must offer; ``mlvgm plugins list`` on the command line names those
that are installed, whose packages have more.

Example:
    >>> import mlvgm
    >>> data = mlvgm.load("datasets/fashion-mnist")
    >>> classifier = mlvgm.load("classifiers/fashion-cnn", data=data.info)
    >>> images, labels = data.batch("test", range(8))
    >>> classifier(images).shape
    torch.Size([8, 10])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlvgm.lazy import lazily

if TYPE_CHECKING:
    from mlvgm.api import load
    from mlvgm.latents import ImageSpec, Latents, LatentSpec, select_latents
    from mlvgm.noise import Keys, Noise

_HOMES = {
    "load": "mlvgm.api",
    "ImageSpec": "mlvgm.latents",
    "LatentSpec": "mlvgm.latents",
    "Latents": "mlvgm.latents",
    "select_latents": "mlvgm.latents",
    "Keys": "mlvgm.noise",
    "Noise": "mlvgm.noise",
}

__all__ = [
    "ImageSpec",
    "Keys",
    "LatentSpec",
    "Latents",
    "Noise",
    "load",
    "select_latents",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
