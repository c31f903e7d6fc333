"""Bottom-up encoder: stem, preprocessing, and one tower of groups from the finest to the coarsest scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.cells import cell, transition
from mlvgm_nvae.convolutions import convolution


class Stem(nn.Module):
    """Images in [−1, 1] to features: 3×3 convolution, at full size or after folding 2×2 pixels into channels."""

    def __init__(self, width: int, architecture: NVAEArchitecture) -> None:
        super().__init__()
        self.fold = 2 if architecture.stem == "unshuffle" else 1
        self.convolution = convolution(architecture.image[0] * self.fold**2, width, 3, architecture)

    def forward(self, images: Tensor) -> Tensor:
        if self.fold > 1:
            images = functional.pixel_unshuffle(images, self.fold)
        result: Tensor = self.convolution(images.contiguous(memory_format=torch.channels_last))
        return result


class Encoder(nn.Module):
    """Features of images, one for each latent.

    Shape:
        input: (B, C, H, W) in [−1, 1].
        output: tuple over latents, coarse → fine, of (B, encoder width of its scale, height, width). Latents that read
            the same feature get the same tensor.
    """

    def __init__(self, architecture: NVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        self.architecture = a
        width = a.encoder_widths[-1] >> a.preprocess_blocks
        self.stem = Stem(width, a)
        cells: list[nn.Module] = []
        for _ in range(a.preprocess_blocks):
            cells += [cell(width, width, a.preprocess_cell, a) for _ in range(a.preprocess_cells - 1)]
            cells.append(cell(width, 2 * width, a.preprocess_cell, a, resize="down"))
            width *= 2
        self.preprocess = nn.Sequential(*cells)
        # Indexed by scale, coarse → fine, like everything else; executed from the last to the first.
        self.scales = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(*(cell(w, w, a.encoder_cell, a) for _ in range(a.encoder_cells)))
                for _ in range(1 if a.pairing == "shared" else count)
            )
            for w, count in zip(a.encoder_widths, a.groups, strict=True)
        )
        self.downs = nn.ModuleList(
            transition(fine, coarse, a.encoder_cell, a, resize="down")
            for coarse, fine in zip(a.encoder_widths, a.encoder_widths[1:], strict=False)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.preprocess(self.stem(images))
        by_scale: list[list[Tensor]] = [[] for _ in self.scales]
        for scale in reversed(range(len(self.scales))):
            groups = self.scales[scale]
            assert isinstance(groups, nn.ModuleList)
            for group in groups:
                features = group(features)
                by_scale[scale].append(features)
            if scale > 0:
                features = self.downs[scale - 1](features)
        return self._paired(by_scale)

    def _paired(self, by_scale: list[list[Tensor]]) -> tuple[Tensor, ...]:
        a = self.architecture
        if a.pairing == "shared":
            return tuple(by_scale[scale][0] for scale in a.scale_of_latent)
        if a.pairing == "mirrored":
            return tuple(feature for features in by_scale for feature in reversed(features))
        # The first latent reads the end of the tower in every variant.
        return (by_scale[0][-1], *[feature for features in by_scale for feature in features][1:])
