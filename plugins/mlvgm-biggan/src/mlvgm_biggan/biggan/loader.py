"""BigGAN and BigBiGAN checkpoints in the layout of ajbrock/BigGAN-PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.arguments import check, number, option, require
from mlvgm.weights.container import Container, Converted, tensors_of
from mlvgm_biggan.biggan.architecture import BigGANArchitecture
from mlvgm_biggan.biggan.spectral_norm import power_step
from mlvgm_biggan.biggan.weights import FORMAT

# The wrapper of lukemelas/pytorch-pretrained-gans puts this before every name.
PREFIX = "big_gan."


def convert(container: Container) -> Converted | None:
    """The generator in a checkpoint (``G_ema.pth``, ``BigBiGAN_x1.pth``), spectral norm folded; None if it is none.

    Sizes, attention, hierarchical z, the flavour of batch norm and whether the class embedding is shared come from the
    tensors. ``BN_eps`` and ``SN_eps`` are not in them: they come from the options, in the names of the official
    constructor.

    BigBiGAN was trained without classes, and its images are all of class 0. Its tensors are those of a BigGAN. The one
    published file is known by its name, which begins with ``bigbigan``, or by tensors whose names begin with
    ``big_gan.``; its class is then 0, and both eps are 1e-4 if nothing else is given. For any other file the option
    ``label`` says of which class all images are; null is any.

    Raises:
        InputError: the checkpoint is of a variant that is not supported, or the options are those of another one.
    """
    tensors = tensors_of(container.content, "G_ema", "state_dict", "G")
    prefixed = bool(tensors) and all(name.startswith(PREFIX) for name in tensors)
    if prefixed:
        tensors = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    if not {"linear.weight", "blocks.0.0.conv1.weight", "output_layer.2.weight"} <= tensors.keys():
        return None
    path, options = container.path, container.options
    if "blocks.0.0.conv3.weight" in tensors:
        message = f"{path}: BigGAN-deep in the layout of ajbrock/BigGAN-PyTorch is not supported"
        raise InputError(message, hint="use a checkpoint of huggingface/pytorch-pretrained-BigGAN")
    if option(options, "norm_style") not in (None, "bn"):
        raise InputError(f"{path}: norm_style must be 'bn', got {option(options, 'norm_style')!r}")
    bidirectional = prefixed or path.name.lower().startswith("bigbigan")
    known = {"BN_eps": 1e-4, "SN_eps": 1e-4, "label": 0} if bidirectional else {}
    if not any(name.endswith(".u0") for name in tensors):
        known["SN_eps"] = 1e-6  # nothing to normalise
    options = {**known, **options}
    require(options, ("BN_eps", "SN_eps"), path=path, published="ImageNet models have BN_eps 1e-5 and SN_eps 1e-6")
    batch_norm_eps, spectral_norm_eps = (number(options, name, path=path) or 0 for name in ("BN_eps", "SN_eps"))
    reader = _Reader(tensors, spectral_norm_eps)
    architecture = reader.architecture(batch_norm_eps=batch_norm_eps, label=_label(options, path=path))
    check(options, _arguments(architecture, shared=reader.shared), path=path)
    return Converted(
        FORMAT,
        json.dumps({"generator": architecture.model_dump(mode="json"), "encoder": None}),
        {f"generator.{name}": tensor for name, tensor in reader.generator(architecture).items()},
        "BigBiGAN (lukemelas/pytorch-pretrained-gans)" if bidirectional else "ajbrock/BigGAN-PyTorch",
    )


def _label(options: Mapping[str, Any], *, path: Path) -> int | None:
    label = option(options, "label")
    if label is not None and (isinstance(label, bool) or not isinstance(label, int) or label < 0):
        raise InputError(f"{path}: expected a class number or null for label, got {label!r}")
    return label


def _arguments(architecture: BigGANArchitecture, *, shared: bool) -> Mapping[str, object]:
    """Arguments of the official constructor that made ``architecture``."""
    return {
        "resolution": architecture.image[1],
        "bottom_width": architecture.side,
        "n_classes": architecture.classes,
        "hier": architecture.hierarchical,
        "G_shared": shared,
    }


@dataclass(frozen=True)
class _Reader:
    """The official tensors, read in this project's terms.

    Args:
        tensors: by official name.
        spectral_norm_eps: lower bound of norms in the power step.
    """

    tensors: Mapping[str, Tensor]
    spectral_norm_eps: float

    @property
    def shared(self) -> bool:
        """Whether all norms read one class embedding; else each has a table of its own."""
        return "shared.weight" in self.tensors

    def architecture(self, *, batch_norm_eps: float, label: int | None) -> BigGANArchitecture:
        numbers = range(self._count())
        seed, gains = self.tensors["linear.weight"], [f"blocks.{i}.0.bn1.gain.weight" for i in numbers]
        widths = [self.tensors["blocks.0.0.conv1.weight"].shape[1]]
        widths += [len(self.tensors[f"blocks.{i}.0.conv1.weight"]) for i in numbers]
        classes, embedding = self._embedding().shape
        # Without a shared embedding there is no condition but the class.
        chunks = [self.tensors[gain].shape[1] - embedding for gain in gains] if self.shared else [0]
        return BigGANArchitecture(
            chunks=(seed.shape[1], *(chunks if any(chunks) else ())),
            classes=classes,
            embedding=embedding,
            side=isqrt(len(seed) // widths[0]),
            widths=tuple(widths),
            attention=tuple(i for i in numbers if f"blocks.{i}.1.gamma" in self.tensors),
            image_channels=len(self.tensors["output_layer.2.weight"]),
            batch_norm_eps=batch_norm_eps,
            label=label,
        )

    def generator(self, architecture: BigGANArchitecture) -> dict[str, Tensor]:
        """All tensors of our network, spectral norm folded."""
        made = {
            "embedding.weight": self._embedding(),
            **self._layer("linear", "seed"),
            **self._statistics("output_layer.0", "norm"),
            "norm.weight": self.tensors["output_layer.0.gain"],
            "norm.bias": self.tensors["output_layer.0.bias"],
            **self._layer("output_layer.2", "output"),
        }
        for i in range(architecture.blocks):
            theirs, ours = f"blocks.{i}.0", f"blocks.{i}"
            for conv, convolution in (("conv1", "convolution1"), ("conv2", "convolution2"), ("conv_sc", "shortcut")):
                made |= self._layer(f"{theirs}.{conv}", f"{ours}.{convolution}")
            for bn, norm in (("bn1", "norm1"), ("bn2", "norm2")):
                made |= self._statistics(f"{theirs}.{bn}", f"{ours}.{norm}.norm")
                for part in ("gain", "bias"):
                    made[f"{ours}.{norm}.{part}.weight"] = self._conditional(f"{theirs}.{bn}.{part}")
        for i in architecture.attention:
            theirs, ours = f"blocks.{i}.1", f"attention.{i}"
            made[f"{ours}.gamma"] = self.tensors[f"{theirs}.gamma"].reshape(())
            for projection, name in (("theta", "query"), ("phi", "key"), ("g", "value"), ("o", "output")):
                made |= self._layer(f"{theirs}.{projection}", f"{ours}.{name}")
        return {name: tensor if tensor.dtype == torch.long else tensor.float() for name, tensor in made.items()}

    def _count(self) -> int:
        return len({name.split(".")[1] for name in self.tensors if name.startswith("blocks.")})

    def _embedding(self) -> Tensor:
        """Class embeddings; one-hot vectors where each norm looks up its own."""
        if self.shared:
            return self.tensors["shared.weight"]
        return torch.eye(len(self.tensors["blocks.0.0.bn1.gain.weight"]))

    def _conditional(self, name: str) -> Tensor:
        """Gain or bias of a conditional norm, as a matrix on the condition."""
        return self._weight(name) if self.shared else self.tensors[f"{name}.weight"].T

    def _layer(self, theirs: str, ours: str) -> dict[str, Tensor]:
        layer = {f"{ours}.weight": self._weight(theirs)}
        if f"{theirs}.bias" in self.tensors:
            layer[f"{ours}.bias"] = self.tensors[f"{theirs}.bias"]
        return layer

    def _weight(self, name: str) -> Tensor:
        """A weight as the reference has it in evaluation: one power step from the stored vector, which stays."""
        weight = self.tensors[f"{name}.weight"]
        if f"{name}.u0" not in self.tensors:
            return weight
        # Double precision: the result does not depend on where the tensors lie in memory.
        u, weight = self.tensors[f"{name}.u0"].double(), weight.double()
        return weight / power_step(weight.flatten(1), u, eps=self.spectral_norm_eps)[0]

    def _statistics(self, theirs: str, ours: str) -> dict[str, Tensor]:
        """Mean and variance: in the layer, in its own batch norm (``mybn``), or in a synchronised one."""
        homes = ("stored", "bn.stored", "bn.running")
        home = next((home for home in homes if f"{theirs}.{home}_mean" in self.tensors), homes[0])
        return {
            f"{ours}.running_mean": self.tensors[f"{theirs}.{home}_mean"],
            f"{ours}.running_var": self.tensors[f"{theirs}.{home}_var"],
            f"{ours}.num_batches_tracked": torch.tensor(0),
        }
