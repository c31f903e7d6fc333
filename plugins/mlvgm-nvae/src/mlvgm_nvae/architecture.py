"""What an NVAE is made of, as data: every size and every choice in which its variants differ."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PerScale = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class Cell(BaseModel):
    """One kind of cell and its sizes.

    ``residual``: batch norm, activation, convolution, once for each kernel. ``inverted``: batch norm, 1×1 to
    ``expansion`` times the channels, depthwise convolution, 1×1 back. ``bottleneck``: SiLU, 1×1 down, SiLU, 3×3, SiLU,
    1×1 up, no normalisation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["residual", "inverted", "bottleneck"] = Field("residual", description="which cell")
    kernels: tuple[PositiveInt, ...] = Field((3, 3), description="side of each spatial kernel, odd")
    dilations: tuple[PositiveInt, ...] = Field(
        (), description="distance between the taps of each kernel of a residual cell; none given: 1"
    )
    activation: Literal["silu", "elu"] = Field("silu", description="before each convolution of a residual cell")
    batch_norm: bool = Field(True, description="a residual cell has batch norms")
    expansion: PositiveInt = Field(6, description="hidden channels of an inverted cell, in units of its input's")
    group_width: PositiveInt = Field(1, description="input channels of each filter of the depthwise convolution")
    squeeze_excitation: bool = Field(True, description="rescale channels by a gate computed from their spatial means")

    @model_validator(mode="after")
    def _dilated(self) -> Self:
        if self.dilations and len(self.dilations) != len(self.kernels):
            raise ValueError(f"{len(self.dilations)} dilations for {len(self.kernels)} kernels")
        return self

    @property
    def steps(self) -> tuple[int, ...]:
        """Dilation of each kernel."""
        return self.dilations or (1,) * len(self.kernels)


