"""Options of the attacks of PyPI's ``torchattacks``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mlvgm.protocols.attack import Norm
from mlvgm_robust.attacks.foreign_config import ForeignConfig, Trait

_LINF, _L2 = Trait(("Linf",)), Trait(("L2",))


_SHRINKS_L2, _SHRINKS_L1 = Trait(("L2",), minimal=True, radius=""), Trait(("L1",), minimal=True, radius="")


_PATCHES = Trait(("Linf",), radius="max_epsilon")


_EITHER: tuple[Norm, ...] = ("Linf", "L2")


_NAMES = [
    "FGSM",
    "BIM",
    "RFGSM",
    "FFGSM",
    "PGD",
    "EOTPGD",
    "UPGD",
    "TPGD",
    "PGDRS",
    "Jitter",
    "MIFGSM",
    "NIFGSM",
    "SINIFGSM",
    "VMIFGSM",
    "VNIFGSM",
    "DIFGSM",
    "TIFGSM",
]


_PIXELS = "it limits the number of changed pixels (L0), which is no norm of this project"


class TorchattacksConfig(ForeignConfig):
    """Options of an attack of torchattacks."""

    LIBRARY: ClassVar[str] = "torchattacks"
    TRAITS: ClassVar[Mapping[str, Trait]] = {
        **dict.fromkeys(_NAMES, _LINF),
        "PIFGSM": _PATCHES,
        "PIFGSMPP": _PATCHES,
        "SPSA": Trait(("Linf",), access="score"),
        "PGDL2": _L2,
        "PGDRSL2": _L2,
        "APGD": Trait(_EITHER, norm="norm"),
        "APGDT": Trait(_EITHER, norm="norm", classes=4),
        "FAB": Trait(_EITHER, norm="norm"),
        "AutoAttack": Trait(_EITHER, norm="norm", classes=4),
        "Square": Trait(_EITHER, norm="norm", access="score"),
        "CW": _SHRINKS_L2,
        "DeepFool": _SHRINKS_L2,
        "EADL1": _SHRINKS_L1,
        "EADEN": _SHRINKS_L1,
        "SparseFool": _SHRINKS_L1,
    }
    REFUSED: ClassVar[Mapping[str, str]] = {
        "JSMA": _PIXELS,
        "OnePixel": _PIXELS,
        "Pixle": _PIXELS,
        "GN": "it adds noise of no fixed norm",
        "VANILA": "it changes nothing",
        "LGV": "it needs training data",
        "MultiAttack": "it needs other attacks",
    }
