"""State dicts of e4e and Style-Transformer, and what they compute: written down from their public description."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Shapes = dict[str, tuple[int, ...]]
State = dict[str, Tensor]


def filled(shapes: Shapes, *, seed: int = 0) -> State:
    """Random tensors of ``shapes`` that keep activations of order one; variances are positive."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        tensor = torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            tensor = 0.5 + tensor.abs()
        elif len(shape) > 1 and not name.endswith((".z", ".linear.weight")):
            tensor = tensor / tensor[0].numel() ** 0.5
        elif len(shape) == 1:
            tensor = 1 + 0.3 * tensor if name.endswith("weight") else 0.3 * tensor
        state[name] = torch.tensor(1) if name.endswith("num_batches_tracked") else tensor
    return state


def pyramid(*, stem: int, widths: Sequence[int], units: Sequence[int], squeezed: int, colours: int = 3) -> Shapes:
    """IR-SE with its lateral convolutions."""
    shapes: Shapes = {"input_layer.0.weight": (stem, colours, 3, 3), "input_layer.2.weight": (stem,)}
    shapes |= _norm("input_layer.1", stem)
    inputs, block = stem, 0
    for outputs, count in zip(widths, units, strict=True):
        for _ in range(count):
            name = f"body.{block}"
            shapes |= _norm(f"{name}.res_layer.0", inputs) | _norm(f"{name}.res_layer.4", outputs)
            shapes |= {
                f"{name}.res_layer.1.weight": (outputs, inputs, 3, 3),
                f"{name}.res_layer.2.weight": (outputs,),
                f"{name}.res_layer.3.weight": (outputs, outputs, 3, 3),
                f"{name}.res_layer.5.fc1.weight": (squeezed, outputs, 1, 1),
                f"{name}.res_layer.5.fc2.weight": (outputs, squeezed, 1, 1),
            }
            if inputs != outputs:
                shapes |= {f"{name}.shortcut_layer.0.weight": (outputs, inputs, 1, 1)}
                shapes |= _norm(f"{name}.shortcut_layer.1", outputs)
            inputs, block = outputs, block + 1
    for name, width in (("latlayer1", widths[2]), ("latlayer2", widths[1])):
        shapes |= {f"{name}.weight": (widths[3], width, 1, 1), f"{name}.bias": (widths[3],)}
    return shapes


def _norm(name: str, channels: int) -> Shapes:
    vectors = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.num_batches_tracked": ()}


def style_blocks(*, inputs: int, w_dim: int, depths: Sequence[int]) -> Shapes:
    """The style blocks of e4e; ``depths`` are their numbers of convolutions."""
    shapes: Shapes = {}
    for style, depth in enumerate(depths):
        for layer in range(depth):
            name = f"styles.{style}.convs.{2 * layer}"
            shapes |= {f"{name}.weight": (w_dim, w_dim if layer else inputs, 3, 3), f"{name}.bias": (w_dim,)}
        shapes |= {f"styles.{style}.linear.weight": (w_dim, w_dim), f"styles.{style}.linear.bias": (w_dim,)}
    return shapes


def transformer_layers(*, w_dim: int, feed_forward: int, queries: int) -> Shapes:
    """Queries and the three decoder layers of Style-Transformer."""
    shapes: Shapes = {"z": (1, queries, w_dim)}
    for layer in ("coarse", "medium", "fine"):
        name = f"transformerlayer_{layer}"
        for part in ("self_attn", "multihead_attn"):
            shapes |= {
                f"{name}.{part}.in_proj_weight": (3 * w_dim, w_dim),
                f"{name}.{part}.in_proj_bias": (3 * w_dim,),
                f"{name}.{part}.out_proj.weight": (w_dim, w_dim),
                f"{name}.{part}.out_proj.bias": (w_dim,),
            }
        shapes |= {f"{name}.linear1.weight": (feed_forward, w_dim), f"{name}.linear1.bias": (feed_forward,)}
        shapes |= {f"{name}.linear2.weight": (w_dim, feed_forward), f"{name}.linear2.bias": (w_dim,)}
        for norm in (1, 2, 3):
            shapes |= {f"{name}.norm{norm}.weight": (w_dim,), f"{name}.norm{norm}.bias": (w_dim,)}
    return shapes


def prefixed(prefix: str, shapes: Shapes) -> Shapes:
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}


# --- what they compute, in double precision and without folding ------------------------------------------------------


