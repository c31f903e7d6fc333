"""Models with closed forms: a linear classifier, and a linear-Gaussian generator whose encoder is its exact inverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise, normal


@dataclass(frozen=True)
class LinearClassifier:
    """Logits W x + b."""

    weight: Tensor  # (K, D)
    bias: Tensor  # (K,)

    @property
    def classes(self) -> int:
        return len(self.weight)

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias

    def distances(self, images: Tensor, labels: Tensor, *, dual: float) -> Tensor:
        """Distance of each image to the nearest boundary, without the box: min_j (z_y − z_j) / ‖w_y − w_j‖_dual."""
        logits = self(images)
        gap = logits.gather(1, labels[:, None]) - logits
        length = (self.weight[labels][:, None] - self.weight[None]).norm(p=dual, dim=2)
        return (gap / length.clamp_min(1e-12)).scatter(1, labels[:, None], torch.inf).amin(1)


def linear_problem(*, classes: int, images: int, shape: tuple[int, int, int], seed: int) -> tuple[Any, Tensor, Tensor]:
    """A linear classifier, mid-grey images far from the box's faces, and its predictions as labels."""
    generator = torch.Generator().manual_seed(seed)
    size = shape[0] * shape[1] * shape[2]
    model = LinearClassifier(
        torch.randn(classes, size, generator=generator), 0.1 * torch.randn(classes, generator=generator)
    )
    x = 0.5 + 0.05 * torch.randn(images, *shape, generator=generator)
    model = replace(model, bias=model.bias - (0.5 * model.weight).sum(1))
    return model, x.clamp(0, 1), model(x.clamp(0, 1)).argmax(1)


@dataclass(frozen=True)
class Coordinates:
    """Encoding of the linear generator: its latents, and a count of how many rows it was computed for."""

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Coordinates:
        return Coordinates(self.values[index])

    def repeat(self, draws: int) -> Coordinates:
        return Coordinates(self.values.repeat_interleave(draws, 0))

    def to(self, device: torch.device | str) -> Coordinates:
        return Coordinates(self.values.to(device))


@dataclass(frozen=True)
class LinearGenerator:
    """x = mean + basis (scale · e): latents are blocks of coordinates in an orthonormal basis."""

    basis: Tensor  # (D, D) orthonormal columns
    blocks: tuple[int, ...]
    image: ImageSpec
    scale: float = 0.1
    encoded: list[int] = field(default_factory=list)

    sampling: Any = None
    nuisances: tuple[()] = ()

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def latents(self) -> tuple[LatentSpec, ...]:
        return tuple(LatentSpec(f"z{i}", (size,), (size,)) for i, size in enumerate(self.blocks))

    @property
    def encoder_image(self) -> ImageSpec:
        return self.image

    def to(self, device: torch.device | str) -> Self:
        return self

    def with_sampling(self, **options: Any) -> Self:
        return self

    def draw_noise(self, keys: Keys, *, tied: bool | None = None) -> Noise:
        values = tuple(normal(keys, spec.name, spec.noise_shape) for spec in self.latents)
        return Noise(values, tuple(range(len(values))))

    def to_latents(self, noise: Noise) -> Latents:
        return Latents(tuple(self.scale * noise.of(i) for i in range(len(self.blocks))))

    def decode(self, latents: Latents) -> Tensor:
        flat = 0.5 + torch.cat(latents.values, 1) @ self.basis.T
        return flat.unflatten(1, self.image.shape)

    def generate(self, noise: Noise) -> Tensor:
        return self.decode(self.to_latents(noise))

    def encode(self, images: Tensor) -> Coordinates:
        self.encoded.append(len(images))
        return Coordinates((images.flatten(1) - 0.5) @ self.basis)

    def blend(self, encoding: Coordinates, source: Noise | Coordinates, alphas: Sequence[float]) -> Blended:
        prior = (
            source.values.split(self.blocks, 1) if isinstance(source, Coordinates) else self.to_latents(source).values
        )
        draws = len(source) // len(encoding)
        posterior = encoding.repeat(draws).values.split(self.blocks, 1)
        mixed = tuple((1 - a) * z + a * e for a, z, e in zip(alphas, posterior, prior, strict=True))
        latents = Latents(mixed)
        return Blended(self.decode(latents), latents)


def linear_generator(
    *, blocks: tuple[int, ...] = (4, 8, 36), shape: tuple[int, int, int] = (3, 4, 4)
) -> LinearGenerator:
    size = sum(blocks)
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(0)))
    return LinearGenerator(basis, blocks, ImageSpec(*shape))
