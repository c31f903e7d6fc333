"""The residual discriminator (arXiv 1912.04958, section 4 and appendix B), and a light form of it for small images."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlvgm.latents import ImageSpec
from mlvgm.weights.file import WeightsFile, read_weights
from mlvgm.weights.load import assemble
from mlvgm_stylegan.stylegan2.discriminator_architecture import DiscriminatorArchitecture
from mlvgm_stylegan.stylegan2.equalised import EqualisedLinear
from mlvgm_stylegan.stylegan2.resampling import downsample_padding, normalised_filter


def light_discriminator(image: ImageSpec) -> DiscriminatorArchitecture:
    """The discriminator that our own weights are trained against: no convolution at full resolution, box filters."""
    halvings = max(int(math.log2(min(image.height, image.width) / 8)), 0)
    channels = (48, 64, *(96,) * (halvings - 1))[: halvings + 1]
    return DiscriminatorArchitecture(image=image.shape, channels=channels, unshuffle=True, filter=(1.0, 1.0))


class EqualisedConv2d(nn.Module):
    """Convolution with an equalised learning rate, optionally after low-pass filtering and before halving.

    Args:
        filter: of the downsampling; None keeps the resolution.

    Filter and kernel are composed into one strided kernel: convolution is associative.
    """

    filter: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        filter: tuple[float, ...] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.gain = 1 / math.sqrt(in_channels * kernel**2)
        taps = None if filter is None else normalised_filter(filter)
        self.stride = 1 if taps is None else 2
        self.padding = (kernel // 2,) * 4 if taps is None else downsample_padding(taps, extra=kernel // 2)
        self.register_buffer("filter", taps, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        weight = self.weight * self.gain
        if self.filter is not None:
            # conv2d correlates, and the filter is not flipped: their composition is the kernel of one after the other.
            composed = F.conv2d(weight.flatten(0, 1)[:, None], self.filter[None, None], padding=len(self.filter) - 1)
            weight = composed.view(*weight.shape[:2], *composed.shape[2:])
        return F.conv2d(F.pad(features, self.padding), weight, self.bias, stride=self.stride)


class DownBlock(nn.Module):
    """Two convolutions that halve the resolution, and a shortcut; unit variance is kept."""

    def __init__(self, in_channels: int, out_channels: int, *, filter: tuple[float, ...]) -> None:
        super().__init__()
        self.conv0 = EqualisedConv2d(in_channels, in_channels, 3)
        self.conv1 = EqualisedConv2d(in_channels, out_channels, 3, filter=filter)
        self.skip = EqualisedConv2d(in_channels, out_channels, 1, filter=filter, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        residual = activate(self.conv1(activate(self.conv0(features))))
        result: Tensor = (residual + self.skip(features)) * math.sqrt(0.5)
        return result


class Discriminator(nn.Module):
    """Images in [−1, 1] → one logit each, (N,); high for real ones.

    Example:
        >>> import torch
        >>> from mlvgm.latents import ImageSpec
        >>> Discriminator(light_discriminator(ImageSpec(1, 32, 32)))(torch.zeros(4, 1, 32, 32)).shape
        torch.Size([4])
    """

    def __init__(self, architecture: DiscriminatorArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        factor = 1 + a.unshuffle
        self.fromrgb = EqualisedConv2d(a.image[0] * factor**2, a.channels[0], 1)
        self.blocks = nn.ModuleList(
            DownBlock(fine, coarse, filter=a.filter) for fine, coarse in zip(a.channels, a.channels[1:], strict=False)
        )
        last = a.channels[-1]
        pixels = a.image[1] * a.image[2] // (factor * 2 ** len(self.blocks)) ** 2
        self.conv = EqualisedConv2d(last + a.group_channels, last, 3)
        self.fc = EqualisedLinear(last * pixels, last)
        self.out = EqualisedLinear(last, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)[-1]
        a = self.architecture
        deviations = minibatch_deviations(features, group=a.group, channels=a.group_channels)
        features = activate(self.conv(torch.cat([features, deviations], 1)))
        result: Tensor = self.out(activate(self.fc(features.flatten(1)))).squeeze(1)
        return result

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps of the residual blocks, fine → coarse; each depends on its own image only."""
        features = activate(self.fromrgb(F.pixel_unshuffle(images, 1 + self.architecture.unshuffle)))
        maps = [features]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps


def activate(features: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2 that keeps unit variance."""
    return F.leaky_relu(features, 0.2) * math.sqrt(2)


def minibatch_deviations(features: Tensor, *, group: int, channels: int) -> Tensor:
    """Standard deviation over every group of images, averaged over pixels and parts of the channels.

    Image i is in the group of i modulo the number of groups (arXiv 1710.10196, section 3).

    Shape:
        features: (N, C, H, W), N a multiple of ``group`` or less than it.
        output: (N, channels, H, W).
    """
    count, _, height, width = features.shape
    group = min(group, count)
    parts = features.view(group, count // group, channels, -1, height, width)
    deviations = (parts.var(0, correction=0) + 1e-8).sqrt().mean((2, 3, 4))
    return deviations.repeat(group, 1)[:, :, None, None].expand(count, channels, height, width)


def build_discriminator(architecture: DiscriminatorArchitecture, *, seed: int) -> Discriminator:
    """A discriminator with fresh parameters from ``seed``; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Discriminator(architecture)
        for name, parameter in model.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter)
        return model


FORMAT = "mlvgm-stylegan2-discriminator/1"


def discriminator_contents(model: Discriminator) -> WeightsFile:
    """What to write to a file for ``model``."""
    return WeightsFile(FORMAT, model.architecture.model_dump_json(), model.state_dict())


def load_discriminator(path: Path) -> Discriminator:
    """The discriminator in a file.

    Raises:
        InputError: the file is missing, unreadable, or of something else.
    """
    file = read_weights(path, format=FORMAT)
    return assemble(file, path, architecture=DiscriminatorArchitecture, network=Discriminator)
