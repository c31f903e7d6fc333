"""Checkpoints of the two public code bases, at other sizes than the reference data's, and broken ones."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import nvae_layouts as layouts
import pytest
import torch
from nvae_layouts import Change, State
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.plugins.load import build
from mlvgm.weights.convert import convert as to_file
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.convolutions import effective_weight
from mlvgm_nvae.fold import fold
from mlvgm_nvae.network import NVAE
from tolerance import GRADIENT, close


def loaded(state: State, folder: Path) -> NVAE:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "state.safetensors")
    return load_weights(str(folder / "state.safetensors")).eval()


def works(model: NVAE) -> None:
    """Encodes, samples every latent, and gives finite pixel parameters of the image's size."""
    a = model.architecture
    images = torch.rand(2, *a.image)
    result = model(images, [torch.randn(2, *shape) for shape in a.latent_shapes])
    assert result.parameters.shape[2:] == images.shape[2:]
    assert result.parameters.isfinite().all() and result.kl.shape == (2, len(a.latent_shapes))


NVLABS: dict[str, tuple[str, Change, dict[str, object]]] = {
    "encoder cells": ("nvae_nvlabs", lambda s: layouts.with_cells(s, "enc_tower"), {"encoder_cells": 4}),
    "decoder cells": ("nvae_nvlabs", lambda s: layouts.with_cells(s, "dec_tower"), {"decoder_cells": 4}),
    "cells before and after": (
        "nvae_nvlabs",
        lambda s: layouts.with_cells(s, "pre_process", "post_process"),
        {"preprocess_cells": 3, "postprocess_cells": 3},
    ),
    "one more latent": ("nvae_nvlabs", layouts.with_latent, {"groups": (2, 3)}),
    "flows, encoder cells": ("nvae_nvlabs_flows", lambda s: layouts.with_cells(s, "enc_tower"), {"encoder_cells": 2}),
    "flows, decoder cells": ("nvae_nvlabs_flows", lambda s: layouts.with_cells(s, "dec_tower"), {"decoder_cells": 2}),
    "flows, one more latent": ("nvae_nvlabs_flows", layouts.with_latent, {"groups": (1, 2, 5), "flows": 1}),
    "two pairs of flows": ("nvae_nvlabs_flows", layouts.with_flows, {"flows": 2}),
    "two pairs of flows, one more latent": (
        "nvae_nvlabs_flows",
        lambda s: layouts.with_flows(layouts.with_latent(s)),
        {"groups": (1, 2, 5), "flows": 2},
    ),
}


@pytest.mark.parametrize(("source", "change", "expected"), NVLABS.values(), ids=NVLABS.keys())
def test_nvlabs_at_other_sizes(
    source: str, change: Change, expected: dict[str, object], golden: Callable[[str], Path], tmp_path: Path
) -> None:
    state, io = (load_file(golden(source) / f"{name}.safetensors") for name in ("weights", "io"))
    model = loaded(change(state), tmp_path)
    a = model.architecture
    assert {name: getattr(a, name) for name in expected} == expected
    count = io["smp_kl_all"].shape[1]
    noise = [io[f"smp_eps_{j}"] for j in range(count)]
    noise += [torch.zeros(2, *shape) for shape in a.latent_shapes[count:]]
    result = model(io["x"], noise)
    close(result.parameters, io["smp_logits"])
    close(result.kl[:, :count], io["smp_kl_all"], depth=GRADIENT)


@pytest.mark.parametrize(
    ("source", "change", "expected"),
    [
        ("nvae_nvlabs_flows", layouts.without_flows, {"flows": 0}),
        ("nvae_nvlabs_flows", layouts.grey, {"likelihood": "bernoulli", "image": (1, 16, 16)}),
        ("nvae_nvlabs", layouts.grey, {"likelihood": "bernoulli", "image": (1, 24, 24)}),
    ],
)
def test_nvlabs_of_other_kinds(
    source: str, change: Change, expected: dict[str, object], golden: Callable[[str], Path], tmp_path: Path
) -> None:
    works(model := loaded(change(load_file(golden(source) / "weights.safetensors")), tmp_path))
    assert {name: getattr(model.architecture, name) for name in expected} == expected


