"""mlvgm: multiple latent variable generative models as defenders, measured objects and sources of views.

Importing it is cheap; torch loads with the first name that needs it.

Components by name:
    load             build a generator, encoder, classifier, data set, purifier or attack: ``load("attacks/fgsm")``

Defend, attack, judge:
    Defence          a classifier behind a purifier, deciding by a vote of several draws; ``defence(images)``
    run_attack       attack a defence, check what comes back, score it on noise nobody has selected on
    Protocol         how an attack is run and scored: draws, seed, gradients
    Attacked         what ``run_attack`` returns: decisions, images, sizes of perturbations, effort
    Target           what an attack sees of a defence: logits and gradients over fresh draws

Noise, latents, images:
    Keys             name randomness: seed, purpose, sample, draw; the same keys, the same numbers
    Noise            base noise of a batch, which a generator turns into latents
    Latents          values of all latents of a batch, coarse to fine
    LatentSpec       one latent of a generator: name, shape, resolution, group
    ImageSpec        size of the images a component makes or takes
    select_latents   numbers of the latents that a name, range or group addresses

Beside them: ``mlvgm_robust.wrap`` makes a defence of any ``nn.Module``; ``mlvgm.audit.verdict.audit`` asks whether a
robust accuracy can be believed; ``mlvgm.protocols`` says what components must offer; ``mlvgm plugins list`` on the
command line names those that are installed.

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

from typing import TYPE_CHECKING

from mlvgm.lazy import lazily

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

__getattr__, __dir__ = lazily(__name__, _HOMES)
