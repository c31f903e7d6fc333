"""The BigGAN layouts written down from their description: random checkpoints, and a slow evaluation of them.

Everything is a plain formula on tensors under their official names, sharing nothing with the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

State = dict[str, Tensor]


@dataclass(frozen=True)
class Options:
    """Arguments of the official constructor, as far as they change the layout."""

    widths: tuple[int, ...] = (16, 16, 8)
    bottom_width: int = 4
    chunk: int = 3
    n_classes: int = 6
    shared_dim: int = 5
    attention: tuple[int, ...] = ()
    hier: bool = True
    G_shared: bool = True
    mybn: bool = False
    spectral_norm: bool = True
    BN_eps: float = 1e-5
    SN_eps: float = 1e-6

    @property
    def blocks(self) -> int:
        return len(self.widths) - 1

    @property
    def dim_z(self) -> int:
        return self.chunk * (self.blocks + 1) if self.hier else self.chunk

    def config(self) -> dict[str, object]:
        return {
            "resolution": self.bottom_width * 2**self.blocks,
            "bottom_width": self.bottom_width,
            "dim_z": self.dim_z,
            "n_classes": self.n_classes,
            "shared_dim": self.shared_dim,
            "hier": self.hier,
            "G_shared": self.G_shared,
            "mybn": self.mybn,
            "BN_eps": self.BN_eps,
            "SN_eps": self.SN_eps,
            "arch": {"resolution": [8, 16]},
        }


class Random:
    """Random tensors from one seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=self.generator)

    def positive(self, *shape: int) -> Tensor:
        return 0.5 + torch.rand(shape, generator=self.generator)


