"""Attacks: stateless functions from images to candidate adversarial images. They never decide success."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from mlvgm.plugins.descriptors import Access as Access

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.noise import Keys

Norm = Literal["Linf", "L2", "L1"]
Gradient = Literal["auto", "exact", "bpda"]
Path = Literal["exact", "bpda", "transfer"]


def gradient_paths(access: Access, *, differentiable: bool, gradient: Gradient = "auto") -> tuple[Path, ...]:
    """How gradients reach an attack: through the defence, exact or approximate (BPDA), or of the bare classifier.

    Args:
        access: what the attack uses.
        differentiable: the purifier is.
        gradient: what the user asked for.

    >>> gradient_paths("gradient", differentiable=False), gradient_paths("score", differentiable=False)
    (('bpda', 'transfer'), ())
    """
    if access == "classifier":
        return ("transfer",)
    if access != "gradient":
        return ()
    if not differentiable:
        return ("bpda", "transfer")
    return ("bpda",) if gradient == "bpda" else ("exact",)


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


@dataclass(frozen=True)
class AttackInfo:
    """What an attack declares about itself.

    Args:
        name: short name, used in records and tables.
        norm: norm of its perturbations, in units of [0, 1] pixels.
        eps: radius of the ball it stays in; None for a minimal-norm attack, which returns the nearest success it finds.
        access: what it uses of the target: gradients, scores (logits), only the predicted label, or only the bare
            classifier behind the purifier (transfer).
        minimum_classes: fewest classes it works with.
        needs_generator: it follows the exact gradient of the encoder inside the purifier.

    Raises:
        ValueError: norm or access is unknown, or the radius is none.
    """

    name: str
    norm: Norm
    eps: float | None
    access: Access = "gradient"
    minimum_classes: int = 2
    needs_generator: bool = False

    def __post_init__(self) -> None:
        for name, known in (("norm", get_args(Norm)), ("access", get_args(Access))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"attack '{self.name}': {name}: expected {_either(known)}, got {getattr(self, name)!r}"
                )
        if self.eps is not None and not (isinstance(self.eps, (int, float)) and 0 <= self.eps < math.inf):
            raise ValueError(f"attack '{self.name}': eps: expected a finite radius or None, got {self.eps!r}")


@dataclass(frozen=True)
class AttackContext:
    """What the harness gives an attack beside images and labels.

    Args:
        keys: the attack's own randomness, one row an image; use ``keys.derive("…")`` for each independent use.
        eot: draws of the defence in each gradient or score estimate (expectation over transformation); 1 where the
            target is deterministic.
        selection: fresh draws on which candidates are compared; 1 where the target is deterministic.
        stop_at_success: leave an image alone once it is broken. False asks for the largest loss instead, which is what
            transfers to another model; attacks without a loss to maximise ignore it.
        progress: called now and then with a sentence about what is going on.
        note: called with a name and one number an image (B,) that belongs into the record, such as a decision of the
            attack's own. It decides nothing.
    """

    keys: Keys
    eot: int = 1
    selection: int = 1
    stop_at_success: bool = True
    progress: Callable[[str], None] = lambda message: None
    note: Callable[[str, Tensor], None] = lambda name, values: None

    def __getitem__(self, index: Any) -> AttackContext:
        """The same context for some of the images; what is noted of them goes nowhere."""
        return replace(self, keys=self.keys[index], note=lambda name, values: None)

    def derive(self, purpose: str) -> AttackContext:
        """The same context with an independent stream of randomness."""
        return replace(self, keys=self.keys.derive(purpose))


class Attack(Protocol):
    """Looks for images near the given ones that the target misclassifies."""

    @property
    def info(self) -> AttackInfo: ...

    def __call__(
        self, target: Any, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        """Candidate adversarial images, one for each image.

        Args:
            target: a :class:`~mlvgm.protocols.target.Target`, the classifier or defence under attack, bound to these
                images: row i of every call is image i, and ``target[index]`` keeps that binding for a subset. An attack
                may ask more of it, and then works with fewer targets.
            images: (B, C, H, W) float32 in [0, 1].
            labels: (B,) int64, the true classes.
            targets: (B,) int64 classes to reach, for a targeted attack.
            context: randomness and budget.

        Shape:
            output: (B, C, H, W) in [0, 1], within ``info.eps`` of ``images``. Where nothing was found: any image in the
            ball. Whether it succeeded is for the harness to say, on fresh noise.
        """
        ...
