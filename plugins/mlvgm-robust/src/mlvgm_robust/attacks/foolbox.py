"""``foolbox:NAME``: attacks of PyPI's ``foolbox``, for instance ``foolbox:L2FMNAttack?steps=500``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from mlvgm.errors import ConfigError
from mlvgm.protocols.attack import Access, AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.foreign import Deployed, ForeignConfig, Trait, check_options, library, search

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.target import Target

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


@dataclass(frozen=True)
class Foolbox:
    """An attack of foolbox; what it returns is projected into ball and box, and scored like every attack.

    Args:
        info: name, norm and radius.
        options: further arguments of the attack's constructor.

    Example:
        >>> attack = build(FoolboxConfig(attack="L2FMNAttack", steps=500))   # doctest: +SKIP
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    info: AttackInfo
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        """Candidates; see :class:`mlvgm.protocols.attack.Attack`.

        Raises:
            PluginError: the foreign code failed, for instance because the attack cannot aim at given classes.
        """
        foolbox = library("foolbox")
        criteria = library("foolbox.criteria")

        def find(model: Deployed, images: Tensor, seed: int) -> Tensor:
            wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
            aim = criteria.TargetedMisclassification
            goal = criteria.Misclassification(labels) if targets is None else aim(targets)
            clipped: Tensor = self.create()(wrapped, images, goal, epsilons=self.info.eps)[1]
            return clipped

        return search(find, target, images, info=self.info, context=context)

    def create(self) -> Any:
        """The attack as foolbox's own object."""
        name = self.info.name.partition(":")[2]
        ours = {}
        if FoolboxConfig.trait(name).norm:
            ours["distance"] = getattr(library("foolbox.distances"), self.info.norm.lower())
        return getattr(library("foolbox.attacks"), name)(**ours, **self.options)


def build(config: FoolboxConfig) -> Foolbox:
    """The attack of ``config``.

    Raises:
        ConfigError: foolbox is not installed, or the attack has no such option, or refuses its value.
    """
    library("foolbox")
    constructor = getattr(library("foolbox.attacks"), config.attack)
    trait, info = config.trait(config.attack), config.info()
    check_options(constructor, config.options, name=info.name, own={trait.norm})
    attack = Foolbox(info, config.options)
    try:
        attack.create()
    except ImportError as error:  # of what foolbox needs for this attack only
        raise ConfigError(
            f"attack '{info.name}' needs the package {error.name}", hint=f"pip install {error.name}"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"attack '{info.name}': {error}") from error
    return attack
