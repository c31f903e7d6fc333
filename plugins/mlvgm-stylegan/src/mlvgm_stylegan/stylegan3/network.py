"""The StyleGAN3 generator (arXiv 2106.12423): mapping network and synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from mlvgm_stylegan.stylegan2.mapping import MappingNetwork
from mlvgm_stylegan.stylegan3.architecture import StyleGAN3Architecture, plan
from mlvgm_stylegan.stylegan3.fourier_input import FourierInput
from mlvgm_stylegan.stylegan3.layer import Layer


class Synthesis(nn.Module):
    """Styles → image. Style 0 moves the input, style i + 1 modulates layer i."""

    def __init__(self, architecture: StyleGAN3Architecture) -> None:
        super().__init__()
        a, plans = architecture, plan(architecture)
        first = plans[0]
        self.input = FourierInput(
            w_dim=a.w_dim, channels=a.channels[0], size=first.size, rate=first.rate, cutoff=first.cutoff
        )
        self.layers = nn.ModuleList(
            Layer(inputs, outputs, w_dim=a.w_dim, kernel_size=a.kernel_size, plan=step, clamp=a.clamp)
            for inputs, outputs, step in zip(a.channels, a.channels[1:], plans, strict=False)
        )
        self.output_scale = a.output_scale

    def forward(self, ws: Tensor | Sequence[Tensor], noise: Literal["none"] = "none") -> Tensor:
        """Images (N, C, resolution, resolution), nominally in [−1, 1].

        Args:
            ws: (N, num_ws, w_dim), or one tensor (n_i, w_dim) for each style; a style of fewer rows than later ones is
                shared, image-major.
            noise: there are no noise images.
        """
        styles = ws.unbind(1) if isinstance(ws, Tensor) else ws
        x = self.input(styles[0])
        for layer, w in zip(self.layers, styles[1:], strict=True):
            x = layer(x, w)
        result: Tensor = x * self.output_scale
        return result


class StyleGAN3(nn.Module):
    """A StyleGAN3 generator; the number of styles is ``architecture.num_ws``."""

    name = "stylegan3"

    def __init__(self, architecture: StyleGAN3Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.mapping = MappingNetwork(architecture)
        self.synthesis = Synthesis(architecture)
