"""Every public layout: where its reference data are, and what makes the published file of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"


@dataclass(frozen=True)
class Layout:
    """A checkpoint and the generator it is of.

    Args:
        generator: component.
        source: where its file is, or makes it in a folder.
        options: file of constructor arguments.
        encodes: an encoder comes with it.
    """

    generator: str
    source: Callable[[Path], Path]
    options: str | None = None
    encodes: bool = False


def stored(name: str) -> Callable[[Path], Path]:
    return lambda folder: GOLDEN / name


def merged(name: str) -> Callable[[Path], Path]:
    """The one file in which encoder and decoder are published."""

    def make(folder: Path) -> Path:
        golden = GOLDEN / name
        state = load_file(golden / "weights_encoder.safetensors") | load_file(golden / "weights_decoder.safetensors")
        io, config = load_file(golden / "io.safetensors"), json.loads((golden / "config.json").read_text())
        content: dict[str, Any] = {"state_dict": state, "opts": config["opts"]}
        if "latent_avg" in io:
            content["latent_avg"] = io["latent_avg"]
        torch.save(content, folder / "published.pt")
        return folder / "published.pt"

    return make


LAYOUTS = {
    "StyleGAN2-ADA pickle": Layout("stylegan2", stored("stylegan2_ada/network_snapshot.pkl")),
    "StyleGAN2-ADA state dict": Layout("stylegan2", stored("stylegan2_ada/weights.safetensors")),
    "StyleGAN2 TensorFlow variables": Layout(
        "stylegan2", stored("stylegan2_ada/tf_variables.safetensors"), "stylegan2_ada/tf_static_kwargs.json"
    ),
    "rosinality": Layout("stylegan2", stored("stylegan2_rosinality/checkpoint.pt")),
    "e4e": Layout("stylegan2", merged("e4e"), "e4e/config.json", encodes=True),
    "Style-Transformer": Layout(
        "stylegan2", merged("style_transformer"), "style_transformer/config.json", encodes=True
    ),
    "StyleGAN3": Layout("stylegan3", stored("stylegan3/weights.safetensors"), "stylegan3/config.json"),
    "BigGAN": Layout("biggan", stored("biggan/weights.safetensors"), "biggan/config.json"),
    "BigBiGAN": Layout("biggan", stored("bigbigan/weights.safetensors"), "bigbigan/config.json"),
    "BigGAN-deep": Layout("biggan-deep", stored("biggan_deep_hf/weights.safetensors"), "biggan_deep_hf/config.json"),
    "NVAE, SerezD": Layout("nvae", stored("nvae_serez/checkpoint.pt"), encodes=True),
    "NVAE, NVlabs": Layout("nvae", stored("nvae_nvlabs/checkpoint.pt"), encodes=True),
    "NVAE, NVlabs, flows": Layout(
        "nvae", stored("nvae_nvlabs_flows/weights.safetensors"), "nvae_nvlabs_flows/config.json", encodes=True
    ),
    "VDVAE": Layout("vdvae", stored("vdvae/weights.safetensors"), "vdvae/config.json", encodes=True),
}
