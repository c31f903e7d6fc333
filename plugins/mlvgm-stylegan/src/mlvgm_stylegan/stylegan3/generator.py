"""StyleGAN3 as a multi-latent generator: as StyleGAN2, without noise images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mlvgm_stylegan.stylegan2.generator import ConditionalStyleGAN2, StyleGAN2Generator, StyleGAN2Sampling


@dataclass(frozen=True)
class StyleGAN3Sampling(StyleGAN2Sampling):
    """Truncation; see :class:`~mlvgm_stylegan.stylegan2.generator.StyleGAN2Sampling`."""

    noise_mode: Literal["none"] = field(default="none", init=False)


class StyleGAN3Generator(StyleGAN2Generator):
    """A frozen :class:`~mlvgm_stylegan.stylegan3.network.StyleGAN3` behind the generator protocol."""

    def _ordinary(self) -> StyleGAN3Sampling:
        return StyleGAN3Sampling()


class ConditionalStyleGAN3(StyleGAN3Generator, ConditionalStyleGAN2):
    """A class-conditional StyleGAN3."""
