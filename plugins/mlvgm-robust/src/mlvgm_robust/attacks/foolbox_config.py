"""Options of the attacks of PyPI's ``foolbox``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mlvgm.protocols.attack import Access, Norm
from mlvgm_robust.attacks.foreign_config import ForeignConfig, Trait

_NORMS: tuple[Norm, ...] = ("L2", "Linf", "L1")


_STEPS = [
    "FastGradientAttack",
    "ProjectedGradientDescentAttack",
    "BasicIterativeAttack",
    "MomentumIterativeFastGradientMethod",
    "PGD",
    "AdamPGD",
    "AdamProjectedGradientDescentAttack",
    "AdamBasicIterativeAttack",
]


_NOISE = ["AdditiveGaussianNoiseAttack", "AdditiveUniformNoiseAttack"]


_MEASURED = [
    "BinarySearchContrastReductionAttack",
    "LinearSearchContrastReductionAttack",
    "InversionAttack",
    "GaussianBlurAttack",
    "LinearSearchBlendedUniformNoiseAttack",
]


_PIXELS = "it limits the number of changed pixels (L0), which is no norm of this project"


def _ball(norm: Norm, access: Access = "gradient") -> Trait:
    return Trait((norm,), access=access)


def _minimal(*norms: Norm, access: Access = "gradient", norm: str = "") -> Trait:
    return Trait(norms, minimal=True, norm=norm, access=access)


class FoolboxConfig(ForeignConfig):
    """Options of an attack of foolbox. A minimal-norm attack may have a radius: its result is clipped to that."""

    LIBRARY: ClassVar[str] = "foolbox"
    CLIPS: ClassVar[bool] = True
    TRAITS: ClassVar[Mapping[str, Trait]] = {
        **{f"{norm}{name}": _ball(norm) for norm in _NORMS for name in _STEPS},
        **{f"L2{kind}{name}": _ball("L2", "label") for kind in ("", "ClippingAware") for name in _NOISE},
        **{f"L2{kind}Repeated{name}": _ball("L2", "label") for kind in ("", "ClippingAware") for name in _NOISE},
        "LinfAdditiveUniformNoiseAttack": _ball("Linf", "label"),
        "LinfRepeatedAdditiveUniformNoiseAttack": _ball("Linf", "label"),
        "FGM": _ball("L2"),
        **{name: _ball("Linf") for name in ("FGSM", "PGD", "AdamPGD", "MIFGSM")},
        "L2ContrastReductionAttack": _ball("L2", "label"),
        "VirtualAdversarialAttack": _ball("L2"),
        "SparseL1DescentAttack": _ball("L1"),
        "DDNAttack": _minimal("L2"),
        "L2CarliniWagnerAttack": _minimal("L2"),
        "NewtonFoolAttack": _minimal("L2"),
        "EADAttack": _minimal("L1"),
        "L2DeepFoolAttack": _minimal("L2"),
        "LinfDeepFoolAttack": _minimal("Linf"),
        "L1FMNAttack": _minimal("L1"),
        "L2FMNAttack": _minimal("L2"),
        "LInfFMNAttack": _minimal("Linf"),
        "L1BrendelBethgeAttack": _minimal("L1"),
        "L2BrendelBethgeAttack": _minimal("L2"),
        "LinfinityBrendelBethgeAttack": _minimal("Linf"),
        "SaltAndPepperNoiseAttack": _minimal("L2", access="label"),
        "BoundaryAttack": _minimal("L2", access="label"),
        **{name: _minimal(*_NORMS, access="label", norm="distance") for name in _MEASURED},
    }
    REFUSED: ClassVar[Mapping[str, str]] = {
        "L0FMNAttack": _PIXELS,
        "L0BrendelBethgeAttack": _PIXELS,
        "PointwiseAttack": _PIXELS,
        "SpatialAttack": "it turns and moves images, which no norm measures",
        "DatasetAttack": "it needs other images",
        "BinarizationRefinementAttack": "it needs images that are adversarial already",
        "GenAttack": "it only aims at given classes",
        "HopSkipJumpAttack": "it measures a distance that it does not minimise; take BoundaryAttack",
    }
