"""BigGAN-deep behind the generator protocols."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from deep_reference import Options, checkpoint
from pydantic import ValidationError

from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Conditional, Encodes, Inverts
from mlvgm.weights.container import Container
from mlvgm.weights.file import filled
from mlvgm_biggan.deep.architecture import BigGANDeepArchitecture
from mlvgm_biggan.deep.generator import BigGANDeepGenerator, BigGANDeepSampling
from mlvgm_biggan.deep.loader import convert
from mlvgm_biggan.deep.network import BigGANDeep
from tolerance import GRADIENT, close


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> BigGANDeepGenerator:
    path = tmp_path_factory.getbasetemp() / "x.bin"
    converted = convert(Container(path, checkpoint(Options()), {"layers": Options().layers, "eps": Options().eps}))
    assert converted is not None
    architecture = BigGANDeepArchitecture.model_validate_json(converted.architecture)
    return BigGANDeepGenerator(filled(lambda: BigGANDeep(architecture), converted.tensors, path))


def keys(samples: int, seed: int = 0) -> Keys:
    return Keys.of(seed=seed, purpose="test", samples=range(samples))


def test_specs_and_capabilities(generator: BigGANDeepGenerator) -> None:
    assert isinstance(generator, Conditional) and isinstance(generator, Inverts) and not isinstance(generator, Encodes)
    assert [spec.name for spec in generator.latents] == ["z0", "z1", "z2", "z3"]
    assert [spec.resolution for spec in generator.latents] == [4, 4, 8, 16]
    assert {spec.shape for spec in generator.latents} == {spec.noise_shape for spec in generator.latents} == {(3,)}
    noise = generator.draw_noise(keys(2))
    assert generator.generate(noise).shape == (2, *generator.image.shape) == (2, 3, 16, 16)


def test_ordinary_noise_is_one_z_for_all_blocks(generator: BigGANDeepGenerator) -> None:
    ordinary, untied = generator.draw_noise(keys(2)), generator.draw_noise(keys(2), tied=False)
    assert len(ordinary.values) == 1 and ordinary.source == (0,) * 4
    assert torch.equal(ordinary.values[0], generator.draw_noise(keys(2), tied=True).values[0])
    copies = replace(ordinary, values=ordinary.values * 4, source=(0, 1, 2, 3))
    close(generator.generate(ordinary), generator.generate(copies))
    assert untied.source == (0, 1, 2, 3) and not torch.isclose(untied.of(0), untied.of(1)).any()
    assert (generator.generate(ordinary) - generator.generate(untied)).abs().max() > 1e-3


def test_noise_is_a_function_of_the_keys_alone(generator: BigGANDeepGenerator) -> None:
    whole, part, other = (generator.draw_noise(k) for k in (keys(5), keys(5)[[4, 1]], keys(5, seed=1)))
    assert torch.equal(whole.values[0][[4, 1]], part.values[0]) and torch.equal(whole.condition[[4, 1]], part.condition)
    assert not torch.equal(whole.values[0], other.values[0])
    close(generator.generate(whole)[[4, 1]], generator.generate(part))


def test_each_latent_enters_its_own_block(generator: BigGANDeepGenerator) -> None:
    before, after = (generator.to_latents(generator.draw_noise(keys(2, seed), tied=False)) for seed in (0, 1))
    first: dict[int, bool] = {}
    for i in range(4):
        seen: list[list[torch.Tensor]] = []
        for latents in (before, before.replaced([i], after)):
            made: list[torch.Tensor] = []
            hooks = [
                module.register_forward_hook(lambda *call, made=made: made.append(call[2]))
                for module in (generator.model.seed, *generator.model.blocks)
            ]
            generator.decode(latents)
            for hook in hooks:
                hook.remove()
            seen.append(made)
        changed = [not torch.allclose(a, b) for a, b in zip(*seen, strict=True)]
        assert changed == [j >= i for j in range(4)]
        first[i] = changed[i]
    assert all(first.values())


def test_truncation_selects_statistics_and_leaves_z_alone(generator: BigGANDeepGenerator) -> None:
    noise, colder = generator.draw_noise(keys(2)), generator.with_sampling(truncation=0.4)
    assert torch.equal(generator.to_latents(noise).values[0], colder.to_latents(noise).values[0])
    assert torch.equal(colder.to_latents(noise).values[2], noise.values[0])
    assert (generator.generate(noise) - colder.generate(noise)).abs().max() > 1e-3


def test_noise_of_published_samples(generator: BigGANDeepGenerator) -> None:
    published = generator.with_sampling(truncation=0.4, noise="truncated")
    noise = published.draw_noise(keys(1000))
    latents = published.to_latents(noise)
    assert 0.79 < latents.values[0].abs().max() <= 0.8 and all(v is latents.values[0] for v in latents.values)
    back = published.to_noise(latents)
    close(back.of(3), noise.of(3), depth=GRADIENT)
    with pytest.raises(InputError, match="beyond truncation"):
        published.to_noise(generator.to_latents(noise))


def test_to_noise_inverts_to_latents(generator: BigGANDeepGenerator) -> None:
    noise = generator.draw_noise(keys(3))
    back = generator.to_noise(generator.to_latents(noise))
    assert back.source == (0, 1, 2, 3)
    close(generator.generate(back), generator.generate(noise))


def test_the_condition_follows_its_row(generator: BigGANDeepGenerator) -> None:
    noise, table = generator.draw_noise(keys(40)), generator.embed_classes(torch.arange(4))
    number = (noise.condition[:, None] == table).all(2).int().argmax(1)
    assert torch.equal(table[number], noise.condition) and set(number.tolist()) == {0, 1, 2, 3}
    fixed = generator.with_sampling(label=3).draw_noise(keys(40))
    moved = (generator.generate(fixed) - generator.generate(noise)).flatten(1).abs().amax(1)
    assert moved[number == 3].max() < 1e-6 and moved[number != 3].min() > 1e-3


def test_gradients_equal_finite_differences(generator: BigGANDeepGenerator) -> None:
    precise = generator.to("cpu")
    precise.model.double()
    noise = generator.draw_noise(keys(1), tied=False)
    leaves = tuple(value.double().requires_grad_() for value in (*noise.values, noise.condition))
    assert torch.autograd.gradcheck(
        lambda *leaves: precise.generate(replace(noise, values=leaves[:-1], condition=leaves[-1])),
        leaves,
        fast_mode=True,
    )


def test_what_does_not_fit_is_refused(generator: BigGANDeepGenerator) -> None:
    for options in ({"truncation": 0.0}, {"truncation": 1.5}, {"noise": "uniform"}, {"label": 4}, {"psi": 1}):
        with pytest.raises(ConfigError):
            generator.with_sampling(**options)
    with pytest.raises(InputError, match="needs a condition"):
        generator.generate(replace(generator.draw_noise(keys(2)), condition=None))
    assert generator.sampling == BigGANDeepSampling()


@pytest.mark.parametrize(
    "change",
    [
        {"doubles": (True,)},
        {"widths": (16, 8, 3)},
        {"widths": (16,)},
        {"attention": (2,)},
        {"attention": (0, 0)},
        {"statistics": 1},
        {"widths": (4, 2, 2)},
        {"widths": (4, 4, 4), "attention": (0,)},
    ],
    ids=str,
)
def test_architectures_are_checked(change: dict[str, object]) -> None:
    good = {"z": 3, "classes": 2, "embedding": 2, "widths": (16, 8, 8), "doubles": (True, False), "attention": (1,)}
    assert BigGANDeepArchitecture.model_validate(good).image == (3, 8, 8)
    with pytest.raises(ValidationError):
        BigGANDeepArchitecture.model_validate(good | change)