def checkpoint(options: Options, *, seed: int = 0) -> State:
    """A random state dict in the layout of ajbrock/BigGAN-PyTorch."""
    draw, state = Random(seed), {}

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        state[f"{name}.weight"] = draw.normal(*shape, scale=prod(shape[1:]) ** -0.5)
        if options.spectral_norm:
            state[f"{name}.u0"], state[f"{name}.sv0"] = draw.normal(1, shape[0]), draw.positive(1)
        if bias:
            state[f"{name}.bias"] = draw.normal(shape[0], scale=0.2)

    def statistics(name: str, channels: int) -> None:
        name = f"{name}.bn" if options.mybn else name
        state[f"{name}.stored_mean"] = draw.normal(channels, scale=0.3)
        state[f"{name}.stored_var"] = draw.positive(channels)
        if options.mybn:
            state[f"{name}.accumulation_counter"] = torch.full((1,), 7.0)

    condition = options.shared_dim + (options.chunk if options.hier else 0)
    if options.G_shared:
        state["shared.weight"] = draw.normal(options.n_classes, options.shared_dim)
    layer("linear", options.widths[0] * options.bottom_width**2, options.chunk)
    for i, (before, after) in enumerate(zip(options.widths, options.widths[1:], strict=False)):
        block = f"blocks.{i}.0"
        layer(f"{block}.conv1", after, before, 3, 3)
        layer(f"{block}.conv2", after, after, 3, 3)
        layer(f"{block}.conv_sc", after, before, 1, 1)
        for norm, channels in ((f"{block}.bn1", before), (f"{block}.bn2", after)):
            statistics(norm, channels)
            for part in ("gain", "bias"):
                if options.G_shared:
                    layer(f"{norm}.{part}", channels, condition, bias=False)
                else:
                    state[f"{norm}.{part}.weight"] = draw.normal(options.n_classes, channels, scale=0.5)
        if i in options.attention:
            state[f"blocks.{i}.1.gamma"] = torch.tensor(0.7)
            for name, out, into in (("theta", 8, 1), ("phi", 8, 1), ("g", 2, 1), ("o", 1, 2)):
                layer(f"blocks.{i}.1.{name}", after // out, after // into, 1, 1, bias=False)
    width = options.widths[-1]
    statistics("output_layer.0", width)
    state["output_layer.0.gain"], state["output_layer.0.bias"] = draw.positive(width), draw.normal(width, scale=0.3)
    layer("output_layer.2", 3, width, 3, 3)
    return state


def images(state: Mapping[str, Tensor], options: Options, z: Tensor, classes: Tensor) -> Tensor:
    """Images in [−1, 1] of ``z`` (N, dim_z) and class numbers."""
    chunks = z.split(options.chunk, 1)
    x = linear(weight(state, "linear", options.SN_eps), chunks[0]) + state["linear.bias"]
    x = x.reshape(len(z), -1, options.bottom_width, options.bottom_width)
    for i in range(options.blocks):
        if options.G_shared:
            embedding = state["shared.weight"][classes]
            joined = torch.cat([embedding, chunks[i + 1]], 1) if options.hier else embedding
        else:
            joined = classes
        x = block(state, f"blocks.{i}.0", x, joined, options)
        if i in options.attention:
            x = attention(state, f"blocks.{i}.1", x, options.SN_eps)
    x = normalised(state, "output_layer.0", x, 1e-5)  # whatever BN_eps is
    x = x * state["output_layer.0.gain"][:, None, None] + state["output_layer.0.bias"][:, None, None]
    return convolution(state, "output_layer.2", x.relu(), options.SN_eps, padding=1).tanh()


def block(state: Mapping[str, Tensor], name: str, x: Tensor, joined: Tensor, options: Options) -> Tensor:
    def conditioned(norm: str, x: Tensor) -> Tensor:
        if options.G_shared:
            gain, bias = (linear(weight(state, f"{name}.{norm}.{part}", options.SN_eps), joined) for part in PARTS)
        else:
            gain, bias = (state[f"{name}.{norm}.{part}.weight"][joined] for part in PARTS)
        x = normalised(state, f"{name}.{norm}", x, options.BN_eps)
        return x * (1 + gain)[:, :, None, None] + bias[:, :, None, None]

    h = doubled(conditioned("bn1", x).relu())
    h = convolution(state, f"{name}.conv1", h, options.SN_eps, padding=1)
    h = convolution(state, f"{name}.conv2", conditioned("bn2", h).relu(), options.SN_eps, padding=1)
    return h + convolution(state, f"{name}.conv_sc", doubled(x), options.SN_eps, padding=0)


PARTS = ("gain", "bias")


def attention(state: Mapping[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    theta, phi, g = (conv2d(x, weight(state, f"{name}.{part}", eps)) for part in ("theta", "phi", "g"))
    theta, phi, g = theta.flatten(2), max_pool2d(phi, 2).flatten(2), max_pool2d(g, 2).flatten(2)
    beta = torch.einsum("ncq,nck->nqk", theta, phi).exp()
    beta = beta / beta.sum(2, keepdim=True)
    read = torch.einsum("nck,nqk->ncq", g, beta).reshape(len(x), -1, *x.shape[2:])
    return state[f"{name}.gamma"] * conv2d(read, weight(state, f"{name}.o", eps)) + x


def normalised(state: Mapping[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    home = name if f"{name}.stored_mean" in state else f"{name}.bn"
    mean, variance = state[f"{home}.stored_mean"], state[f"{home}.stored_var"]
    return (x - mean[:, None, None]) / (variance[:, None, None] + eps).sqrt()


def convolution(state: Mapping[str, Tensor], name: str, x: Tensor, eps: float, *, padding: int) -> Tensor:
    return conv2d(x, weight(state, name, eps), state[f"{name}.bias"], padding=padding)


def weight(state: Mapping[str, Tensor], name: str, eps: float) -> Tensor:
    """The weight over one step of power iteration from the stored vector, which is not stored again."""
    w = state[f"{name}.weight"]
    if f"{name}.u0" not in state:
        return w
    matrix, u = w.reshape(len(w), -1), state[f"{name}.u0"][0]
    v = matrix.T @ u
    v = v / max(float(v.norm()), eps)
    u = matrix @ v
    u = u / max(float(u.norm()), eps)
    return w / (u @ matrix @ v)


def linear(matrix: Tensor, x: Tensor) -> Tensor:
    return torch.stack([matrix @ row for row in x])


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
