"""What a StyleGAN3 is made of, as data, and the sampling rates and frequencies that follow (arXiv 2106.12423)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from mlvgm_stylegan.stylegan2.architecture import Count, MappingArchitecture, PositiveInt

Positive = Annotated[float, Field(gt=0)]


class StyleGAN3Architecture(MappingArchitecture):
    """Architecture of a :class:`~mlvgm_stylegan.stylegan3.network.StyleGAN3`; defaults are those of the paper.

    Raises:
        pydantic.ValidationError: the lists of layers differ in length.
    """

    mapping_layers: PositiveInt = Field(2, description="fully connected layers of the mapping network")
    resolution: PositiveInt = Field(description="height and width of images")
    channels: tuple[PositiveInt, ...] = Field(min_length=2, description="of the input, then of each layer's output")
    kernel_size: PositiveInt = Field(3, description="side of the convolutions: 3 in T, 1 in R")
    radial: bool = Field(False, description="radially symmetric filters before lower rates (R)")
    critical_layers: Count = Field(2, description="last layers at the critical sampling rate")
    first_cutoff: Positive = Field(2.0, description="cut-off frequency of the first layer, f_c0")
    first_stopband: Positive = Field(2**2.1, description="minimum stop band of the first layer, f_t0")
    last_stopband_rel: Positive = Field(2**0.3, description="minimum stop band of the last layer over its cut-off")
    margin: Count = Field(10, description="pixels around the visible feature maps")
    output_scale: Positive = Field(0.25, description="factor on the last layer's output")
    filter_size: PositiveInt = Field(6, description="taps of a filter for each step in rate")
    activation_upsampling: PositiveInt = Field(2, description="rate around non-linearities over the layer's")
    clamp: Positive | None = Field(256.0, description="bound of activations")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.layers <= self.critical_layers:
            raise ValueError(f"{self.layers} layers cannot have {self.critical_layers} critical ones")
        return self

    @property
    def layers(self) -> int:
        """Layers before the one that makes colours."""
        return len(self.channels) - 2

    @property
    def num_ws(self) -> int:
        """Styles: one for the input, one for each layer, one for the colours."""
        return self.layers + 2

    @property
    def image_channels(self) -> int:
        """Colours."""
        return self.channels[-1]

    @property
    def layer_resolutions(self) -> tuple[int, ...]:
        """Sampling rate at which each style but the last enters."""
        rates = [step.rate for step in plan(self)]
        return (rates[0], *rates[:-1])

    @property
    def noise(self) -> bool:
        """There are no noise images."""
        return False


@dataclass(frozen=True)
class LayerPlan:
    """Rates, sizes and filters of one layer.

    Args:
        rate: sampling rate of the output, in pixels a unit of the visible square.
        size: side of the output in pixels, margins included.
        cutoff: cut-off frequency of the output.
        up, down: factors around the non-linearity.
        up_taps, down_taps: lengths of their filters; 1 is no filter.
        padding: pixels at the low and high end of both axes, after upsampling; negative ones crop.
        radial: the filter before the lower rate is two-dimensional.
        colours: this is the layer that makes colours.
    """

    rate: int
    size: int
    cutoff: float
    up: int
    down: int
    up_taps: int
    down_taps: int
    padding: tuple[int, int]
    radial: bool
    colours: bool


def plan(architecture: StyleGAN3Architecture) -> tuple[LayerPlan, ...]:
    """One entry for each layer, coarse → fine (section 3.2 and appendix C).

    Cut-off and stop band grow geometrically up to the critical layers; the rate is the smallest power of two that holds
    the stop band.
    """
    a = architecture
    last_cutoff = a.resolution / 2
    last_stopband = last_cutoff * a.last_stopband_rel
    rates, sizes, cutoffs = [], [], []
    for layer in range(a.layers + 1):
        share = min(layer / (a.layers - a.critical_layers), 1)
        cutoffs.append(a.first_cutoff * (last_cutoff / a.first_cutoff) ** share)
        stopband = a.first_stopband * (last_stopband / a.first_stopband) ** share
        rates.append(2 ** math.ceil(math.log2(min(2 * stopband, a.resolution))))
        sizes.append(rates[-1] + 2 * a.margin)
    sizes[-2:] = [a.resolution] * 2
    plans = []
    for layer in range(a.layers + 1):
        before, colours = max(layer - 1, 0), layer == a.layers
        around = max(rates[before], rates[layer]) * (1 if colours else a.activation_upsampling)
        up, down = around // rates[before], around // rates[layer]
        up_taps = a.filter_size * up if up > 1 and not colours else 1
        down_taps = a.filter_size * down if down > 1 and not colours else 1
        kernel = 1 if colours else a.kernel_size
        total = (sizes[layer] - 1) * down + 1 - (sizes[before] + kernel - 1) * up + up_taps + down_taps - 2
        low = (total + up) // 2
        plans.append(
            LayerPlan(
                rate=rates[layer],
                size=sizes[layer],
                cutoff=cutoffs[layer],
                up=up,
                down=down,
                up_taps=up_taps,
                down_taps=down_taps,
                padding=(low, total - low),
                radial=a.radial and layer < a.layers - a.critical_layers,
                colours=colours,
            )
        )
    return tuple(plans)
