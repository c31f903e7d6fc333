"""The coarse-to-fine picture: pairs of images with the first latents of one taken from the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Encodes, MultiLatentGenerator

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Mixed:
    """Rows of mixtures, from image A to image B.

    Args:
        first: (P, C, H, W), A of each pair.
        second: likewise, B.
        mixtures: (P, M, C, H, W); mixture m has the first ``prefixes[m]`` latents of B, everything else of A.
        prefixes: how many latents are exchanged in each mixture, rising.
    """

    first: Tensor
    second: Tensor
    mixtures: Tensor
    prefixes: tuple[int, ...]

    @property
    def images(self) -> Tensor:
        """The whole picture (P, M + 2, C, H, W): A, the mixtures, B."""
        return torch.cat([self.first[:, None], self.mixtures, self.second[:, None]], 1)

    @property
    def titles(self) -> tuple[str, ...]:
        """What each column of ``images`` is: the latents that are B's, as a range (its end is excluded)."""
        return ("A", *map(_title, self.prefixes), "B")

    @property
    def changes(self) -> tuple[float, ...]:
        """Mean squared difference of each mixture from the column before it."""
        return _squared(self.mixtures - self.images[:, : len(self.prefixes)])

    @property
    def left(self) -> tuple[float, ...]:
        """Mean squared difference of each mixture from B."""
        return _squared(self.mixtures - self.second[:, None])


def mix_samples(
    generator: MultiLatentGenerator,
    *,
    pairs: int,
    seed: int = 0,
    prefixes: Sequence[int] | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, message: None,
) -> Mixed:
    """Exchange the base noise of pairs of samples; condition and nuisances of a mixture are those of A.

    Args:
        generator: any; where sampling is tied (one z for all layers), exchanged latents read the z of B.
        pairs: rows of the picture. Pair j is samples 2j and 2j + 1 of the seed.
        seed: of the noise.
        prefixes: how many latents to exchange in each mixture; default 1 … n. All n give B itself, if the model is
            unconditional and has no nuisances.
        progress: called with (done, total, message) after each column.

    Raises:
        ConfigError: a prefix outside 0 … n.
    """
    counts = _checked(prefixes, range(1, len(generator.latents) + 1), generator)
    noise = generator.draw_noise(Keys.of(seed=seed, purpose="mix", samples=range(2 * pairs)))
    ours, theirs = noise[0::2], noise[1::2]

    def columns() -> Iterator[Tensor]:
        yield generator.generate(ours)
        for count in counts:
            yield generator.generate(ours.replaced(range(count), theirs))
        yield generator.generate(theirs)

    return _mixed(columns(), counts, progress)


def mix_images(
    generator: Any,
    first: Tensor,
    second: Tensor,
    *,
    prefixes: Sequence[int] | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, message: None,
) -> Mixed:
    """Exchange the latents the encoder finds in pairs of images; the condition of a mixture is that of A.

    Args:
        generator: has :class:`~mlvgm.protocols.generator.Encodes`.
        first: A of each pair, (P, \\*encoder_image.shape) in [0, 1].
        second: B of each pair.
        prefixes: how many latents to exchange in each mixture; default 0 … n. None gives the reconstruction of A.
        progress: called with (done, total, message) after each column.

    Raises:
        ConfigError: the generator has no encoder, or a prefix is outside 0 … n.
        InputError: images of another shape, or the generator draws nuisances, which encoded images do not have.
    """
    if not isinstance(generator, Encodes):
        raise ConfigError(
            f"mixing images needs a generator that encodes them, came {type(generator).__name__}",
            hint="name an encoder, for instance inversion, or mix samples",
        )
    shape = generator.encoder_image.shape
    for images in (first, second):
        if tuple(images.shape) != (len(first), *shape):
            raise InputError(
                f"the generator encodes images of shape {shape}, came {tuple(images.shape)} for {len(first)} pairs",
                hint="choose a generator that was trained for these images",
            )
    total = len(generator.latents)  # type: ignore[attr-defined]
    counts = _checked(prefixes, range(total + 1), generator)

    def columns() -> Iterator[Tensor]:
        yield first
        ours, theirs = generator.encode(first), generator.encode(second)
        for count in counts:
            yield generator.blend(ours, theirs, [1.0] * count + [0.0] * (total - count)).images
        yield second

    return _mixed(columns(), counts, progress)


def spread(first: int, last: int, most: int) -> tuple[int, ...]:
    """At most ``most`` whole numbers from ``first`` to ``last``, both included, evenly spaced.

    >>> spread(1, 4, 16), spread(0, 10, 3)
    ((1, 2, 3, 4), (0, 5, 10))
    """
    count = min(most, last - first + 1)
    return tuple(first + round(i * (last - first) / max(1, count - 1)) for i in range(count))


def _checked(prefixes: Sequence[int] | None, default: Sequence[int], generator: Any) -> tuple[int, ...]:
    chosen, total = tuple(default if prefixes is None else prefixes), len(generator.latents)
    if not chosen or not 0 <= min(chosen) <= max(chosen) <= total or list(chosen) != sorted(set(chosen)):
        raise ConfigError(f"expected rising numbers of exchanged latents from 0 to {total}, came {list(chosen)}")
    return chosen


def _mixed(columns: Iterator[Tensor], counts: tuple[int, ...], progress: Callable[[int, int, str], None]) -> Mixed:
    made = []
    with torch.no_grad():
        for images in columns:
            made.append(images.clamp(0, 1).cpu())
            progress(len(made), len(counts) + 2, "")
    first, *mixtures, second = made
    return Mixed(first, second, torch.stack(mixtures, 1), counts)


def _title(count: int) -> str:
    return f"0:{count}" if count else "none"


def _squared(difference: Tensor) -> tuple[float, ...]:
    return tuple(difference.square().mean((0, 2, 3, 4)).tolist())
