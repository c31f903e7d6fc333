"""BigGAN-deep checkpoints in the layout of huggingface/pytorch-pretrained-BigGAN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.arguments import check, number, option, require
from mlvgm.weights.container import Container, Converted, tensors_of
from mlvgm_biggan.deep.architecture import BigGANDeepArchitecture

FORMAT = "mlvgm-biggan-deep/1"

RGB = 3


def convert(container: Container) -> Converted | None:
    """The generator in a checkpoint (``pytorch_model.bin``), spectral norm folded; None if it is none.

    Sizes, attention and the number of statistics come from the tensors. Which blocks double the side and ``eps`` are
    not in them: they come from the options (``layers`` and ``eps`` of the official configuration).

    Raises:
        InputError: the options are missing, or those of another checkpoint.
    """
    tensors = tensors_of(container.content, "state_dict")
    if not {"embeddings.weight", "generator.conv_to_rgb.bias"} <= tensors.keys():
        return None
    path, reader = container.path, _Reader(tensors)
    published = "the config.json that was published with the weights has them"
    require(container.options, ("layers", "eps"), path=path, published=published)
    architecture = reader.architecture(
        _doubles(container.options, reader.layers(), path=path),
        eps=number(container.options, "eps", path=path) or 0,
    )
    arguments = {
        "output_dim": architecture.image[1],
        "z_dim": architecture.z,
        "num_classes": architecture.classes,
        "n_stats": architecture.statistics,
    }
    check(container.options, arguments, path=path)
    return Converted(
        FORMAT, architecture.model_dump_json(), reader.generator(), "huggingface/pytorch-pretrained-BigGAN"
    )


def _doubles(options: Mapping[str, Any], widths: list[tuple[int, int]], *, path: object) -> tuple[bool, ...]:
    """Which blocks double the side: from ``layers``, [doubles, channels in, channels out] for each block."""
    layers = option(options, "layers")
    width = option(options, "channel_width")
    try:
        given = [(int(before), int(after)) for _, before, after in layers]
        unit = widths[0][0] // given[0][0] if width is None else int(width)
        if [(unit * before, unit * after) for before, after in given] == widths:
            return tuple(bool(doubles) for doubles, _, _ in layers)
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        pass
    message = f"{path}: its blocks have channels {widths}, which the layers of the configuration do not"
    raise InputError(message, hint="give the configuration that belongs to this checkpoint")


@dataclass(frozen=True)
class _Reader:
    """The official tensors, read in this project's terms."""

    tensors: Mapping[str, Tensor]

    def places(self) -> tuple[list[int], list[int]]:
        """Positions of blocks and of attention in the official list of layers."""
        prefix = "generator.layers."
        numbers = sorted({int(name.split(".")[2]) for name in self.tensors if name.startswith(prefix)})
        attention = [i for i in numbers if f"{prefix}{i}.gamma" in self.tensors]
        return [i for i in numbers if i not in attention], attention

    def layers(self) -> list[tuple[int, int]]:
        """Channels before and after each block."""
        names = [f"generator.layers.{i}" for i in self.places()[0]]
        return [(self._stored(f"{name}.conv_0").shape[1], len(self._stored(f"{name}.conv_3"))) for name in names]

    def architecture(self, doubles: tuple[bool, ...], *, eps: float) -> BigGANDeepArchitecture:
        blocks, attention = self.places()
        widths = self.layers()
        embedding, classes = self.tensors["embeddings.weight"].shape
        seed = self._stored("generator.gen_z")
        return BigGANDeepArchitecture(
            z=seed.shape[1] - embedding,
            classes=classes,
            embedding=embedding,
            side=isqrt(len(seed) // widths[0][0]),
            widths=(widths[0][0], *(after for _, after in widths)),
            doubles=doubles,
            attention=tuple(sum(block < i for block in blocks) for i in attention),
            statistics=len(self.tensors["generator.bn.running_means"]),
            image_channels=min(RGB, len(self.tensors["generator.conv_to_rgb.bias"])),
            batch_norm_eps=eps,
        )

    def generator(self) -> dict[str, Tensor]:
        """All tensors of our network, spectral norm folded."""
        blocks, attention = self.places()
        made = {
            "embedding.weight": self.tensors["embeddings.weight"].T,
            **self._layer("generator.gen_z", "seed"),
            **self._statistics("generator.bn", "norm"),
            "gain": self.tensors["generator.bn.weight"],
            "bias": self.tensors["generator.bn.bias"],
            # The reference makes more channels than it uses.
            **{name: tensor[:RGB] for name, tensor in self._layer("generator.conv_to_rgb", "output").items()},
        }
        for block, place in enumerate(blocks):
            theirs, ours = f"generator.layers.{place}", f"blocks.{block}"
            for i in range(4):
                made |= self._layer(f"{theirs}.conv_{i}", f"{ours}.convolutions.{i}")
                made |= self._statistics(f"{theirs}.bn_{i}", f"{ours}.norms.{i}.norm")
                made |= self._layer(f"{theirs}.bn_{i}.scale", f"{ours}.norms.{i}.gain")
                made |= self._layer(f"{theirs}.bn_{i}.offset", f"{ours}.norms.{i}.bias")
        for place in attention:
            theirs, ours = f"generator.layers.{place}", f"attention.{sum(block < place for block in blocks)}"
            made[f"{ours}.gamma"] = self.tensors[f"{theirs}.gamma"].reshape(())
            for projection, name in (("theta", "query"), ("phi", "key"), ("g", "value"), ("o_conv", "output")):
                made |= self._layer(f"{theirs}.snconv1x1_{projection}", f"{ours}.{name}")
        return {name: tensor.float() for name, tensor in made.items()}

    def _layer(self, theirs: str, ours: str) -> dict[str, Tensor]:
        layer = {f"{ours}.weight": self._weight(theirs)}
        if f"{theirs}.bias" in self.tensors:
            layer[f"{ours}.bias"] = self.tensors[f"{theirs}.bias"]
        return layer

    def _stored(self, name: str) -> Tensor:
        original = f"{name}.weight_orig"
        return self.tensors[original if original in self.tensors else f"{name}.weight"]

    def _weight(self, name: str) -> Tensor:
        """A weight as the reference has it in evaluation: over σ = u · W v of the stored vectors, as they are."""
        if f"{name}.weight_u" not in self.tensors:
            return self._stored(name)
        # Double precision: the result does not depend on where the tensors lie in memory.
        weight, u, v = (self.tensors[f"{name}.weight_{part}"].double() for part in ("orig", "u", "v"))
        return weight / (u @ weight.flatten(1) @ v)

    def _statistics(self, theirs: str, ours: str) -> dict[str, Tensor]:
        return {
            f"{ours}.means": self.tensors[f"{theirs}.running_means"],
            f"{ours}.variances": self.tensors[f"{theirs}.running_vars"],
        }
