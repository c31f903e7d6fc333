"""A toy family for tests of weights: checkpoints are state dicts of one linear layer."""

from __future__ import annotations

import torch
from torch import Tensor

from fake_site import Site

DESCRIPTOR = """
from mlvgm.plugins.descriptors import Component, Weights

component = Component(
    summary="one linear layer", factory="{name}_parts:build", config="{name}_parts:Config",
    converter="{name}_parts:convert", weights={weights},
)
"""
PARTS = """
import json
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import nn

from mlvgm.latents import ImageSpec
from mlvgm.weights.container import Converted, tensors_of
from mlvgm.weights.file import fill
from mlvgm.weights.load import load_weights


class Config(BaseModel):
    weights: str = ""


class Generator(nn.Linear):
    latents, nuisances, sampling, image, device = (), (), None, ImageSpec(1, 1, 1), torch.device("cpu")
    with_sampling = draw_noise = to_latents = decode = generate = nn.Linear.forward  # nobody calls them


def convert(container):
    tensors = tensors_of(container.content, "{key}")
    if "{name}.weight" not in tensors:
        return None
    ours = {{"weight": tensors["{name}.weight"] * container.options.get("scale", 1), "bias": tensors["{name}.bias"]}}
    return Converted("mlvgm-{name}/1", json.dumps(list(ours["weight"].shape)), ours, "somebody/{name}")


def build(config):
    import {name}

    content = load_weights(
        config.weights, shipped={name}.component.weights, formats=("mlvgm-{name}/1",), convert=convert
    )
    height, width = json.loads(content.architecture)
    network = Generator(width, height)
    fill(network, content.tensors, Path(config.weights))
    return network
"""


def install(site: Site, name: str, *, key: str = "g_ema", weights: str = "()", parts: str = PARTS) -> None:
    site.install(
        f"mlvgm-{name}",
        entry_points={"mlvgm.generators": {name: f"{name}:component"}},
        modules={
            name: DESCRIPTOR.format(name=name, weights=weights),
            f"{name}_parts": parts.format(name=name, key=key),
        },
    )


def state(name: str = "linear", **changes: Tensor) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.arange(6.0).reshape(2, 3), f"{name}.bias": torch.ones(2), **changes}
