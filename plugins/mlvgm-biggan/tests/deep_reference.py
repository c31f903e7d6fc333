"""The BigGAN-deep layout written down from its description: random checkpoints, and a slow evaluation of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

State = dict[str, Tensor]
Layer = tuple[bool, int, int]


@dataclass(frozen=True)
class Options:
    """The official configuration: layers are (doubles, channels in, channels out) in units of ``channel_width``."""

    layers: tuple[Layer, ...] = ((False, 16, 16), (True, 16, 8), (True, 8, 4))
    channel_width: int = 2
    z_dim: int = 3
    class_embed_dim: int = 3
    num_classes: int = 4
    attention_layer_position: int = 2
    eps: float = 1e-4
    n_stats: int = 6

    @property
    def output_dim(self) -> int:
        return 4 * 2 ** sum(doubles for doubles, _, _ in self.layers)

    @property
    def places(self) -> list[int]:
        """Positions of the blocks in the list of layers, into which attention is inserted."""
        return [i + (i >= self.attention_layer_position) for i in range(len(self.layers))]

    def config(self) -> str:
        return json.dumps(asdict(self) | {"output_dim": self.output_dim})


def checkpoint(options: Options, *, seed: int = 0) -> State:
    """A random state dict in the layout of huggingface/pytorch-pretrained-BigGAN."""
    generator, state = torch.Generator().manual_seed(seed), {}
    condition = options.z_dim + options.class_embed_dim

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        state[f"{name}.weight_orig"] = normal(*shape, scale=shape[0] ** -0.5)
        u, v = normal(shape[0]), normal(prod(shape[1:]))
        # Near the singular vectors, as a checkpoint has them, but not there.
        for _ in range(3):
            v = state[f"{name}.weight_orig"].flatten(1).T @ u
            u = state[f"{name}.weight_orig"].flatten(1) @ v
        state[f"{name}.weight_u"], state[f"{name}.weight_v"] = u / u.norm(), v / v.norm()
        if bias:
            state[f"{name}.bias"] = normal(shape[0], scale=0.2)

    def statistics(name: str, channels: int) -> None:
        state[f"{name}.running_means"] = normal(options.n_stats, channels, scale=0.3)
        state[f"{name}.running_vars"] = 0.5 + torch.rand(options.n_stats, channels, generator=generator)

    state["embeddings.weight"] = normal(options.class_embed_dim, options.num_classes)
    first = options.layers[0][1] * options.channel_width
    layer("generator.gen_z", 16 * first, condition)
    for place, (_, before, after) in zip(options.places, options.layers, strict=True):
        name, before, after = f"generator.layers.{place}", before * options.channel_width, after * options.channel_width
        widths = [before, *3 * [before // 4], after]
        for i in range(4):
            layer(f"{name}.conv_{i}", widths[i + 1], widths[i], *2 * [3 if i in (1, 2) else 1])
            statistics(f"{name}.bn_{i}", widths[i])
            for part in ("scale", "offset"):
                layer(f"{name}.bn_{i}.{part}", widths[i], condition, bias=False)
    if options.attention_layer_position < len(options.layers):
        name = f"generator.layers.{options.attention_layer_position}"
        width = options.layers[options.attention_layer_position][1] * options.channel_width
        state[f"{name}.gamma"] = torch.tensor([0.7])
        for part, out, into in (("theta", 8, 1), ("phi", 8, 1), ("g", 2, 1), ("o_conv", 1, 2)):
            layer(f"{name}.snconv1x1_{part}", width // out, width // into, 1, 1, bias=False)
    width = options.layers[-1][2] * options.channel_width
    statistics("generator.bn", width)
    state["generator.bn.weight"] = 0.5 + torch.rand(width, generator=generator)
    state["generator.bn.bias"] = normal(width, scale=0.3)
    layer("generator.conv_to_rgb", width, width, 3, 3)
    return state


def images(state: Mapping[str, Tensor], options: Options, z: Tensor, classes: Tensor, *, truncation: float) -> Tensor:
    """Images in [−1, 1] of z (N, z_dim) and class numbers."""

    def weight(name: str) -> Tensor:
        w = state[f"{name}.weight_orig"]
        sigma = torch.einsum("o,oi,i->", state[f"{name}.weight_u"], w.flatten(1), state[f"{name}.weight_v"])
        return w / sigma

    def convolution(name: str, x: Tensor) -> Tensor:
        w = weight(name)
        return conv2d(x, w, state.get(f"{name}.bias"), padding=w.shape[2] // 2)

    def normalised(name: str, x: Tensor) -> Tensor:
        row = truncation / (1 / (options.n_stats - 1))
        below, fraction = int(row), row - int(row)
        rows = [state[f"{name}.running_{kind}"][below] for kind in ("means", "vars")]
        if fraction:
            after = [state[f"{name}.running_{kind}"][below + 1] for kind in ("means", "vars")]
            rows = [fraction * a + (1 - fraction) * b for a, b in zip(rows, after, strict=True)]
        mean, variance = (value[:, None, None] for value in rows)
        return (x - mean) / (variance + options.eps).sqrt()

    def conditioned(name: str, x: Tensor) -> Tensor:
        scale, offset = (joined @ weight(f"{name}.{part}").T for part in ("scale", "offset"))
        return normalised(name, x) * (1 + scale[:, :, None, None]) + offset[:, :, None, None]

    def attention(name: str, x: Tensor) -> Tensor:
        theta, phi, g = (convolution(f"{name}.snconv1x1_{part}", x) for part in ("theta", "phi", "g"))
        theta, phi, g = theta.flatten(2), max_pool2d(phi, 2).flatten(2), max_pool2d(g, 2).flatten(2)
        shares = torch.einsum("ncq,nck->nqk", theta, phi).exp()
        shares = shares / shares.sum(2, keepdim=True)
        read = torch.einsum("nck,nqk->ncq", g, shares).reshape(len(x), -1, *x.shape[2:])
        return x + state[f"{name}.gamma"] * convolution(f"{name}.snconv1x1_o_conv", read)

    joined = torch.cat([z, state["embeddings.weight"].T[classes]], 1)
    x = joined @ weight("generator.gen_z").T + state["generator.gen_z.bias"]
    x = x.reshape(len(z), 4, 4, -1).movedim(3, 1)
    for i, (place, (doubles, _, _)) in enumerate(zip(options.places, options.layers, strict=True)):
        if i == options.attention_layer_position:
            x = attention(f"generator.layers.{i}", x)
        name, h = f"generator.layers.{place}", x
        for j in range(4):
            h = conditioned(f"{name}.bn_{j}", h).relu()
            if j == 1 and doubles:
                h = doubled(h)
            h = convolution(f"{name}.conv_{j}", h)
        skip = x[:, : x.shape[1] // 2] if h.shape[1] != x.shape[1] else x
        x = h + (doubled(skip) if doubles else skip)
    x = normalised("generator.bn", x) * state["generator.bn.weight"][:, None, None]
    x = (x + state["generator.bn.bias"][:, None, None]).relu()
    return convolution("generator.conv_to_rgb", x)[:, :3].tanh()


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
