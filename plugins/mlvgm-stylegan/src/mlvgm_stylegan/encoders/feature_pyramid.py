"""Features of an image at three scales, each with what the coarser ones know (arXiv 1612.03144)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate

from mlvgm_stylegan.encoders.irse import IRSE, IRSEArchitecture


class FeaturePyramid(nn.Module):
    """IR-SE-50 with a top-down path: coarse c3, middle p2 = up(c3) + lateral(c2), fine p1 = up(p2) + lateral(c1).

    All three have the channels of the last stage.
    """

    def __init__(self, architecture: IRSEArchitecture) -> None:
        super().__init__()
        _, fine, middle, coarse = architecture.widths
        self.body = IRSE(architecture)
        self.lateral_middle = nn.Conv2d(middle, coarse, 1)
        self.lateral_fine = nn.Conv2d(fine, coarse, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coarse, middle and fine features, at 1/16, 1/8 and 1/4 of the size of images (N, C, H, W) in [-1, 1]."""
        _, c1, c2, c3 = self.body(images)
        p2 = _enlarged(c3, c2) + self.lateral_middle(c2)
        p1 = _enlarged(p2, c1) + self.lateral_fine(c1)
        return c3, p2, p1


def _enlarged(features: Tensor, like: Tensor) -> Tensor:
    return interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=True)
