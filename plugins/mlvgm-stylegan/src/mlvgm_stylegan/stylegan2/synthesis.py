"""The synthesis network: styles and noise images to an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu

from mlvgm.errors import InputError
from mlvgm.rows import aligned, expanded
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.modulated_convolution import ModulatedConvolution, ModulatedProjection
from mlvgm_stylegan.stylegan2.resampling import normalised_filter, upsample

NoiseImages = Literal["const", "none"] | Sequence[Tensor]


class Layer(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU with gain sqrt(2).

    Attributes:
        noise: the stored noise image (resolution, resolution), None in models without noise.
    """

    noise: Tensor | None

    def __init__(self, inputs: int, outputs: int, a: StyleGAN2Architecture, *, resolution: int, up: bool) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, outputs, w_dim=a.w_dim, up=up)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.clamp = a.conv_clamp
        self.noise_strength: nn.Parameter | None = nn.Parameter(torch.zeros(())) if a.noise else None
        self.register_buffer("noise", torch.zeros(resolution, resolution) if a.noise else None)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, low_pass: Tensor, *, gain: float = 1.0) -> Tensor:
        """Features (N, outputs, resolution, resolution); ``noise`` is (N or 1, 1, resolution, resolution) or None."""
        x, scale = self.convolution(x, w, low_pass)
        # The gain goes through the leaky ReLU, so it joins the factors before it, which are smaller tensors.
        gain = gain * 2**0.5
        x = torch.addcmul(gain * self.bias[:, None, None], x, gain * expanded(scale, len(x)))
        if noise is not None and self.noise_strength is not None:
            x, noise = aligned(x, noise) if len(noise) > 1 else (x, noise)
            x = x.add_(gain * self.noise_strength * noise)
        x = leaky_relu(x, 0.2, inplace=True)
        return clamped(x, self.clamp, gain / 2**0.5)


class ToImage(nn.Module):
    """Modulated 1×1 convolution to colours, without demodulation (section 2.4)."""

    def __init__(self, inputs: int, a: StyleGAN2Architecture) -> None:
        super().__init__()
        self.convolution = ModulatedProjection(inputs, a.image_channels, w_dim=a.w_dim)
        self.bias = nn.Parameter(torch.zeros(a.image_channels))
        self.clamp = a.conv_clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return clamped(self.convolution(x, w) + self.bias[:, None, None], self.clamp, 1.0)


class Block(nn.Module):
    """Layers of one resolution: one at 4×4, two elsewhere, and what leads to the image."""

    def __init__(self, a: StyleGAN2Architecture, number: int) -> None:
        super().__init__()
        side, channels = a.resolutions[number], a.channels[number]
        inputs = a.channels[number - 1]
        first, last = number == 0, number == len(a.channels) - 1
        self.up = None if first else Layer(inputs, channels, a, resolution=side, up=True)
        self.layer = Layer(channels, channels, a, resolution=side, up=False)
        self.to_image = ToImage(channels, a) if last or a.output == "skip" else None
        self.skip: nn.Parameter | None = None
        if a.output == "resnet" and not first:
            self.skip = nn.Parameter(torch.zeros(channels, inputs, 1, 1))
        self.clamp = a.conv_clamp

    def forward(self, x: Tensor, ws: Sequence[Tensor], noise: Sequence[Tensor | None], low_pass: Tensor) -> Tensor:
        """Features after the block; ``ws`` and ``noise`` are those of its convolutions."""
        result: Tensor
        if self.up is None:
            result = self.layer(x, ws[0], noise[0], low_pass)
            return result
        if self.skip is None:
            result = self.layer(self.up(x, ws[0], noise[0], low_pass), ws[1], noise[1], low_pass)
            return result
        gain = 0.5**0.5
        kept = upsample(conv2d(x, self.skip * (gain * self.skip.shape[1] ** -0.5)), low_pass)
        x = self.layer(self.up(x, ws[0], noise[0], low_pass), ws[1], noise[1], low_pass, gain=gain)
        kept, x = aligned(clamped(kept, self.clamp, gain), x)
        return kept + x


class SynthesisNetwork(nn.Module):
    """Blocks of growing resolution from a learned constant.

    Style i enters convolution i, and every odd one also the layer to colours before that convolution: the styles of a
    block's layer to colours and of the next block's first convolution are one.
    """

    low_pass: Tensor

    def __init__(self, architecture: StyleGAN2Architecture) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.zeros(architecture.channels[0], 4, 4))
        self.blocks = nn.ModuleList(Block(architecture, i) for i in range(len(architecture.channels)))
        self.register_buffer("low_pass", normalised_filter(architecture.resample_filter), persistent=False)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The convolutions with styles and noise, in order."""
        return tuple(module for module in self.modules() if isinstance(module, Layer))

    def forward(self, ws: Tensor | Sequence[Tensor], noise: NoiseImages = "const") -> Tensor:
        """Images (N, image_channels, resolution, resolution), nominally in [-1, 1], not clamped.

        Args:
            ws: (N, num_ws, w_dim), or one (n_i, w_dim) a layer; early ones may have fewer rows than late ones (B and
                B·k, image-major), and what depends on them alone is computed for B rows.
            noise: ``"const"`` for the stored images, ``"none"``, or one (n_i, 1, r, r) for each convolution.

        Raises:
            InputError: another number of styles or noise images.
        """
        image = self.trace(ws, noise)[-1][1]
        assert image is not None
        return image

    def trace(self, ws: Tensor | Sequence[Tensor], noise: NoiseImages = "const") -> list[tuple[Tensor, Tensor | None]]:
        """Features and the image so far after each block; for arguments see :meth:`forward`."""
        ws = list(ws.unbind(1)) if isinstance(ws, Tensor) else list(ws)
        images = self.noise_images(noise)
        if len(ws) != len(images) + 1:
            raise InputError(f"expected {len(images) + 1} styles, came {len(ws)}")
        x, image, start = self.constant[None], None, 0
        states: list[tuple[Tensor, Tensor | None]] = []
        for block in self.blocks:
            assert isinstance(block, Block)
            stop = start + (1 if block.up is None else 2)
            x = block(x, ws[start:stop], images[start:stop], self.low_pass)
            if image is not None:
                image = upsample(image, self.low_pass)
            if block.to_image is not None:
                colours = block.to_image(x, ws[stop])
                image = colours if image is None else torch.add(*aligned(image, colours))
            states.append((x, image))
            start = stop
        return states

    def noise_images(self, noise: NoiseImages) -> list[Tensor | None]:
        layers = self.layers
        if isinstance(noise, str):
            return [
                layer.noise[None, None] if noise == "const" and layer.noise is not None else None for layer in layers
            ]
        if len(noise) != len(layers):
            raise InputError(f"expected {len(layers)} noise images, came {len(noise)}")
        return list(noise)


def clamped(x: Tensor, bound: float | None, gain: float) -> Tensor:
    """Activations within ``bound``, where the architecture has one; the bound is scaled with the gain."""
    return x if bound is None else x.clamp(-bound * gain, bound * gain)
