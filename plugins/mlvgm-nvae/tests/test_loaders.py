"""Checkpoints of the two public code bases, at other sizes than the reference data's, and broken ones."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nvae_layouts import filled, nvlabs, serez
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from mlvgm.errors import InputError
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.flows import causal_mask, raster_mask
from mlvgm_nvae.network import NVAE
from tolerance import close

SEREZ = {"groups": [2, 2], "cells": 2, "latent": 4, "initial": 4, "mixtures": 2, "blocks": 1, "block_cells": 2}
NVLABS = {
    "groups": [2, 2], "encoder_cells": 2, "decoder_cells": 2, "latent": 4, "encoder": 4, "decoder": 4,
    "head": 20, "colours": 3, "blocks": 1, "block_cells": 2,
}  # fmt: skip


def loaded(state: dict[str, Tensor], folder: Path) -> NVAE:
    save_file(state, folder / "state.safetensors")
    return load_weights(str(folder / "state.safetensors")).eval()


def works(model: NVAE) -> None:
    """Encodes, samples every latent, and gives finite pixel parameters of the image's size."""
    a = model.architecture
    images = torch.rand(2, *a.image)
    result = model(images, [torch.randn(2, *shape) for shape in a.latent_shapes])
    assert result.parameters.shape[2:] == images.shape[2:]
    assert result.parameters.isfinite().all() and result.kl.shape == (2, len(a.latent_shapes))


def test_the_described_layouts_are_those_of_the_reference_data(golden: Callable[[str], Path]) -> None:
    for name, described in (
        ("serez", serez(**SEREZ, side=8, gate=True)),  # type: ignore[arg-type]
        ("nvlabs", nvlabs(**NVLABS, side=6, gate=True)),  # type: ignore[arg-type]
    ):
        stored = load_file(golden(f"nvae_{name}") / "weights.safetensors")
        assert {key: tuple(tensor.shape) for key, tensor in stored.items()} == described


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": [1, 2, 4], "side": 2},
        {"groups": [1], "side": 4},
        {"groups": [3, 1], "cells": 1, "side": 4},
        {"cells": 3, "block_cells": 1, "gate": False, "side": 4},
        {"blocks": 2, "block_cells": 3, "mixtures": 5, "side": 4},
        {"mixtures": 1, "latent": 3, "side": 4},
        {"flows": 2, "side": 4},
    ],
)
def test_serez_at_any_size(changes: dict[str, object], tmp_path: Path) -> None:
    options = {**SEREZ, "gate": True, **changes}
    a = (model := loaded(filled(serez(**options)), tmp_path)).architecture  # type: ignore[arg-type]
    works(model)
    groups: list[int] = options["groups"]  # type: ignore[assignment]
    side = int(options["side"]) * 2 ** (len(groups) - 1 + int(options["blocks"]))  # type: ignore[call-overload]
    assert a.image == (3, side, side) and list(a.groups) == groups
    assert a.mixtures == options["mixtures"] and a.flows == options.get("flows", 0)
    assert a.encoder_cell.squeeze_excitation == options["gate"]
    assert (a.encoder_cells, a.preprocess_cells) == (options["cells"], options["block_cells"])


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": [1, 2, 4], "side": 2},
        {"groups": [1], "side": 4},
        {"groups": [1, 1], "encoder_cells": 1, "decoder_cells": 3, "gate": False, "side": 4},
        {"encoder": 8, "decoder": 4, "side": 4},
        {"blocks": 2, "block_cells": 3, "head": 100, "side": 4},
        {"head": 10, "latent": 3, "side": 4},
        {"head": 1, "colours": 1, "side": 4},
        {"flows": 2, "side": 4},
    ],
)
def test_nvlabs_at_any_size(changes: dict[str, object], tmp_path: Path) -> None:
    options = {**NVLABS, "gate": True, **changes}
    a = (model := loaded(filled(nvlabs(**options)), tmp_path)).architecture  # type: ignore[arg-type]
    works(model)
    groups: list[int] = options["groups"]  # type: ignore[assignment]
    side = int(options["side"]) * 2 ** (len(groups) - 1 + int(options["blocks"]))  # type: ignore[call-overload]
    assert a.image == (options["colours"], side, side) and list(a.groups) == groups
    assert a.likelihood == ("bernoulli" if options["head"] == 1 else "logistic")
    assert (a.encoder_cells, a.flows) == (options["encoder_cells"], options.get("flows", 0))
    assert a.decoder_cells == (options["decoder_cells"] if sum(groups) > 1 else 1)


