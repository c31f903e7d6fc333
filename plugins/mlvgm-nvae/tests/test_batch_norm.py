"""Re-estimated statistics are those of the decoder's own features at the temperature."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mlvgm.noise import Keys
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.batch_norm import reestimate_batch_norm
from mlvgm_nvae.generator import HierarchicalGenerator
from mlvgm_nvae.network import NVAE
from tolerance import close


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_first_layer_by_hand(tiny: NVAEArchitecture, awake: Callable[..., NVAE], temperature: float) -> None:
    model = awake(tiny)
    changed = reestimate_batch_norm(model, temperature=temperature, seed=5, batches=3, batch=8)
    first = next(layer for layer in changed.decoder.modules() if isinstance(layer, nn.BatchNorm2d))
    # Before the first batch norm there is only the constant and the first latent, a standard normal times temperature.
    generator = HierarchicalGenerator(model)
    group = model.decoder.groups[0]
    means, variances = [], []
    for number in range(3):
        keys = Keys.of(seed=5, purpose="batch norm", samples=range(8 * number, 8 * number + 8))
        latent = temperature * (1 + tiny.sigma_floor) * generator.draw_noise(keys).of(0)
        entered = group.merge(model.decoder.start(8), latent)
        means.append(entered.mean((0, 2, 3)))
        variances.append(entered.var((0, 2, 3)))
    close(first.running_mean, torch.stack(means).mean(0))
    close(first.running_var, torch.stack(variances).mean(0))


def test_samples_come_out_normalised(tiny: NVAEArchitecture, awake: Callable[..., NVAE]) -> None:
    changed = reestimate_batch_norm(awake(tiny), temperature=0.5, seed=0, batches=40, batch=64)
    generator = HierarchicalGenerator(changed).with_sampling(temperature=0.5)
    layer = [layer for layer in changed.decoder.modules() if isinstance(layer, nn.BatchNorm2d)][-1]
    outputs: list[Tensor] = []
    layer.register_forward_hook(lambda _, __, output: outputs.append(output))
    generator.generate(generator.draw_noise(Keys.of(seed=9, purpose="fresh", samples=range(512))))
    mean, deviation = outputs[0].mean((0, 2, 3)), outputs[0].std((0, 2, 3))
    assert (mean - layer.bias).abs().max() < 0.1
    assert (deviation / layer.weight.abs() - 1).abs().max() < 0.1


def test_encoder_and_original_are_left_alone(tiny: NVAEArchitecture, awake: Callable[..., NVAE]) -> None:
    model = awake(tiny)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    changed = reestimate_batch_norm(model, temperature=0.5, seed=0, batches=2, batch=4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    differing = {name for name, tensor in changed.state_dict().items() if not torch.equal(tensor, before[name])}
    assert differing and all(name.startswith("decoder.") for name in differing)
    assert all("running" in name or "tracked" in name for name in differing)
    assert not changed.training and not any(layer.training for layer in changed.modules())
