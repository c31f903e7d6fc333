"""Top-down decoder: one group for each latent, then postprocessing and head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlvgm.rows import expanded
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.cells import bottleneck_width, cell, transition
from mlvgm_nvae.convolutions import convolution
from mlvgm_nvae.distributions import Normal, Parameters, standard_parameters
from mlvgm_nvae.flows import flow
from mlvgm_nvae.likelihood import pixel_parameters


class Posterior(nn.Module):
    """Raw posterior parameters (relative to the prior's, if residual) from encoder feature and decoder state."""

    def __init__(self, scale: int, architecture: NVAEArchitecture, *, first: bool) -> None:
        super().__init__()
        a = architecture
        encoder, decoder = a.encoder_widths[scale], a.decoder_widths[scale]
        self.feature: nn.Module = nn.Identity()
        self.activation: nn.Module = nn.Identity()
        if a.posterior == "bottleneck":
            width = bottleneck_width(decoder)
            self.feature = convolution(encoder, width, 1, a)
            self.activation = nn.SiLU()
        else:
            width = encoder
            if first:
                self.feature = nn.Sequential(nn.ELU(), convolution(encoder, encoder, 1, a), nn.ELU())
        # Without a latent above it the state is constant, so the first posterior reads the image alone.
        self.state = None if first else convolution(decoder, width, 1, a)
        self.parameters_of = convolution(width, 2 * a.latent_channels[scale], 3, a)

    def forward(self, feature: Tensor, state: Tensor) -> Parameters:
        joint = expanded(self.feature(feature), len(state))
        if self.state is not None:
            joint = joint + self.state(state)
        return Parameters(*self.parameters_of(self.activation(joint)).chunk(2, 1))


class Group(nn.Module):
    """Everything about one latent: cells that lead to it, prior, posterior, flows, and its entry into the state."""

    def __init__(self, latent: int, architecture: NVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        scale, first = a.scale_of_latent[latent], latent == 0
        width, channels = a.decoder_widths[scale], a.latent_channels[scale]
        self.shape = a.latent_shapes[latent]
        self.sigma_floor = a.sigma_floor
        self.residual = a.residual_posterior
        cells: list[nn.Module] = []
        if not first:
            coarser = a.scale_of_latent[latent - 1]
            if coarser != scale:
                cells.append(transition(a.decoder_widths[coarser], width, a.decoder_cell, a, resize="up"))
            cells += [cell(width, width, a.decoder_cell, a) for _ in range(a.decoder_cells)]
        self.cells = nn.Sequential(*cells)
        activation = nn.ELU() if a.posterior == "sum" else nn.Identity()
        self.prior_parameters = None if first else nn.Sequential(activation, convolution(width, 2 * channels, 1, a))
        self.posterior_parameters = Posterior(scale, a, first=first)
        self.flow = flow(channels, a)
        self.concatenate = a.merge == "concatenate"
        self.enter = convolution(width + channels if self.concatenate else channels, width, 1, a)

    def prior(self, state: Tensor) -> Parameters:
        """Raw parameters of p(z_i | z_<i); ``state`` has passed ``cells``."""
        if self.prior_parameters is None:
            return standard_parameters(state, self.shape)
        return Parameters(*self.prior_parameters(state).chunk(2, 1))

    def posterior(self, feature: Tensor, state: Tensor, prior: Parameters) -> Parameters:
        """Raw parameters of q(z_i | x, z_<i); a feature of fewer rows than ``state`` is shared, image-major."""
        relative = self.posterior_parameters(feature, state)
        return prior.plus(relative) if self.residual else relative

    def normal(self, parameters: Parameters) -> Normal:
        """The distribution of raw parameters."""
        return Normal.of(parameters, sigma_floor=self.sigma_floor)

    def merge(self, state: Tensor, latent: Tensor) -> Tensor:
        """The state after the latent has entered."""
        entered: Tensor = self.enter(torch.cat([state, latent], 1) if self.concatenate else latent)
        return entered if self.concatenate else state + entered


class Decoder(nn.Module):
    """The constant the top-down pass starts from, the groups, and what makes pixel parameters of the last state."""

    groups: Sequence[Group]

    def __init__(self, architecture: NVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        self.constant = nn.Parameter(torch.randn(1, a.decoder_widths[0], *a.size(0)))
        groups = nn.ModuleList(Group(latent, a) for latent in range(sum(a.groups)))
        self.groups = groups  # type: ignore[assignment]
        width = a.decoder_widths[-1]
        cells: list[nn.Module] = []
        for _ in range(a.postprocess_blocks):
            cells.append(cell(width, width // 2, a.postprocess_cell, a, resize="up"))
            width //= 2
            cells += [cell(width, width, a.postprocess_cell, a) for _ in range(a.postprocess_cells - 1)]
        self.postprocess = nn.Sequential(*cells)
        self.head = _head(width, a)

    def start(self, rows: int) -> Tensor:
        """The state before the first latent."""
        return self.constant.expand(rows, -1, -1, -1).contiguous(memory_format=torch.channels_last)

    def finish(self, state: Tensor) -> Tensor:
        """Pixel parameters (N, ·, H, W) of the state after the last latent."""
        result: Tensor = self.head(self.postprocess(state))
        return result


def _head(width: int, architecture: NVAEArchitecture) -> nn.Module:
    a = architecture
    parameters = pixel_parameters(a.image[0], a.mixtures, a.likelihood)
    if a.head == "convolution":
        return nn.Sequential(nn.ELU(), convolution(width, parameters, 3, a))
    return nn.Sequential(
        cell(width, width, a.decoder_cell, a),
        nn.SiLU(),
        convolution(width, 4 * a.head_width, 3, a),
        nn.PixelShuffle(2),
        nn.SiLU(),
        convolution(a.head_width, parameters, 3, a),
    )