def test_nvlabs_without_gates_is_what_gates_of_1_compute(golden: Callable[[str], Path], tmp_path: Path) -> None:
    state = load_file(golden("nvae_nvlabs_flows") / "weights.safetensors")
    opened = {n: torch.zeros_like(t) if ".se.se.2.weight" in n else t for n, t in state.items()}
    opened = {n: torch.full_like(t, 50.0) if ".se.se.2.bias" in n else t for n, t in opened.items()}
    images = torch.rand(2, 3, 16, 16)
    with_gates = loaded(opened, tmp_path)(images).parameters
    without = loaded(layouts.without_gates(state), tmp_path)
    assert not without.architecture.encoder_cell.squeeze_excitation
    close(without(images).parameters, with_gates)


def test_nvlabs_cells_with_elu(golden: Callable[[str], Path], tmp_path: Path) -> None:
    state = load_file(golden("nvae_nvlabs_flows") / "weights.safetensors")
    normalised, plain = (
        loaded(change(state), tmp_path) for change in (layouts.with_norms_renamed, layouts.without_norms)
    )
    features = torch.randn(2, 4, 4, 4)
    for model, batch_norm in ((normalised, True), (plain, False)):
        cell = model.encoder.scales[2][0][0]
        hidden = features
        for number in (0, 1):
            start = f"enc_tower.0._ops.{number}"
            if batch_norm:
                mean, variance, weight, bias = (
                    state[f"{start}.bn_act.{part}"][:, None, None]
                    for part in ("running_mean", "running_var", "weight", "bias")
                )
                hidden = (hidden - mean) / (variance + 1e-5).sqrt() * weight + bias
            hidden = torch.where(hidden > 0, hidden, hidden.exp() - 1)
            weight, gain, bias = (state[f"{start}.conv_0.{part}"] for part in ("weight", "log_weight_norm", "bias"))
            weight = gain.exp() * weight / (weight.square().sum((1, 2, 3), keepdim=True).sqrt() + 1e-5)
            hidden = torch.conv2d(hidden, weight, bias, padding=1)
        gate = (hidden.mean((2, 3)) @ state["enc_tower.0.se.se.0.weight"].T + state["enc_tower.0.se.se.0.bias"]).relu()
        gate = gate @ state["enc_tower.0.se.se.2.weight"].T + state["enc_tower.0.se.se.2.bias"]
        close(cell(features), features + 0.1 * hidden * gate.sigmoid()[:, :, None, None])
        works(model)


def with_arguments(golden: Path, folder: Path, **changes: object) -> str:
    """The stored checkpoint with some of its training's arguments changed."""
    stored = torch.load(golden / "nvae_nvlabs" / "checkpoint.pt", weights_only=False)
    stored["args"] = argparse.Namespace(**{**vars(stored["args"]), **changes})
    torch.save(stored, folder / "checkpoint.pt")
    return str(folder / "checkpoint.pt")


