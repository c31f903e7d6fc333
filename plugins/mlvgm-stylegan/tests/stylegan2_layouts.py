"""Checkpoints of StyleGAN2 in the layouts of their code bases, and what they compute, by the definitions in the papers.

The reference is slow and in float64: filters are modulated for each sample, and upsampling inserts zeros, filters, and
then convolves.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu, pad

from pickled import EasyDict, Network, Persistent

State = dict[str, Tensor]


@dataclass(frozen=True)
class Options:
    """What distinguishes networks. ``channels`` are at 4×4, 8×8, …"""

    channels: tuple[int, ...] = (6, 5, 4)
    z_dim: int = 7
    w_dim: int = 6
    colours: int = 3
    layers: int = 3
    width: int | None = None
    classes: int = 0
    embedding: int | None = None
    architecture: str = "skip"
    taps: Any = (1, 3, 3, 1)
    noise: bool = True
    clamp: float | None = None
    lr_multiplier: float = 0.01

    @property
    def sides(self) -> list[int]:
        return [4 * 2**i for i in range(len(self.channels))]

    @property
    def num_ws(self) -> int:
        return 2 * len(self.channels)

    @property
    def kernel(self) -> Tensor:
        """The filter as it is stored: long ones on one axis."""
        taps = torch.tensor(self.taps, dtype=torch.float32)
        taps = taps / taps.sum()
        return torch.outer(taps, taps) if taps.ndim == 1 and len(taps) < 8 else taps


def ada_state(options: Options, *, seed: int = 0) -> State:
    """A random state dict of stylegan2-ada-pytorch in which every tensor matters."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    o, state = options, {"mapping.w_avg": draw(options.w_dim)}
    embedding = (o.embedding or o.w_dim) if o.classes else 0
    if o.classes:
        state |= {"mapping.embed.weight": draw(embedding, o.classes), "mapping.embed.bias": draw(embedding)}
    widths = [o.z_dim + embedding, *[o.width or o.w_dim] * (o.layers - 1), o.w_dim]
    for i in range(o.layers):
        state[f"mapping.fc{i}.weight"] = draw(widths[i + 1], widths[i]) / o.lr_multiplier
        state[f"mapping.fc{i}.bias"] = 0.3 * draw(widths[i + 1]) / o.lr_multiplier
    state["synthesis.b4.const"] = draw(o.channels[0], 4, 4)
    for i, side in enumerate(o.sides):
        outputs, block = o.channels[i], f"synthesis.b{side}"
        inputs = o.channels[max(i - 1, 0)]
        layers = {"conv1": (outputs, outputs, 3)}
        if i:
            layers["conv0"] = (outputs, inputs, 3)
        if side == o.sides[-1] or o.architecture == "skip":
            layers["torgb"] = (o.colours, outputs, 1)
        for name, (rows, columns, size) in layers.items():
            state |= {
                f"{block}.{name}.weight": draw(rows, columns, size, size),
                f"{block}.{name}.bias": 0.3 * draw(rows),
                f"{block}.{name}.affine.weight": draw(columns, o.w_dim),
                f"{block}.{name}.affine.bias": 1 + 0.3 * draw(columns),
            }
            if o.noise and name != "torgb":
                state[f"{block}.{name}.noise_const"] = draw(side, side)
                state[f"{block}.{name}.noise_strength"] = 0.5 * draw(1)[0]
            if name != "torgb":
                state[f"{block}.{name}.resample_filter"] = o.kernel
        if i and o.architecture == "resnet":
            state[f"{block}.skip.weight"] = draw(outputs, inputs, 1, 1)
            state[f"{block}.skip.resample_filter"] = o.kernel
        state[f"{block}.resample_filter"] = o.kernel
    return state


def arguments(options: Options) -> dict[str, Any]:
    """Constructor arguments as the code base nests them."""
    o = options
    return {
        "z_dim": o.z_dim,
        "c_dim": o.classes,
        "w_dim": o.w_dim,
        "img_resolution": o.sides[-1],
        "img_channels": o.colours,
        "mapping_kwargs": {"num_layers": o.layers, "lr_multiplier": o.lr_multiplier},
        "synthesis_kwargs": {"channel_base": 99, "conv_clamp": o.clamp, "architecture": o.architecture},
    }