class NVAEArchitecture(BaseModel):
    """Architecture of an :class:`~mlvgm_nvae.network.NVAE` (arXiv 2007.03898).

    Everything listed by scale runs coarse → fine. The defaults of the structural choices are those of the original
    network; :func:`light` is the small variant that ships trained.

    Raises:
        pydantic.ValidationError: the lists by scale differ in length, or the image is not divisible by the strides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(description="channels, height, width of the images")
    groups: PerScale = Field(description="number of latents at each scale")
    latent_channels: PerScale = Field(description="channels of a latent at each scale")
    encoder_widths: PerScale = Field(description="feature channels of the encoder at each scale")
    decoder_widths: PerScale = Field(description="feature channels of the decoder at each scale")

    stem: Literal["convolution", "unshuffle"] = Field(
        "convolution", description="first layer: 3×3 at full size, or after folding 2×2 pixels into channels"
    )
    preprocess_blocks: Count = Field(1, description="halvings between stem and finest scale; each doubles the width")
    preprocess_cells: PositiveInt = Field(2, description="cells in each of them, the last one halves")
    postprocess_blocks: Count = Field(1, description="doublings between finest scale and image; each halves the width")
    postprocess_cells: PositiveInt = Field(2, description="cells in each of them, the first one doubles")
    encoder_cells: PositiveInt = Field(2, description="cells of each encoder group")
    decoder_cells: PositiveInt = Field(2, description="cells before each latent but the first")
    preprocess_cell: Cell = Cell()
    encoder_cell: Cell = Cell()
    decoder_cell: Cell = Cell(kind="inverted", kernels=(5,), expansion=6)
    postprocess_cell: Cell = Cell(kind="inverted", kernels=(5,), expansion=3)
    transition: Literal["cell", "convolution"] = Field(
        "cell", description="between scales: a cell that resizes, or a single convolution"
    )
    down_skip: Literal["shifted", "strided"] = Field(
        "shifted", description="skip of a halving cell: four 1×1 convolutions of the shifted grid, or one strided"
    )
    up_skip_bias: bool = Field(False, description="the 1×1 convolution in the skip of a doubling cell has a bias")

    weight_norm: bool = Field(True, description="convolutions are gain · direction / norm")
    weight_norm_eps: float = Field(1e-5, ge=0, description="added to that norm")
    pairing: Literal["mirrored", "ascending", "shared"] = Field(
        "mirrored",
        description="which encoder group a latent reads within its scale: last group first (original), same number, or "
        "the only one there is",
    )
    posterior: Literal["sum", "bottleneck"] = Field(
        "sum",
        description="encoder feature and state meet by addition, or through 1×1 convolutions and SiLU (and the prior "
        "then reads the state without ELU)",
    )
    residual_posterior: bool = Field(True, description="the posterior is relative to the prior (section 3.2)")
    merge: Literal["concatenate", "add"] = Field("concatenate", description="how a latent enters the decoder state")
    sigma_floor: float = Field(1e-2, ge=0, description="added to every standard deviation")

    flows: Count = Field(0, description="pairs of autoregressive cells after each posterior")
    flow_cell: Literal["causal", "raster"] = Field(
        "causal", description="masks of the flows: causal in space and channels, or as stored (space only)"
    )
    flow_kernels: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (3, 5, 1), description="sides of the kernels of a flow cell"
    )
    flow_expansion: PositiveInt = Field(6, description="hidden channels of a flow cell, in units of the latent's")
    flow_depthwise: bool = Field(True, description="the middle convolution of a flow cell is depthwise")
    flow_weight_norm: bool = Field(True, description="convolutions of the flows are weight-normalised")

    likelihood: Literal["logistic", "bernoulli"] = Field("logistic", description="distribution of pixels")
    mixtures: PositiveInt = Field(10, description="logistic components of each pixel")
    bits: Annotated[int, Field(ge=1, le=8)] = Field(8, description="bits of a colour in the logistic likelihood")
    head: Literal["convolution", "pixel_shuffle"] = Field(
        "convolution", description="last layers: ELU and 3×3, or a cell, 3×3, unfolding of channels to 2×2 pixels, 3×3"
    )
    head_width: PositiveInt = Field(8, description="channels at full size of a pixel-shuffle head")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        scales = len(self.groups)
        for name in ("latent_channels", "encoder_widths", "decoder_widths"):
            if len(getattr(self, name)) != scales:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {scales} scales")
        stride = self.finest_stride * 2 ** (scales - 1)
        if self.image[1] % stride or self.image[2] % stride:
            raise ValueError(f"image {self.image[1]}×{self.image[2]} is not divisible by the coarsest stride {stride}")
        if self.likelihood == "logistic" and self.image[0] not in (1, 3):
            raise ValueError(f"the logistic mixture is for 1 or 3 channels, not {self.image[0]}")
        if 2**self.postprocess_blocks * (2 if self.head == "pixel_shuffle" else 1) != self.finest_stride:
            raise ValueError("postprocessing and head do not undo the strides of stem and preprocessing")
        return self

    @property
    def finest_stride(self) -> int:
        """Image pixels per feature pixel at the finest scale."""
        result: int = 2**self.preprocess_blocks * (2 if self.stem == "unshuffle" else 1)
        return result

    @property
    def scales(self) -> int:
        return len(self.groups)

    def size(self, scale: int) -> tuple[int, int]:
        """Height and width of the feature maps at ``scale`` (0 is the coarsest)."""
        stride = self.finest_stride * 2 ** (self.scales - 1 - scale)
        return self.image[1] // stride, self.image[2] // stride

    @property
    def scale_of_latent(self) -> tuple[int, ...]:
        """Scale of each latent, coarse → fine."""
        return tuple(scale for scale, count in enumerate(self.groups) for _ in range(count))

    @property
    def latent_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(channels, height, width) of each latent, coarse → fine."""
        return tuple((self.latent_channels[scale], *self.size(scale)) for scale in self.scale_of_latent)


def light(image: tuple[int, int, int] = (1, 32, 32)) -> NVAEArchitecture:
    """The small variant: no 32×32 convolution except in the head, no normalisation, eight latents at three scales.

    >>> light().latent_shapes[0], len(light().latent_shapes)
    ((8, 4, 4), 8)
    """
    cell = Cell(kind="bottleneck", squeeze_excitation=False)
    return NVAEArchitecture(
        image=image,
        groups=(3, 3, 2),
        latent_channels=(8, 6, 2),
        encoder_widths=(96, 64, 24),
        decoder_widths=(96, 64, 24),
        stem="unshuffle",
        preprocess_blocks=0,
        postprocess_blocks=0,
        encoder_cells=1,
        decoder_cells=1,
        encoder_cell=cell,
        decoder_cell=cell,
        transition="convolution",
        weight_norm=False,
        pairing="shared",
        posterior="bottleneck",
        merge="add",
        sigma_floor=0.0,
        mixtures=1,
        head="pixel_shuffle",
    )