def features(state: State, images: Tensor, units: Sequence[int]) -> list[Tensor]:
    """Coarse, middle and fine features of ``images`` in [-1, 1]."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, weight, bias)

    x = F.conv2d(images, state["input_layer.0.weight"], padding=1)
    x = F.prelu(norm(x, "input_layer.1"), state["input_layer.2.weight"])
    taps, block = [], 0
    for count in units:
        for unit in range(count):
            name, stride = f"body.{block}", 1 if unit else 2
            shortcut = F.max_pool2d(x, 1, stride)
            if f"{name}.shortcut_layer.0.weight" in state:
                shortcut = F.conv2d(x, state[f"{name}.shortcut_layer.0.weight"], stride=stride)
                shortcut = norm(shortcut, f"{name}.shortcut_layer.1")
            y = F.conv2d(norm(x, f"{name}.res_layer.0"), state[f"{name}.res_layer.1.weight"], padding=1)
            y = F.prelu(y, state[f"{name}.res_layer.2.weight"])
            y = F.conv2d(y, state[f"{name}.res_layer.3.weight"], stride=stride, padding=1)
            y = norm(y, f"{name}.res_layer.4")
            gate = F.conv2d(F.adaptive_avg_pool2d(y, 1), state[f"{name}.res_layer.5.fc1.weight"]).relu()
            gate = F.conv2d(gate, state[f"{name}.res_layer.5.fc2.weight"]).sigmoid()
            x, block = y * gate + shortcut, block + 1
        taps.append(x)
    _, c1, c2, c3 = taps
    p2 = _enlarged(c3, c2) + F.conv2d(c2, state["latlayer1.weight"], state["latlayer1.bias"])
    return [c3, p2, _enlarged(p2, c1) + F.conv2d(c1, state["latlayer2.weight"], state["latlayer2.bias"])]


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)


def e4e_offsets(state: State, pyramid: Sequence[Tensor], *, coarse: int, middle: int) -> Tensor:
    """Style 0, and offsets from it for the others, which read coarse, middle and fine features in turn."""
    values: list[Tensor] = []
    while f"styles.{(style := len(values))}.linear.weight" in state:
        x = pyramid[(style >= coarse) + (style >= middle)]
        layer = 0
        while f"styles.{style}.convs.{layer}.weight" in state:
            weight, bias = (state[f"styles.{style}.convs.{layer}.{part}"] for part in ("weight", "bias"))
            x, layer = F.leaky_relu(F.conv2d(x, weight, bias, stride=2, padding=1), 0.01), layer + 2
        weight = state[f"styles.{style}.linear.weight"]
        values.append(F.linear(x[:, :, 0, 0], weight / weight.shape[1] ** 0.5, state[f"styles.{style}.linear.bias"]))
    return torch.stack([values[0], *(values[0] + offset for offset in values[1:])], 1)


def transformed(state: State, queries: Tensor, pyramid: Sequence[Tensor], *, heads: int) -> Tensor:
    """Queries (n, w_dim) after three post-norm decoder layers, which read coarse, middle and fine features in turn."""
    x = queries.expand(len(pyramid[0]), -1, -1)
    for layer, memory in zip(("coarse", "medium", "fine"), pyramid, strict=True):
        below = {k.removeprefix(f"transformerlayer_{layer}."): v for k, v in state.items() if layer in k}

        def norm(x: Tensor, number: int, own: State = below) -> Tensor:
            return F.layer_norm(x, x.shape[-1:], own[f"norm{number}.weight"], own[f"norm{number}.bias"])

        x = norm(x + _attention(below, "self_attn", x, x, heads), 1)
        x = norm(x + _attention(below, "multihead_attn", x, memory.flatten(2).transpose(1, 2), heads), 2)
        hidden = F.linear(x, below["linear1.weight"], below["linear1.bias"]).relu()
        x = norm(x + F.linear(hidden, below["linear2.weight"], below["linear2.bias"]), 3)
    return x


def _attention(state: State, name: str, queries: Tensor, memory: Tensor, heads: int) -> Tensor:
    weights, biases = state[f"{name}.in_proj_weight"].chunk(3), state[f"{name}.in_proj_bias"].chunk(3)
    q, k, v = (
        F.linear(x, weight, bias).unflatten(2, (heads, -1)).transpose(1, 2)
        for x, weight, bias in zip((queries, memory, memory), weights, biases, strict=True)
    )
    weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
    joined = (weights @ v).transpose(1, 2).flatten(2)
    return F.linear(joined, state[f"{name}.out_proj.weight"], state[f"{name}.out_proj.bias"])