def ada_pickle(options: Options, state: State, *, snapshot: bool = True) -> Any:
    """What the code base pickles: modules as calls of its own reconstruction function."""
    tree: dict[str, Any] = {}
    for name, tensor in state.items():
        node = tree
        *path, leaf = name.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = tensor

    def module(node: dict[str, Any], name: str) -> Persistent:
        buffers = ("w_avg", "noise_const", "resample_filter")
        tensors = {key: value for key, value in node.items() if isinstance(value, Tensor)}
        attributes: dict[str, Any] = {}
        if name in ("conv0", "conv1", "torgb"):
            attributes |= {"conv_clamp": options.clamp, "activation": "lrelu"}
        if name.startswith("fc"):
            attributes |= {"bias_gain": options.lr_multiplier, "activation": "lrelu"}
        if name == "":
            attributes["_init_kwargs"] = EasyDict({k: v for k, v in arguments(options).items() if "kwargs" not in k})
        return Persistent(
            "Generator" if name == "" else "Module",
            _parameters=OrderedDict((k, torch.nn.Parameter(v)) for k, v in tensors.items() if k not in buffers),
            _buffers=OrderedDict((k, v) for k, v in tensors.items() if k in buffers),
            _modules=OrderedDict((k, module(v, k)) for k, v in node.items() if isinstance(v, dict)),
            **attributes,
        )

    generator = module(tree, "")
    return {"G": None, "D": None, "G_ema": generator} if snapshot else generator


def tf_variables(state: State) -> State:
    """The variables of the TensorFlow code base for the same network."""
    names = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB"}
    parts = {"weight": "weight", "bias": "bias", "affine.weight": "mod_weight", "affine.bias": "mod_bias"}
    ours: State = {"dlatent_avg": state["mapping.w_avg"], "lod": torch.tensor(0.0)}
    for name, value in state.items():
        path = name.split(".")
        if path[0] == "mapping" and path[1] != "w_avg":
            layer = path[1].replace("fc", "Dense").replace("embed", "LabelEmbed")
            ours[f"mapping/{layer}/{path[2]}"] = value.T if path[2] == "weight" else value
        elif path[-1] == "const":
            ours["synthesis/4x4/Const/const"] = value[None]
        elif len(path) > 3 or path[-1] in ("weight", "bias"):
            side, layer, part = path[1][1:], path[2], ".".join(path[3:])
            if layer == "skip" and part == "weight":
                ours[f"synthesis/{side}x{side}/Skip/weight"] = value.flip((2, 3)).permute(2, 3, 1, 0)
            if layer not in names or part == "resample_filter":
                continue
            theirs = "Conv" if (side, layer) == ("4", "conv1") else names[layer]
            if part == "noise_const":
                number = 0 if side == "4" else 2 * (int(side).bit_length() - 1) - (5 if layer == "conv0" else 4)
                ours[f"synthesis/noise{number}"] = value[None, None]
                continue
            if part == "weight":
                value = (value.flip((2, 3)) if layer == "conv0" else value).permute(2, 3, 1, 0)
            elif part == "affine.weight":
                value = value.T
            elif part == "affine.bias":
                value = value - 1
            ours[f"synthesis/{side}x{side}/{theirs}/{parts.get(part, part)}"] = value
    return ours


def tf_pickle(variables: State, static: dict[str, Any]) -> tuple[Network, ...]:
    """The tuple (G, D, Gs); only Gs has these variables."""

    def network(values: State) -> Network:
        components = {
            part: Network(
                version=4,
                components={},
                variables=[(k.removeprefix(f"{part}/"), v.numpy()) for k, v in values.items() if k.startswith(part)],
            )
            for part in ("mapping", "synthesis")
        }
        rest = [(k, v.numpy()) for k, v in values.items() if not k.startswith(("mapping", "synthesis"))]
        return Network(version=4, static_kwargs=EasyDict(static), components=EasyDict(components), variables=rest)

    other = {name: torch.zeros_like(value) for name, value in variables.items()}
    return network(other), network({}), network(variables)


def rosinality_state(state: State, options: Options) -> State:
    """The rosinality layout of the same network: its filters are scaled when used, so the stored ones are larger."""
    ours: State = {"input.input": state["synthesis.b4.const"][None]}
    for i in range(options.layers):
        for part in ("weight", "bias"):
            ours[f"style.{i + 1}.{part}"] = state[f"mapping.fc{i}.{part}"]
    for i, side in enumerate(options.sides):
        names = {"conv0": f"convs.{2 * i - 2}", "conv1": f"convs.{2 * i - 1}" if i else "conv1"}
        names["torgb"] = f"to_rgbs.{i - 1}" if i else "to_rgb1"
        for layer, theirs in names.items():
            here = f"synthesis.b{side}.{layer}"
            if f"{here}.weight" not in state:
                continue
            weight = state[f"{here}.weight"]
            gain = 1.0 if layer == "torgb" else weight[0].numel() ** 0.5
            ours[f"{theirs}.conv.weight"] = (weight * gain)[None]
            ours[f"{theirs}.conv.modulation.weight"] = state[f"{here}.affine.weight"]
            ours[f"{theirs}.conv.modulation.bias"] = state[f"{here}.affine.bias"]
            if layer == "torgb":
                ours[f"{theirs}.bias"] = state[f"{here}.bias"][None, :, None, None]
                continue
            ours[f"{theirs}.activate.bias"] = state[f"{here}.bias"]
            ours[f"{theirs}.noise.weight"] = state[f"{here}.noise_strength"][None]
            ours[f"noises.noise_{max(2 * i - (layer == 'conv0'), 0)}"] = state[f"{here}.noise_const"][None, None]
            if layer == "conv0":
                ours[f"{theirs}.conv.blur.kernel"] = 4 * options.kernel
    return ours


