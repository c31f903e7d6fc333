"""Robustness: attacks, purifiers, and what says how much a defence defends.

Importing it is cheap; torch loads with the first name that needs it.

Defend, attack, judge:
    Defence          a classifier behind a purifier, deciding by a vote of several draws; ``defence(images)``
    run_attack       attack a defence, check what comes back, score it on noise nobody has selected on
    Protocol         how an attack is run and scored: draws, seed, gradients
    Attacked         what ``run_attack`` returns: decisions, images, sizes of perturbations, effort
    Target           what an attack sees of a defence: logits and gradients over fresh draws
    wrap             a defence of any ``nn.Module``, for ``run_attack`` and audits

``mlvgm_robust.audit.verdict.audit`` asks whether a robust accuracy can be believed. Components have names:
``mlvgm.load("attacks/apgd-ce")``, ``mlvgm plugins list``.

Example:
    >>> import mlvgm, mlvgm_robust
    >>> data = mlvgm.load("datasets/fashion-mnist")
    >>> classifier = mlvgm.load("classifiers/fashion-cnn", data=data.info)
    >>> defence = mlvgm_robust.Defence(classifier)
    >>> images, labels = data.batch("test", range(8))
    >>> defence(images).shape
    torch.Size([8, 10])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlvgm.lazy import lazily
from mlvgm.plugins.descriptors import Component, Weights

if TYPE_CHECKING:
    from mlvgm_robust.evaluation.defence import Defence
    from mlvgm_robust.evaluation.harness import Attacked, Protocol, run_attack
    from mlvgm_robust.evaluation.target import Target
    from mlvgm_robust.wrapping import wrap

_HOMES = {
    "Attacked": "mlvgm_robust.evaluation.harness",
    "Defence": "mlvgm_robust.evaluation.defence",
    "Protocol": "mlvgm_robust.evaluation.harness",
    "Target": "mlvgm_robust.evaluation.target",
    "run_attack": "mlvgm_robust.evaluation.harness",
    "wrap": "mlvgm_robust.wrapping",
}

__all__ = ["Attacked", "Defence", "Protocol", "Target", "run_attack", "wrap"]

__getattr__, __dir__ = lazily(__name__, _HOMES)

mlvgm_purifier = Component(
    summary="blur, L2 noise, encode, replace fine latents by prior draws, decode (arXiv 2412.03453)",
    factory="mlvgm_robust.purifiers.mlvgm:build",
    config="mlvgm_robust.purifiers.config:MlvgmConfig",
    capabilities={"needs_generator": True, "needs_encoder": True, "differentiable": True, "alphas": True},
)
noise_purifier = Component(
    summary="baseline: Gaussian noise of a fixed L2 norm, nothing else",
    factory="mlvgm_robust.purifiers.noise:build",
    config="mlvgm_robust.purifiers.config:NoiseConfig",
    capabilities={"needs_generator": False, "differentiable": True},
)
blur_purifier = Component(
    summary="baseline: Gaussian blur, nothing else",
    factory="mlvgm_robust.purifiers.blur:build",
    config="mlvgm_robust.purifiers.config:BlurConfig",
    capabilities={"needs_generator": False, "differentiable": True},
)
no_purifier = Component(
    summary="baseline: images as they are",
    factory="mlvgm_robust.purifiers.none:build",
    config="mlvgm_robust.purifiers.config:NoneConfig",
    capabilities={"needs_generator": False, "differentiable": True},
)

_GRADIENT: dict[str, str | int | bool] = {"norms": "Linf,L2", "access": "gradient", "minimum_classes": 2}
_L2: dict[str, str | int | bool] = {**_GRADIENT, "norms": "L2"}

apgd_ce = Component(
    summary="APGD on the cross-entropy (arXiv 2003.01690)",
    factory="mlvgm_robust.attacks.apgd_ce:build",
    config="mlvgm_robust.attacks.config:ApgdCeConfig",
    capabilities=_GRADIENT,
)
apgd_dlr = Component(
    summary="APGD on the difference of logits ratio (arXiv 2003.01690)",
    factory="mlvgm_robust.attacks.apgd_dlr:build",
    config="mlvgm_robust.attacks.config:ApgdDlrConfig",
    capabilities=_GRADIENT,
)
apgd_targeted = Component(
    summary="APGD on the targeted difference of logits ratio, likeliest classes in turn (arXiv 2003.01690)",
    factory="mlvgm_robust.attacks.apgd_t:build",
    config="mlvgm_robust.attacks.config:ApgdTConfig",
    capabilities=_GRADIENT,
)
fab_targeted = Component(
    summary="FAB, steps along the boundary to the likeliest classes in turn (arXiv 1907.02044)",
    factory="mlvgm_robust.attacks.fab_t:build",
    config="mlvgm_robust.attacks.config:FabTConfig",
    capabilities=_GRADIENT,
)
square = Component(
    summary="Square, random search without gradients (arXiv 1912.00049)",
    factory="mlvgm_robust.attacks.square:build",
    config="mlvgm_robust.attacks.config:SquareConfig",
    capabilities={"norms": "Linf,L2", "access": "score", "minimum_classes": 2},
)
fgsm = Component(
    summary="FGSM, one step along the gradient or its sign (arXiv 1412.6572)",
    factory="mlvgm_robust.attacks.fgsm:build",
    config="mlvgm_robust.attacks.config:FgsmConfig",
    capabilities=_GRADIENT,
)
pgd = Component(
    summary="PGD, steps of one length projected into the ball, also in L1 (arXiv 1706.06083)",
    factory="mlvgm_robust.attacks.pgd:build",
    config="mlvgm_robust.attacks.config:PgdConfig",
    capabilities={**_GRADIENT, "norms": "Linf,L2,L1"},
)
deepfool = Component(
    summary="DeepFool, minimal norm by steps to the nearest linearised boundary (arXiv 1511.04599)",
    factory="mlvgm_robust.attacks.deepfool:build",
    config="mlvgm_robust.attacks.config:DeepFoolConfig",
    capabilities={**_GRADIENT, "norms": "Linf,L2,L1"},
)
carlini_wagner = Component(
    summary="Carlini & Wagner, minimal L2 norm by the weight of the margin searched for (arXiv 1608.04644)",
    factory="mlvgm_robust.attacks.carlini_wagner:build",
    config="mlvgm_robust.attacks.config:CarliniWagnerConfig",
    capabilities={**_GRADIENT, "norms": "L2"},
)
fmn = Component(
    summary="FMN, minimal norm by a radius that shrinks and grows, also in L1 (arXiv 2102.12827)",
    factory="mlvgm_robust.attacks.fmn:build",
    config="mlvgm_robust.attacks.config:FmnConfig",
    capabilities={**_GRADIENT, "norms": "Linf,L2,L1"},
)
autoattack = Component(
    summary="APGD-CE, APGD-T, FAB-T, Square in turn on what still stands; autoattack:official is the original",
    factory="mlvgm_robust.attacks.autoattack:build",
    config="mlvgm_robust.attacks.config:AutoAttackConfig",
    capabilities=_GRADIENT,
    argument="version",
)

published_deepfool = Component(
    summary="DeepFool as in the published evaluation, its bugs on switches (arXiv 2412.03453)",
    factory="mlvgm_robust.published.deepfool:build",
    config="mlvgm_robust.published.config:PublishedDeepFoolConfig",
    capabilities=_L2,
)
published_carlini_wagner = Component(
    summary="C&W as in the published evaluation, its bugs on switches (arXiv 2412.03453)",
    factory="mlvgm_robust.published.carlini_wagner:build",
    config="mlvgm_robust.published.config:PublishedCarliniWagnerConfig",
    capabilities=_L2,
)
published_autoattack = Component(
    summary="a ladder of APGD-CE and APGD-DLR, then FAB: what the published evaluation calls AutoAttack",
    factory="mlvgm_robust.published.autoattack:build",
    config="mlvgm_robust.published.config:PublishedAutoAttackConfig",
    capabilities=_L2,
)

inversion = Component(
    summary="inversion by optimisation, each step a forward and a backward pass of the generator",
    factory="mlvgm_robust.encoders.inversion:build",
    config="mlvgm_robust.encoders.config:InversionConfig",
    capabilities={"differentiable": False},
)

transfer = Component(
    summary="runs another attack on the bare classifier and hands over what it found: transfer:apgd-ce",
    factory="mlvgm_robust.attacks.transfer:build",
    config="mlvgm_robust.attacks.config:TransferConfig",
    capabilities={"norms": "Linf,L2", "access": "classifier", "minimum_classes": 2},
    argument="attack",
)

torchattacks = Component(
    summary="an attack of PyPI's torchattacks: torchattacks:VMIFGSM?steps=20",
    factory="mlvgm_robust.attacks.torchattacks:build",
    config="mlvgm_robust.attacks.torchattacks_config:TorchattacksConfig",
    capabilities={**_GRADIENT, "norms": "Linf,L2,L1"},
    argument="attack",
)
foolbox = Component(
    summary="an attack of PyPI's foolbox: foolbox:L2FMNAttack?steps=500",
    factory="mlvgm_robust.attacks.foolbox:build",
    config="mlvgm_robust.attacks.foolbox_config:FoolboxConfig",
    capabilities={**_GRADIENT, "norms": "Linf,L2,L1"},
    argument="attack",
)
latent_target = Component(
    summary="moves the latents the purifier keeps to those of an image of another class",
    factory="mlvgm_robust.attacks.latent_target:build",
    config="mlvgm_robust.attacks.config:LatentTargetConfig",
    capabilities={**_GRADIENT, "needs_generator": True},
)
latent_drift = Component(
    summary="moves the latents the purifier keeps as far as it can",
    factory="mlvgm_robust.attacks.latent_drift:build",
    config="mlvgm_robust.attacks.config:LatentDriftConfig",
    capabilities={**_GRADIENT, "needs_generator": True},
)

train_trades = Component(
    summary="fine-tunes a classifier to answer alike in an L2 ball around each image (arXiv 1901.08573)",
    factory="mlvgm_robust.competitors.trades.training:TradesTraining",
    config="mlvgm_robust.competitors.trades.training_config:TradesConfig",
    capabilities={"data": "fashion-mnist", "processes": True},
)

a_vae_purifier = Component(
    summary="competitor: variational auto-encoder of the pooled image with a styled decoder (A-VAE, ECCV 2020)",
    factory="mlvgm_robust.competitors.a_vae.purifier:build",
    config="mlvgm_robust.competitors.a_vae.config:AVAEConfig",
    trainer="purifiers-a-vae",
    capabilities={"needs_generator": False, "differentiable": True},
    weights=(
        Weights(
            name="fashion-mnist",
            file="mlvgm_robust:weights/a-vae.safetensors",
            sha256="91be216f97381ad6fef12922d86b3d1b2ba2083fc1dd0b5da9a96c9c0c5c31c2",
            licence="MIT",
            summary="Fashion-MNIST 1×32×32, squared error 0.007 of validation images",
        ),
    ),
)
train_a_vae = Component(
    summary="trains an A-VAE against a WGAN-GP critic",
    factory="mlvgm_robust.competitors.a_vae.training:AVAETraining",
    config="mlvgm_robust.competitors.a_vae.training_config:AVAETrainingConfig",
    capabilities={"data": "fashion-mnist", "processes": True},
)

nd_vae_purifier = Component(
    summary="competitor: noise, then a hierarchical VAE trained from attacked images to clean ones (ND-VAE)",
    factory="mlvgm_robust.competitors.nd_vae.purifier:build",
    config="mlvgm_robust.competitors.nd_vae.config:NDVAEConfig",
    trainer="purifiers-nd-vae",
    capabilities={"needs_generator": False, "differentiable": True},
    weights=(
        Weights(
            name="fashion-mnist",
            file="mlvgm_robust:weights/nd-vae.safetensors",
            sha256="4c50994c7a59c6523a522386470f65806a7336c9769e7dd1cf5fc1bb62526060",
            licence="MIT",
            summary="Fashion-MNIST 1×32×32, FGSM L2 1 to 2 on fashion-cnn, noise 0.15; squared error 0.010",
        ),
    ),
)
train_nd_vae = Component(
    summary="trains an ND-VAE on one-step attacks of the base classifier, made as it goes",
    factory="mlvgm_robust.competitors.nd_vae.training:NDVAETraining",
    config="mlvgm_robust.competitors.nd_vae.training_config:NDVAETrainingConfig",
    capabilities={"data": "fashion-mnist", "processes": True},
)

bayes_alphas = Component(
    summary="Bayesian optimisation from five published starting points (arXiv 2412.03453), by optuna's GP sampler",
    factory="mlvgm_robust.choosing.bayes:build",
    config="mlvgm_robust.choosing.config:BayesConfig",
)
random_alphas = Component(
    summary="random search, and the study of whether monotone alphas defend better (arXiv 2412.03453)",
    factory="mlvgm_robust.choosing.random:build",
    config="mlvgm_robust.choosing.config:RandomConfig",
)
energy_alphas = Component(
    summary="replaces latents in the order of the attack they carry, against how much the decision needs them",
    factory="mlvgm_robust.choosing.energy:build",
    config="mlvgm_robust.choosing.config:EnergyConfig",
)
