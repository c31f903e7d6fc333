"""The BigGAN network in training, and that folding spectral norm changes nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from mlvgm_biggan.biggan.architecture import BigGANArchitecture, light
from mlvgm_biggan.biggan.attention import SelfAttention
from mlvgm_biggan.biggan.network import BigGAN, build
from mlvgm_biggan.biggan.spectral_norm import fold, power_step, spectral_norm
from tolerance import LAYER, close

SMALL = BigGANArchitecture(
    chunks=(3, 2, 4), classes=5, embedding=3, widths=(12, 8, 8), attention=(1,), image_channels=1
)


def inputs(architecture: BigGANArchitecture, rows: int) -> tuple[list[Tensor], Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(rows, size, generator=draw) for size in architecture.chunks], torch.arange(rows) % 5


def run(network: BigGAN, rows: int = 4) -> Tensor:
    chunks, classes = inputs(network.architecture, rows)
    return network(chunks, network.embed(classes))


def test_the_same_seed_builds_the_same_network() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (spectral_norm(build(SMALL, seed=seed), seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(
        first["seed.parametrizations.weight.original"], other["seed.parametrizations.weight.original"]
    )
    assert not torch.equal(first["seed.parametrizations.weight.0.u"], other["seed.parametrizations.weight.0.u"])
    assert torch.equal(torch.get_rng_state(), before)
    weight = build(SMALL, seed=0).blocks[0].convolution2.weight.flatten(1)
    close(weight @ weight.T, torch.eye(8))  # orthogonal


def test_spectral_norm_is_on_every_layer_but_the_embedding() -> None:
    network = spectral_norm(build(SMALL, seed=0), seed=1)
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert len(layers) == 1 + 2 * (3 + 4) + 4 + 1
    assert all(hasattr(layer, "parametrizations") for layer in layers)
    assert not hasattr(network.embedding, "parametrizations")


def test_training_steps_power_iteration_towards_the_largest_singular_value() -> None:
    network = spectral_norm(build(SMALL, seed=0), seed=1)
    layer = network.blocks[0].convolution1
    layer.parametrizations.weight.original.data.mul_(torch.linspace(1, 3, 8)[:, None, None, None])
    norms = []
    for _ in range(60):
        run(network)
        norms.append(torch.linalg.matrix_norm(layer.eval().weight.detach().flatten(1), 2).item())
        layer.train()
    assert abs(norms[-1] - 1) < 1e-4 < abs(norms[0] - 1)


def test_power_steps_against_the_singular_value_decomposition() -> None:
    matrix = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    u = torch.ones(1, 5, dtype=torch.float64)
    for _ in range(200):
        sigma, u = power_step(matrix, u, eps=1e-12)
    left, values, right = torch.linalg.svd(matrix.detach())
    close(sigma.detach(), values[0])
    (gradient,) = torch.autograd.grad(sigma, matrix)
    close(gradient, torch.outer(left[:, 0], right[0]))


def test_evaluation_repeats_itself_and_training_moves_the_vectors() -> None:
    network = spectral_norm(build(SMALL, seed=0), seed=1)
    before = copy.deepcopy(network.state_dict())
    network.eval()
    assert torch.equal(run(network), run(network))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    run(network.train())
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(before[name], tensor)}
    assert {name.rpartition(".")[2] for name in changed} == {
        "u",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


def test_folding_changes_nothing_and_leaves_the_original_alone() -> None:
    network = spectral_norm(build(SMALL, seed=0), seed=1)
    network.attention["1"].gamma.data.fill_(0.7)
    for _ in range(3):
        run(network)
    network.eval()
    expected, folded = run(network), fold(network)
    close(run(folded), expected)
    assert torch.equal(run(network), expected)
    assert folded.state_dict().keys() == build(SMALL, seed=0).state_dict().keys()
    assert not folded.training and type(folded.seed) is nn.Linear
    with torch.no_grad():
        folded.seed.weight.zero_()
    assert torch.equal(run(network), expected)


def test_training_uses_the_statistics_of_the_batch() -> None:
    network = build(SMALL, seed=0)
    chunks, classes = inputs(SMALL, 8)
    seen: dict[str, Tensor] = {}
    network.blocks[0].norm1.norm.register_forward_hook(lambda *call: seen.update(before=call[1][0], after=call[2]))
    network(chunks, network.embed(classes))
    close(seen["after"].mean((0, 2, 3)), torch.zeros(12), scale=seen["after"].abs().max().item())
    close(network.blocks[0].norm1.norm.running_mean, 0.1 * seen["before"].detach().mean((0, 2, 3)), depth=LAYER)


def test_gradients_reach_every_parameter() -> None:
    network = spectral_norm(build(SMALL, seed=0), seed=1)
    network.attention["1"].gamma.data.fill_(0.7)
    run(network, rows=8).square().sum().backward()
    for name, parameter in network.named_parameters():
        # Batch norm takes shifts of its input away again.
        shifts = ("seed.bias", "convolution1.bias", "convolution2.bias", "shortcut.bias")
        assert parameter.grad is not None and (name.endswith(shifts) or parameter.grad.abs().max() > 0), name


def test_attention_starts_as_the_identity_and_looks_everywhere() -> None:
    layer, features = SelfAttention(16), torch.randn(2, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(features), features)
    layer.gamma.data.fill_(1.0)
    moved = features.clone()
    moved[:, :, 3, 3] += 3
    difference = (layer(moved) - layer(features) - (moved - features)).abs().amax(1)
    assert (difference > 1e-6).all()


def test_rows_may_be_shared() -> None:
    network = build(SMALL, seed=0).eval()
    chunks, classes = inputs(SMALL, 6)
    chunks[0], chunks[1], condition = chunks[0][:2], chunks[1][:2], network.embed(classes[:2])
    shared = network(chunks, condition)
    repeated = [chunk.repeat_interleave(6 // len(chunk), 0) for chunk in chunks]
    assert shared.shape == (6, 1, 16, 16)
    close(shared, network(repeated, condition.repeat_interleave(3, 0)))


@pytest.mark.parametrize(
    "change",
    [
        {"chunks": (3, 2)},
        {"chunks": ()},
        {"widths": (8,)},
        {"attention": (2,)},
        {"attention": (0, 0)},
        {"widths": (12, 8, 4)},
        {"label": 5},
        {"nosuch": 1},
        {"batch_norm_eps": 0.0},
    ],
    ids=str,
)
def test_architectures_are_checked(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BigGANArchitecture.model_validate(SMALL.model_dump() | change)


def test_the_light_architecture() -> None:
    architecture = light()
    assert BigGANArchitecture.model_validate_json(architecture.model_dump_json()) == architecture
    assert run(build(architecture, seed=0), rows=2).shape == (2, 1, 32, 32)
    assert sum(parameter.numel() for parameter in build(architecture, seed=0).parameters()) < 250_000
