"""StyleGAN3 as a multi-latent generator: as StyleGAN2, without noise images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

from mlvgm.errors import unknown
from mlvgm_stylegan.stylegan2.generator import ConditionalStyleGAN2, StyleGAN2Generator, StyleGAN2Sampling

_OPTIONS = ("psi", "cutoff")


@dataclass(frozen=True)
class StyleGAN3Sampling(StyleGAN2Sampling):
    """Truncation; see :class:`~mlvgm_stylegan.stylegan2.generator.StyleGAN2Sampling`."""

    noise_mode: Literal["none"] = field(default="none", init=False)


class StyleGAN3Generator(StyleGAN2Generator):
    """A frozen :class:`~mlvgm_stylegan.stylegan3.network.StyleGAN3` behind the generator protocol."""

    family = "stylegan3"

    def with_sampling(self, **options: Any) -> Self:
        """The same weights with other ``psi`` or ``cutoff``.

        Raises:
            ConfigError: another option, or a value out of range.
        """
        for name in options:
            if name not in _OPTIONS:
                raise unknown("sampling option of stylegan3", name, _OPTIONS)
        return super().with_sampling(**options)


class ConditionalStyleGAN3(StyleGAN3Generator, ConditionalStyleGAN2):
    """A class-conditional StyleGAN3."""
