"""Attacks and purifiers for mlvgm: descriptors only, nothing heavy is imported here."""

from __future__ import annotations

from mlvgm.plugins.descriptors import Component

mlvgm_purifier = Component(
    summary="blur, L2 noise, encode, replace fine latents by prior draws, decode (arXiv 2412.03453)",
    factory="mlvgm_robust.purifiers.mlvgm:build",
    config="mlvgm_robust.purifiers.mlvgm:MlvgmConfig",
    capabilities={"needs_generator": True, "differentiable": True},
)
noise_purifier = Component(
    summary="baseline: Gaussian noise of a fixed L2 norm, nothing else",
    factory="mlvgm_robust.purifiers.noise:build",
    config="mlvgm_robust.purifiers.noise:NoiseConfig",
    capabilities={"needs_generator": False, "differentiable": True},
)
blur_purifier = Component(
    summary="baseline: Gaussian blur, nothing else",
    factory="mlvgm_robust.purifiers.blur:build",
    config="mlvgm_robust.purifiers.blur:BlurConfig",
    capabilities={"needs_generator": False, "differentiable": True},
)
no_purifier = Component(
    summary="baseline: images as they are",
    factory="mlvgm_robust.purifiers.none:build",
    config="mlvgm_robust.purifiers.none:NoneConfig",
    capabilities={"needs_generator": False, "differentiable": True},
)

_GRADIENT: dict[str, str | int | bool] = {"norms": "Linf,L2", "access": "gradient", "minimum_classes": 2}

apgd_ce = Component(
    summary="APGD on the cross-entropy (arXiv 2003.01690)",
    factory="mlvgm_robust.attacks.apgd_ce:build",
    config="mlvgm_robust.attacks.apgd_ce:ApgdCeConfig",
    capabilities=_GRADIENT,
)
apgd_dlr = Component(
    summary="APGD on the difference of logits ratio (arXiv 2003.01690)",
    factory="mlvgm_robust.attacks.apgd_dlr:build",
    config="mlvgm_robust.attacks.apgd_dlr:ApgdDlrConfig",
    capabilities=_GRADIENT,
)
apgd_targeted = Component(
    summary="APGD on the targeted difference of logits ratio, likeliest classes in turn (arXiv 2003.01690)",
    factory="mlvgm_robust.attacks.apgd_t:build",
    config="mlvgm_robust.attacks.apgd_t:ApgdTConfig",
    capabilities=_GRADIENT,
)
fab_targeted = Component(
    summary="FAB, steps along the boundary to the likeliest classes in turn (arXiv 1907.02044)",
    factory="mlvgm_robust.attacks.fab_t:build",
    config="mlvgm_robust.attacks.fab_t:FabTConfig",
    capabilities=_GRADIENT,
)
square = Component(
    summary="Square, random search without gradients (arXiv 1912.00049)",
    factory="mlvgm_robust.attacks.square:build",
    config="mlvgm_robust.attacks.square:SquareConfig",
    capabilities={"norms": "Linf,L2", "access": "score", "minimum_classes": 2},
)
autoattack = Component(
    summary="APGD-CE, APGD-T, FAB-T, Square in turn on what still stands; autoattack:official is the original",
    factory="mlvgm_robust.attacks.autoattack:build",
    config="mlvgm_robust.attacks.autoattack:AutoAttackConfig",
    capabilities=_GRADIENT,
    argument="version",
)