def test_bits_of_the_training_are_those_of_the_likelihood(golden: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_weights(with_arguments(golden(""), tmp_path, num_x_bits=5))
    # Broad components, so that no bin is so far in a tail that its mass is approximated; two of them, three colours.
    parameters = 0.3 * torch.randn(1, 20, 4, 4, generator=torch.Generator().manual_seed(0))
    images = torch.randint(1, 31, (1, 3, 4, 4), generator=torch.Generator().manual_seed(1)) / 31
    logits, rest = parameters[:, :2].double(), parameters[:, 2:].double().view(1, 3, 3, 2, 4, 4)
    x, (means, scales, k) = (2 * images - 1).double(), (rest[:, :, 0], rest[:, :, 1].exp(), rest[:, :, 2].tanh())
    centres = (
        means[:, 0],
        means[:, 1] + k[:, 0] * x[:, :1],
        means[:, 2] + k[:, 1] * x[:, :1] + k[:, 2] * x[:, 1:2],
    )
    total = logits.log_softmax(1)
    for colour, centre in enumerate(centres):
        edges = ((x[:, [colour]] + side / 31 - centre) / scales[:, colour] for side in (1, -1))
        upper, lower = (edge.sigmoid() for edge in edges)
        total = total + (upper - lower).log()
    ours = model.pixels(parameters).log_likelihood(images)
    close(ours, total.logsumexp(1), depth=GRADIENT)


def test_what_tensors_do_not_tell_comes_from_the_arguments(golden: Callable[[str], Path], tmp_path: Path) -> None:
    def architecture(**changes: object) -> NVAEArchitecture:
        return load_weights(with_arguments(golden(""), tmp_path, **changes)).architecture

    assert architecture().bits == 8 and architecture().residual_posterior
    assert not architecture(res_dist=False).residual_posterior
    assert architecture(arch_instance="res35_mbconv").encoder_cell.steps == (1, 2)
    assert architecture(arch_instance={"normal_enc": ["res_bnswish5", "res_bnswish"]}).encoder_cell.steps == (2, 1)
    for changes, complaint in (
        ({"num_x_bits": 9}, r"expected num_x_bits in 1 … 8, got 9"),
        ({"num_x_bits": 5.5}, "expected a whole number for num_x_bits, got 5.5"),
        ({"res_dist": "no"}, "expected true or false for res_dist, got 'no'"),
        ({"num_nf": 2}, "its tensors have num_nf 0, the configuration says 2"),
        ({"num_mixture_dec": 10}, "its tensors have num_mixture_dec 2, the configuration says 10"),
    ):
        with pytest.raises(InputError, match=complaint):
            architecture(**changes)


def test_dilated_kernels_of_the_encoder(golden: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_weights(with_arguments(golden(""), tmp_path, arch_instance="res53_mbconv"))
    first, second = (layer for layer in model.encoder.scales[0][0][0].branch if isinstance(layer, torch.nn.Conv2d))
    features = torch.randn(1, first.in_channels, 6, 6)
    for layer, dilation in ((first, 2), (second, 1)):
        expected = torch.conv2d(features, effective_weight(layer), layer.bias, dilation=dilation, padding=dilation)
        close(layer(features), expected)
    folded = fold(model)
    images = torch.rand(1, 3, 24, 24)
    close(folded(images).parameters, model.eval()(images).parameters)


def test_arguments_beside_a_bare_state_dict(golden: Callable[[str], Path], tmp_path: Path) -> None:
    weights, config = str(golden("nvae_nvlabs") / "weights.safetensors"), tmp_path / "args.json"
    assert load_weights(weights).architecture.bits == 8
    for written in ({"num_x_bits": 5}, {"args": {"num_x_bits": 5}}):
        config.write_text(json.dumps(written))
        assert load_weights(weights, config=config).architecture.bits == 5
        generator = build("generators", "nvae", {"weights": weights, "config": str(config)})
        assert generator.model.architecture.bits == 5
        target = tmp_path / "made.safetensors"
        to_file(Path(weights), target, options=written, force=True)
        assert load_weights(str(target)).architecture.bits == 5


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda s: {**s, "stem_decoder.weight": torch.zeros(1)},
            "a network of a single latent, which has no decoder state, is not supported",
        ),
        (lambda s: {**s, "enc_kv.0.weight": torch.zeros(1)}, r"1 unknown tensors, the first is enc_kv\.0\.weight"),
        (
            lambda s: {n: t[:6] if n.startswith("image_conditional.") else t for n, t in s.items()},
            r"a normal distribution of pixels \(num_mixture_dec 1\) is not supported",
        ),
        (
            lambda s: {n: t for n, t in s.items() if not n.startswith("nf_cells.3.")},
            "6 pairs of flows for 7 latents",
        ),
        (lambda s: {n: t for n, t in s.items() if n != "enc0.1.bias"}, r"no tensor 'enc0\.1\.bias'"),
    ],
)
def test_nvlabs_variants_that_are_refused(
    change: Change, complaint: str, golden: Callable[[str], Path], tmp_path: Path
) -> None:
    state = change(load_file(golden("nvae_nvlabs_flows") / "weights.safetensors"))
    with pytest.raises(InputError, match=complaint):
        loaded(state, tmp_path)


