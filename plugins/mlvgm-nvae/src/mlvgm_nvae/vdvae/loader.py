"""Checkpoints of openai/vdvae: a bare state dict, and what its tensors do not tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.container import Container, Converted, tensors_of
from mlvgm_nvae.vdvae.architecture import VDVAEArchitecture, parse_decoder_blocks, parse_encoder_blocks

FORMAT = "mlvgm-vdvae/1"

# Shift and scale of pixels by data set, and the published block strings, which the tensors do not hold.
_SCALES = {
    "cifar10": (-120.63838, 1 / 64.16736),
    "imagenet32": (-116.2373, 1 / 69.37404),
    "imagenet64": (-115.92961967, 1 / 69.37404),
    "ffhq_256": (-112.8666757481, 1 / 69.84780273),
    "ffhq_1024": (-0.4387 * 255, 1 / (0.2743 * 255)),
}
_BLOCKS = {
    "cifar10": ("32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3", "1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21"),
    "imagenet32": ("32x15,32d2,16x9,16d2,8x8,8d2,4x6,4d4,1x6", "1x2,4m1,4x4,8m4,8x9,16m8,16x19,32m16,32x40"),
    "imagenet64": (
        "64x11,64d2,32x20,32d2,16x9,16d2,8x8,8d2,4x7,4d4,1x5",
        "1x2,4m1,4x3,8m4,8x7,16m8,16x15,32m16,32x31,64m32,64x12",
    ),
    "ffhq_256": (
        "256x3,256d2,128x8,128d2,64x12,64d2,32x17,32d2,16x7,16d2,8x5,8d2,4x5,4d4,1x4",
        "1x2,4m1,4x3,8m4,8x4,16m8,16x9,32m16,32x21,64m32,64x13,128m64,128x7,256m128",
    ),
    "ffhq_1024": (
        "1024x1,1024d2,512x3,512d2,256x5,256d2,128x7,128d2,64x10,64d2,32x14,32d2,16x7,16d2,8x5,8d2,4x5,4d4,1x4",
        "1x2,4m1,4x3,8m4,8x4,16m8,16x9,32m16,32x20,64m32,64x14,128m64,128x7,256m128,256x2,512m256,1024m512",
    ),
}
_FIVE_BITS = ("ffhq_256",)


def convert(container: Container) -> Converted | None:
    """Weights of this project from a checkpoint of openai/vdvae, None for other families.

    Shapes come from the tensors. Block strings and pixel scaling come from ``container.options`` (``hparams`` of the
    training: ``dataset``, ``enc_blocks``, ``dec_blocks``; ``input_shift``, ``input_scale``); without them the published
    models are recognised by their number of blocks.

    Raises:
        InputError: it is a VDVAE, but incomplete, or of unknown blocks.
    """
    state = tensors_of(container.content)
    if "encoder.in_conv.weight" not in state or "decoder.gain" not in state:
        return None
    try:
        architecture = _architecture(state, container.options)
        tensors = _rename(state, architecture)
    except (KeyError, ValueError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(
            f"{container.path}: incomplete or unsupported VDVAE checkpoint: {reason}",
            hint="give its hparams (dataset, enc_blocks, dec_blocks) with --config",
        ) from error
    return Converted(FORMAT, architecture.model_dump_json(), tensors, "openai/vdvae")


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    found = (re.match(rf"{re.escape(prefix)}\.(\d+)\.", name) for name in state)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _architecture(state: Mapping[str, Tensor], options: Mapping[str, Any]) -> VDVAEArchitecture:
    hparams: Mapping[str, Any] = options.get("hparams", options)
    sizes = (_count(state, "encoder.enc_blocks"), _count(state, "decoder.dec_blocks"))
    dataset = hparams.get("dataset") or _recognised(sizes)
    published = _BLOCKS.get(dataset, ("", ""))
    encoder = parse_encoder_blocks(hparams.get("enc_blocks") or published[0])
    decoder = parse_decoder_blocks(hparams.get("dec_blocks") or published[1])
    if sizes != (len(encoder), len(decoder)):
        raise ValueError(
            f"it has {sizes} encoder and decoder blocks, the block strings say {len(encoder), len(decoder)}"
        )
    widths, bottlenecks = {}, {}
    for number, block in enumerate(encoder):
        weight = state[f"encoder.enc_blocks.{number}.c1.weight"]
        bottlenecks[block.resolution], widths[block.resolution] = weight.shape[:2]
    for number, latent in enumerate(decoder):
        weight = state[f"decoder.dec_blocks.{number}.resnet.c1.weight"]
        bottlenecks[latent.resolution], widths[latent.resolution] = weight.shape[:2]
    biases = [state[f"decoder.bias_xs.{k}"].shape[2] for k in range(_count_biases(state))]
    image = decoder[-1].resolution
    shift, scale = _SCALES.get(dataset, (None, None))
    return VDVAEArchitecture.model_validate(
        {
            "image": (state["encoder.in_conv.weight"].shape[1], image, image),
            "encoder_blocks": encoder,
            "decoder_blocks": decoder,
            "widths": widths,
            "bottlenecks": bottlenecks,
            "latent_channels": state["decoder.dec_blocks.0.z_proj.weight"].shape[1],
            "biases": biases,
            "mixtures": state["decoder.out_net.out_conv.weight"].shape[0] // 10,
            "shift": options.get("input_shift", hparams.get("input_shift", shift)),
            "scale": options.get("input_scale", hparams.get("input_scale", scale)),
            "bits": 5 if dataset in _FIVE_BITS else 8,
        }
    )


def _recognised(sizes: tuple[int, int]) -> str:
    for dataset, (encoder, decoder) in _BLOCKS.items():
        if sizes == (len(parse_encoder_blocks(encoder)), len(parse_decoder_blocks(decoder))):
            return dataset
    raise ValueError(f"no published model has {sizes[0]} encoder and {sizes[1]} decoder blocks")


def _count_biases(state: Mapping[str, Tensor]) -> int:
    return sum(name.startswith("decoder.bias_xs.") for name in state)


def _rename(state: Mapping[str, Tensor], architecture: VDVAEArchitecture) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith("decoder.bias_xs."):
            resolution = architecture.biases[int(name.rsplit(".", 1)[1])]
            firsts = [i for i, block in enumerate(architecture.decoder_blocks) if block.resolution == resolution]
            if firsts:
                renamed[f"decoder.groups.{firsts[0]}.bias"] = tensor
            continue
        ours = name.replace("decoder.dec_blocks.", "decoder.groups.").replace(".prior.", ".prior_block.")
        renamed[ours.replace("decoder.out_net.out_conv", "decoder.out_conv")] = tensor.float()
    return renamed