def reference_styles(state: State, options: Options, z: Tensor, classes: Tensor | None = None) -> Tensor:
    """Styles (N, w_dim) in float64."""
    state = {name: value.double() for name, value in state.items()}

    def normalised(x: Tensor) -> Tensor:
        return x / (x**2).mean(1, keepdim=True).add(1e-8).sqrt()

    x = normalised(z.double())
    if classes is not None:
        embed = state["mapping.embed.weight"][:, classes].T / options.classes**0.5 + state["mapping.embed.bias"]
        x = torch.cat([x, normalised(embed)], 1)
    for i in range(options.layers):
        weight, bias = state[f"mapping.fc{i}.weight"], state[f"mapping.fc{i}.bias"]
        x = x @ weight.T * (options.lr_multiplier / weight.shape[1] ** 0.5) + options.lr_multiplier * bias
        x = leaky_relu(x, 0.2) * 2**0.5
    return x


def reference_image(
    state: State, options: Options, ws: Tensor, *, noise: str | list[Tensor] = "const", eps: float = 1e-8
) -> Tensor:
    """Images of ws (N, num_ws, w_dim) in float64."""
    rows = [_one_image(state, options, w, noise if isinstance(noise, str) else [n[i] for n in noise], eps)
            for i, w in enumerate(ws.double())]  # fmt: skip
    return torch.cat(rows)


def _one_image(state: State, o: Options, w: Tensor, noise: str | list[Tensor], eps: float) -> Tensor:
    state = {name: value.double() for name, value in state.items()}
    kernel = o.kernel.double()
    kernel = torch.outer(kernel, kernel) if kernel.ndim == 1 else kernel
    drawn = iter(noise if isinstance(noise, list) else [])

    def doubled(x: Tensor, extra: int) -> Tensor:
        rows, columns = kernel.shape
        zeros = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        zeros[:, :, ::2, ::2] = x
        left, top = (columns + 1) // 2 + extra, (rows + 1) // 2 + extra
        zeros = pad(zeros, (left, (columns - 2) // 2 + extra, top, (rows - 2) // 2 + extra))
        weight = 4 * kernel.flip((0, 1))[None, None].expand(x.shape[1], 1, -1, -1)
        return conv2d(zeros, weight, groups=x.shape[1])

    def style(name: str, number: int) -> Tensor:
        affine = state[f"{name}.affine.weight"]
        return affine @ w[number] / o.w_dim**0.5 + state[f"{name}.affine.bias"]

    def clamp(x: Tensor, gain: float) -> Tensor:
        return x if o.clamp is None else x.clamp(-o.clamp * gain, o.clamp * gain)

    def layer(x: Tensor, name: str, number: int, gain: float = 1.0) -> Tensor:
        weight = state[f"{name}.weight"] * style(name, number)[None, :, None, None]
        weight = weight / (weight**2).sum((1, 2, 3), keepdim=True).add(eps).sqrt()
        x = conv2d(doubled(x, 1), weight.flip((2, 3))) if name.endswith("conv0") else conv2d(x, weight, padding=1)
        if f"{name}.noise_const" in state and noise != "none":
            image = state[f"{name}.noise_const"] if noise == "const" else next(drawn).double()
            x = x + state[f"{name}.noise_strength"] * image
        x = leaky_relu(x + state[f"{name}.bias"][:, None, None], 0.2) * (2**0.5 * gain)
        return clamp(x, gain)

    x, image = state["synthesis.b4.const"][None], None
    for i, side in enumerate(o.sides):
        block, before, gain = f"synthesis.b{side}", x, 1.0
        if f"{block}.skip.weight" in state:
            gain = 0.5**0.5
        if i:
            x = layer(x, f"{block}.conv0", 2 * i - 1)
        x = layer(x, f"{block}.conv1", 2 * i, gain)
        if f"{block}.skip.weight" in state:
            skip = state[f"{block}.skip.weight"]
            x = x + clamp(conv2d(doubled(before, 0), skip / skip.shape[1] ** 0.5) * gain, gain)
        if image is not None:
            image = doubled(image, 0)
        if f"{block}.torgb.weight" in state:
            weight = state[f"{block}.torgb.weight"]
            weight = weight * style(f"{block}.torgb", 2 * i + 1)[None, :, None, None] / weight.shape[1] ** 0.5
            colours = clamp(conv2d(x, weight) + state[f"{block}.torgb.bias"][:, None, None], 1.0)
            image = colours if image is None else image + colours
    assert image is not None
    return image


def without_noise_images(state: State) -> State:
    """A rosinality state dict of old files."""
    return {name: value for name, value in state.items() if not name.startswith("noises.")}