def test_serez_at_other_sizes(golden: Callable[[str], Path], tmp_path: Path) -> None:
    state, io = (load_file(golden("nvae_serez") / f"{name}.safetensors") for name in ("weights", "io"))
    for scale, groups in ((1, (2, 3)), (0, (3, 2))):
        model = loaded(layouts.serez_with_group(state, scale=scale), tmp_path)
        assert model.architecture.groups == groups
        close(model.pixels(model(io["x"]).parameters).mean(), io["recon_det"])
    works(model := loaded(layouts.serez_without_gates(state), tmp_path))
    assert not model.architecture.encoder_cell.squeeze_excitation


def test_serez_flows_with_the_published_masks_shift_by_their_last_bias(
    golden: Callable[[str], Path], tmp_path: Path
) -> None:
    state = layouts.serez_with_flows(load_file(golden("nvae_serez") / "weights.safetensors"), latent=4)
    model = loaded(state, tmp_path)
    z = torch.randn(2, 4, 8, 8)
    shift = sum(state[f"nf_cells.nf_1:0.0.{cell}.layers.4.bias"] for cell in ("cell1", "cell2"))
    assert isinstance(shift, Tensor)
    close(model.decoder.groups[2].flow(z), z - shift[:, None, None])


def statistics_of(model: NVAE) -> Tensor:
    return model.decoder.postprocess[1].branch[0].running_mean


def shifted(state: State, by: float) -> State:
    return {name: tensor + by if name.endswith("running_mean") else tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("held", "given", "expected"),
    [
        ({"trained": 0, "0.6": 1, "0.8": 2}, None, 1),
        ({"trained": 0, "0.6": 1, "0.8": 2}, 0.8, 2),
        ({"trained": 0, "0.6": 1, "0.8": 2}, 0.7, 0),
        ({"trained": 0, "0.8": 2}, None, 0),
        ({"0.6": 1, "0.8": 2}, None, 1),
        ({"0.8": 2, "1.0": 3}, 1, 3),
        ({"trained": 0}, 0.9, 0),
    ],
)
def test_one_rule_chooses_the_statistics(
    held: dict[str, float], given: float | None, expected: float, golden: Callable[[str], Path], tmp_path: Path
) -> None:
    state = load_file(golden("nvae_serez") / "weights.safetensors")
    names = {held_by: "state_dict" if held_by == "trained" else f"state_dict_temp={held_by}" for held_by in held}
    path, made = tmp_path / "training.pt", tmp_path / "made.safetensors"
    torch.save({"configuration": {}, **{names[name]: shifted(state, by) for name, by in held.items()}}, path)
    options = {} if given is None else {"temperature": given}
    said = to_file(path, made, options=options).layout
    if len(held) > 1:
        taken = "trained statistics" if expected == 0 else f"statistics of temperature {given or 0.6:g}"
        assert said == f"SerezD/NVAE-from-scratch ({taken})"
    reference = state["postprocessing_block.block_0.cell_1.residual.0.running_mean"] + expected
    for model in (load_weights(str(path), **options), load_weights(str(made))):
        close(statistics_of(model), reference)


@pytest.mark.parametrize("given", [None, 0.7])
def test_statistics_that_are_not_there(given: float | None, golden: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "two.pt"
    state = load_file(golden("nvae_serez") / "weights.safetensors")
    torch.save({"state_dict_temp=0.5": state, "state_dict_temp=0.8": state}, path)
    options = {} if given is None else {"temperature": given}
    complaint = f"no batch-norm statistics for temperature {given or 0.6}.*it has them for 0.5, 0.8"
    with pytest.raises(InputError, match=complaint):
        load_weights(str(path), **options)
    with pytest.raises(InputError, match=complaint):
        to_file(path, tmp_path / "x.safetensors", options=options)


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