def test_nvlabs_flows_compute_what_is_published(tmp_path: Path) -> None:
    state = filled(nvlabs(**NVLABS, side=4, gate=False, flows=1))  # type: ignore[arg-type]
    model = loaded(state, tmp_path)
    z = torch.randn(2, 4, 4, 4)
    expected = z
    for number, cell in enumerate(("cell1", "cell2")):
        hidden = expected
        for layer, strict, groups in (("conv.convz.0", True, 1), ("conv.convz.2", False, 24), ("mu.conv_0", False, 1)):
            weight, gain = (state[f"nf_cells.2.{cell}.{layer}.{part}"] for part in ("weight", "log_weight_norm"))
            mask = causal_mask(hidden.shape[1], len(weight), weight.shape[-1], groups=groups, strict=strict)
            weight = weight * (mask.flip(2, 3) if number else mask)
            weight = gain.exp() * weight / (weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1) + 1e-5)
            bias = state[f"nf_cells.2.{cell}.{layer}.bias"]
            if layer == "mu.conv_0":
                hidden = functional.elu(hidden)
            hidden = functional.conv2d(hidden, weight, bias, padding=weight.shape[-1] // 2, groups=groups)
            if layer != "mu.conv_0":
                hidden = functional.elu(hidden)
        expected = expected - hidden
    close(model.decoder.groups[2].flow(z), expected)


def test_serez_flows_with_the_published_masks_shift_by_their_last_bias(tmp_path: Path) -> None:
    state = filled(serez(**SEREZ, side=4, gate=False, flows=1))  # type: ignore[arg-type]
    for name in state:
        if name.endswith(".mask"):
            number = int(name.split(".")[-2])
            mask = raster_mask(state[name].shape[-1], keep_centre=number == 0)
            state[name] = (mask.flip(2, 3) if "cell2" in name else mask).expand_as(state[name]).contiguous()
    model = loaded(state, tmp_path)
    z = torch.randn(2, 4, 8, 8)
    shift = sum(state[f"nf_cells.nf_1:0.0.{cell}.layers.4.bias"] for cell in ("cell1", "cell2"))
    assert isinstance(shift, Tensor)
    close(model.decoder.groups[2].flow(z), z - shift[:, None, None])


def test_the_temperature_chooses_the_statistics(golden: Callable[[str], Path], tmp_path: Path) -> None:
    warm = load_file(golden("nvae_serez") / "weights.safetensors")
    cold = {name: tensor + 1 if name.endswith("running_mean") else tensor for name, tensor in warm.items()}
    path = tmp_path / "two.pt"
    torch.save({"configuration": {}, "state_dict_temp=0.6": cold, "state_dict_temp=0.8": warm}, path)
    means = [
        load_weights(str(path), temperature=temperature).decoder.postprocess[1].branch[0].running_mean
        for temperature in (0.6, 0.8)
    ]
    close(means[0], means[1] + 1)
    with pytest.raises(InputError, match=r"no batch-norm statistics for temperature 0\.7 \(it has them for 0\.6, 0\.8"):
        load_weights(str(path), temperature=0.7)


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'executed'}",)

    path = tmp_path / "trap.pt"
    torch.save({"state_dict": {}, "args": argparse.Namespace(a=1), "trap": Trap()}, path)
    with pytest.raises(InputError, match=r"trap\.pt: refused, it calls \w+\.system"):
        load_weights(str(path))
    assert not (tmp_path / "executed").exists()


def test_one_message_for_each_kind_of_broken_file(golden: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "noise.pt").write_bytes(b"not a checkpoint")
    (tmp_path / "cut.safetensors").write_bytes((golden("nvae_serez") / "weights.safetensors").read_bytes()[:5000])
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    stored = load_file(golden("nvae_serez") / "weights.safetensors")
    stored.pop("encoder_0.1.bias")
    save_file(stored, tmp_path / "missing.safetensors")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"model": {"weight": torch.zeros(1)}}, tmp_path / "foreign.pt")
    for name, complaint in {
        "noise.pt": "damaged, or no pickle or PyTorch file",
        "cut.safetensors": "expected a readable safetensors file",
        "other.safetensors": "not a checkpoint of this family",
        "missing.safetensors": "1 tensors do not fit its architecture: missing decoder.groups.0",
        "list.pt": "not a checkpoint of this family",
        "foreign.pt": "not a checkpoint of this family",
    }.items():
        with pytest.raises(InputError) as caught:
            load_weights(str(tmp_path / name))
        assert name in str(caught.value) and complaint in str(caught.value)
    with pytest.raises(InputError, match=r"neither shipped \(clean, denoising\) nor an existing file"):
        load_weights("denosing")
