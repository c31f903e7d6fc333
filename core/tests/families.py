"""One tiny generator of each family, with the family's own semantics, and closed forms where it has them.

Weights are keyed noise. A network is a loop over latents that enter a state; the state widens from images to draws when
the first latent of a draw comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, leaky_relu
from torch.special import ndtr, ndtri

from family import Codes, Family, aligned, expanded, linear, mix, weight
from mlvgm.errors import ConfigError, InputError
from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise, uniform
from mlvgm.protocols.generator import NuisanceSpec


@dataclass(frozen=True)
class LinearGaussian(Family):
    """x = 1/2 + Σ U_i z_i, z_i = s_i · e_i, U orthonormal; the encoder is the exact inverse (PCA)."""

    blocks = (3, 5, 8)
    scales = (0.3, 0.2, 0.1)
    latents = tuple(LatentSpec(f"z{i}", (size,), (size,)) for i, size in enumerate(blocks))

    @cached_property
    def basis(self) -> Tensor:
        return torch.linalg.qr(weight("basis", 16, 16).double())[0].float()

    def to_latents(self, noise: Noise) -> Latents:
        return Latents(tuple(scale * noise.of(i) for i, scale in enumerate(self.scales)))

    def to_noise(self, latents: Latents) -> Noise:
        values = tuple(value / scale for value, scale in zip(latents.values, self.scales, strict=True))
        return Noise(values, (0, 1, 2))

    def enter(self, values: Sequence[Tensor], given: Latents) -> Tensor:
        state = torch.full((1, 16), 0.5)
        for value, block in zip(values, self.basis.split(self.blocks, 1), strict=True):
            self.rows.append(len(value))
            state, value = aligned(state, value)
            state = state + linear(block, value)
        return state.unflatten(1, self.image.shape)

    def encode(self, images: Tensor) -> Codes:
        return Codes(linear(self.basis.T, images.flatten(1) - 0.5).split(self.blocks, 1))


@dataclass(frozen=True)
class StyleOptions:
    """w ↦ w̄ + psi · (w − w̄) in the first ``cutoff`` layers; noise images stored, absent or drawn."""

    psi: float = 1.0
    cutoff: int | None = None
    noise_mode: str = "const"


@dataclass(frozen=True)
class StyleGANLike(Family):
    """One z for all layers → pixel norm → mapping → w per layer; noise images; the encoder sees half the size (e4e)."""

    sampling: StyleOptions = StyleOptions()
    image = ImageSpec(1, 8, 8)
    sides = (2, 4, 4, 8)
    latents = tuple(LatentSpec(f"w{i}", (6,), (5,), side, f"b{side}") for i, side in enumerate(sides))
    ties = True
    mean = weight("w_avg", 6)

    @property
    def nuisances(self) -> tuple[NuisanceSpec, ...]:  # type: ignore[override]
        drawn = self.sampling.noise_mode == "random"
        return tuple(NuisanceSpec(f"noise{i}", (1, side, side)) for i, side in enumerate(self.sides) if drawn)

    def mapping(self, z: Tensor) -> Tensor:
        z = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
        return leaky_relu(linear(weight("fc", 6, 5), z), 0.2) + self.mean

    def to_latents(self, noise: Noise) -> Latents:
        mapped = [self.mapping(z) for z in noise.values]  # once for each distinct z
        psis = [self.sampling.psi if i < (self.sampling.cutoff or 4) else 1.0 for i in range(4)]
        values = tuple(self.mean + psi * (mapped[i] - self.mean) for psi, i in zip(psis, noise.source, strict=True))
        return Latents(values, nuisance=noise.nuisance)

    def enter(self, values: Sequence[Tensor], given: Latents) -> Tensor:
        state = weight("const", 1, 4, 2, 2)
        for i, (w, side) in enumerate(zip(values, self.sides, strict=True)):
            self.rows.append(len(w))
            state, w = aligned(interpolate(state, (side, side)), w)
            style = 1 + linear(weight(f"affine{i}", 4, 6), w)
            state, noise = aligned(state * style[:, :, None, None], self.noise_image(i, side, given))
            state = leaky_relu(linear(weight(f"conv{i}", 4, 4), state) + 0.3 * noise, 0.2)
        return 0.5 + 0.2 * linear(weight("torgb", 1, 4), state)

    def noise_image(self, layer: int, side: int, given: Latents) -> Tensor:
        if self.sampling.noise_mode != "random":
            return weight(f"noise{layer}", 1, 1, side, side) * (self.sampling.noise_mode == "const")
        if f"noise{layer}" not in given.nuisance:
            raise InputError(f"noise_mode random needs the nuisance noise{layer}", hint="draw it, or use 'const'")
        return given.nuisance[f"noise{layer}"]

    def encode(self, images: Tensor) -> Codes:
        return Codes(tuple(self.mean + linear(weight(f"map2style{i}", 6, 16), images.flatten(1)) for i in range(4)))


@dataclass(frozen=True)
class Truncation:
    """|z| ≤ threshold, by the map e ↦ Φ⁻¹(Φ(−t) + Φ(e)·(Φ(t) − Φ(−t))); infinity is off."""

    truncation: float = float("inf")


@dataclass(frozen=True)
class BigGANLike(Family):
    """Chunks of one z: the first makes the state, the others join the class embedding as condition of a block."""

    sampling: Truncation = Truncation()
    classes = 5
    latents = tuple(LatentSpec(f"z{i}", (4,), (4,), (None, 4, 4)[i]) for i in range(3))
    embedding = weight("shared", 5, 3)

    def draw_condition(self, keys: Keys) -> Tensor:
        return self.embed_classes((uniform(keys, "class", ()) * self.classes).long())

    def embed_classes(self, classes: Tensor) -> Tensor:
        if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < self.classes:
            raise InputError(f"expected classes in 0 … {self.classes - 1}, came {classes.tolist()}")
        return self.embedding[classes]

    @property
    def tail(self) -> Tensor:
        return ndtr(torch.tensor(-self.sampling.truncation).double())

    def to_latents(self, noise: Noise) -> Latents:
        drawn = super().to_latents(noise)
        if self.tail == 0:
            return drawn
        shares = (self.tail + ndtr(e.double()) * (1 - 2 * self.tail) for e in drawn.values)
        return replace(drawn, values=tuple(ndtri(share).to(drawn.values[0].dtype) for share in shares))

    def to_noise(self, latents: Latents) -> Noise:
        if any(bool((value.abs() > self.sampling.truncation).any()) for value in latents.values):
            raise InputError(f"latents beyond truncation {self.sampling.truncation} have no noise")
        shares = ((ndtr(z.double()) - self.tail) / (1 - 2 * self.tail) for z in latents.values)
        values = tuple(ndtri(share).to(latents.values[0].dtype) for share in shares) if self.tail else latents.values
        return Noise(values, (0, 1, 2), latents.nuisance, latents.condition)

    def enter(self, values: Sequence[Tensor], given: Latents) -> Tensor:
        if given.condition is None:
            raise InputError(f"{type(self).__name__} needs a condition", hint="embed_classes makes one")
        return self.pixels(values, given.condition)

    def pixels(self, values: Sequence[Tensor], condition: Tensor) -> Tensor:
        state = torch.ones(1, 8)
        for i, z in enumerate(values):
            self.rows.append(len(z))
            joined = torch.cat(aligned(condition, z), 1) if i else z
            gain, bias = linear(weight(f"gain{i}", 16, joined.shape[1]), joined).chunk(2, 1)
            state, gain, bias = aligned(state, gain, bias)
            state = state * (1 + gain) + bias
            state = leaky_relu(linear(weight(f"conv{i}", 8, 8), state), 0.1)
        return 0.5 + 0.5 * linear(weight("output", 16, 8), state).tanh().unflatten(1, self.image.shape)

    def encode(self, images: Tensor) -> Codes:
        features = images.flatten(1)
        share = (5 * linear(weight("classifier", 5, 16), features)).softmax(1)  # of each class, from the image alone
        codes = tuple(linear(weight(f"encoder{i}", 4, 16), features) for i in range(3))
        return Codes(codes, linear(self.embedding.T, share))


@dataclass(frozen=True)
class BigGANDeepLike(BigGANLike):
    """Every block gets all of one z, beside the class embedding; truncation selects normalisation statistics only."""

    sampling: Truncation = Truncation(1.0)
    ties = True

    def to_latents(self, noise: Noise) -> Latents:
        return Family.to_latents(self, noise)

    def to_noise(self, latents: Latents) -> Noise:
        return Noise(latents.values, (0, 1, 2), latents.nuisance, latents.condition)

    def pixels(self, values: Sequence[Tensor], condition: Tensor) -> Tensor:
        state = torch.full((1, 8), 1 + self.sampling.truncation)
        for i, z in enumerate(values):
            self.rows.append(len(z))
            gain = linear(weight(f"gain{i}", 8, 7), torch.cat(aligned(z, condition), 1))
            state, gain = aligned(state - self.sampling.truncation * weight(f"mean{i}", 8), gain)
            state = leaky_relu(linear(weight(f"conv{i}", 8, 8), state * (1 + gain)), 0.1)
        return 0.5 + 0.5 * linear(weight("output", 16, 8), state).tanh().unflatten(1, self.image.shape)

    def encode(self, images: Tensor) -> Codes:
        codes = super().encode(images)
        return replace(codes, values=(codes.values[0],) * 3)


@dataclass(frozen=True)
class Temperature:
    """Factor on the standard deviation of every prior."""

    temperature: float = 1.0


@dataclass(frozen=True)
class VDVAELike(Family):
    """Groups at growing sizes; each prior is a function of the state, so of all coarser latents."""

    sampling: Temperature = Temperature()
    sides = (1, 2, 4)
    latents = tuple(LatentSpec(f"z{i}", (2, side, side), (2, side, side), side) for i, side in enumerate(sides))

    def descend(self, latent: Callable[[int, Tensor, Tensor, Tensor], Tensor]) -> tuple[Latents, Tensor, list[Any]]:
        """Top-down pass; ``latent(i, state, mean, sigma)`` chooses z_i. Latents, image, and every (mean, sigma)."""
        state, values, priors = weight("bias", 1, 4, 1, 1), [], []
        for i, side in enumerate(self.sides):
            state = interpolate(state, (side, side))
            prior = linear(weight(f"prior{i}", 8, 4), leaky_relu(state, 0.1))
            mean, sigma = prior[:, :2], self.sampling.temperature * (0.5 * prior[:, 2:4]).exp()
            z = latent(i, state + prior[:, 4:], mean, sigma)
            self.rows.append(len(z))
            values.append(z)
            priors.append((mean, sigma))
            state, entering = aligned(state + prior[:, 4:], linear(weight(f"z_proj{i}", 4, 2), z))
            state = state + entering
        return Latents(tuple(values)), 0.5 + 0.3 * linear(weight("out", 1, 4), leaky_relu(state, 0.1)), priors

    def to_latents(self, noise: Noise) -> Latents:
        return self.descend(lambda i, _, mean, sigma: mean + sigma * noise.of(i))[0]

    def to_noise(self, latents: Latents) -> Noise:
        if self.sampling.temperature == 0:
            raise ConfigError("temperature 0 has no inverse", hint="use a positive temperature")
        priors = self.descend(lambda i, *_: latents.values[i])[2]
        values = tuple((z - mean) / sigma for z, (mean, sigma) in zip(latents.values, priors, strict=True))
        return Noise(values, (0, 1, 2))

    def enter(self, values: Sequence[Tensor], given: Latents) -> Tensor:
        return self.descend(lambda i, *_: values[i])[1]

    def encode(self, images: Tensor) -> Codes:
        return Codes(tuple(adaptive_avg_pool2d(images, side) for side in self.sides))

    def posterior(self, i: int, state: Tensor, feature: Tensor) -> Tensor:
        return linear(weight(f"enc{i}", 2, 5), torch.cat(aligned(state, feature), 1))

    def blend(self, encoding: Codes, source: Noise | Codes, alphas: Sequence[float]) -> Blended:
        self.checked(encoding, source, alphas)

        def mixed(i: int, state: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
            kept = self.posterior(i, state, encoding.values[i])
            if not isinstance(source, Noise):
                return mix(kept, self.posterior(i, state, source.values[i]), alphas[i])
            mean, sigma, noise = aligned(mean, sigma, source.of(i))
            return mix(kept, mean + sigma * noise, alphas[i])

        latents, image, _ = self.descend(mixed)
        values = tuple(expanded(value, len(source)) for value in latents.values)
        return Blended(expanded(image, len(source)), Latents(values))


FAMILIES = (LinearGaussian, StyleGANLike, BigGANLike, BigGANDeepLike, VDVAELike)
