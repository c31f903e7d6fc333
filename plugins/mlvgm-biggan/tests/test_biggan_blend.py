"""Mixing encoded latents with fresh ones, or with those of another image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_biggans import GENERATORS, all_close, every, keys, pictures, ramp

from blended_alphas import check_tensor_alphas
from mlvgm.latents import Latents
from mlvgm_biggan.biggan.generator import EncodingBigGANGenerator
from tolerance import close


@every
def test_alpha_0_reconstructs_and_alpha_1_samples_under_the_class_of_the_image(
    generator: EncodingBigGANGenerator,
) -> None:
    codes, count = generator.encode(pictures(generator, 2)), len(generator.latents)
    noise, other = (generator.draw_noise(keys(2, draws=3, seed=seed)) for seed in (0, 1))
    kept = generator.blend(codes, noise, [0.0] * count)
    close(kept.images, generator.blend(codes, other, [0.0] * count).images)
    all_close(kept.latents, Latents(codes.repeat(3).values))
    sampled = generator.blend(codes, noise, [1.0] * count)
    all_close(sampled.latents, generator.to_latents(noise))
    close(sampled.images, generator.generate(replace(noise, condition=codes.repeat(3).condition)))


@every
def test_alphas_may_be_a_tensor(generator: EncodingBigGANGenerator) -> None:
    check_tensor_alphas(generator, generator.encode(pictures(generator, 2)), generator.draw_noise(keys(2, draws=2)))


@every
def test_the_latents_of_a_blend_make_its_images(generator: EncodingBigGANGenerator) -> None:
    codes, noise = generator.encode(pictures(generator, 2)), generator.draw_noise(keys(2, draws=3))
    blended = generator.blend(codes, noise, ramp(generator))
    assert blended.images.shape == (6, *generator.encoder_image.shape) and len(blended.latents) == 6
    close(blended.images, generator.decode(blended.latents))
    for row in range(6):
        image = slice(row // 3, row // 3 + 1)
        close(generator.blend(codes[image], noise[[row]], ramp(generator)).images, blended.images[[row]])


@every
@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_late_expansion_equals_early_expansion(generator: EncodingBigGANGenerator, kept: int) -> None:
    count, rows = len(generator.latents), dict[str, int]()
    alphas = [0.0 if i < kept else 0.7 for i in range(count)]
    codes, noise = generator.encode(pictures(generator, 2)), generator.draw_noise(keys(2, draws=3))
    inner = {"seed": generator.model.seed, "convolution": generator.model.blocks[0].convolution1}
    hooks = [
        module.register_forward_hook(lambda *call, name=name: rows.update({name: len(call[2])}))
        for name, module in inner.items()
    ]
    late = generator.blend(codes, noise, alphas)
    for hook in hooks:
        hook.remove()
    assert rows == {"seed": 2 if kept > 0 else 6, "convolution": 2 if kept > min(1, count - 1) else 6}
    early = generator.blend(codes.repeat(3), noise, alphas)
    close(late.images, early.images)
    all_close(late.latents, early.latents)


def test_expansion_at_a_middle_latent() -> None:
    generator = GENERATORS["hierarchical"]
    codes, noise = generator.encode(pictures(generator, 2)), generator.draw_noise(keys(2, draws=3))
    for alphas in ([1.0, 0.0, 0.0], [0.0, 0.4, 0.0], [0.3, 0.0, 1.0]):
        close(generator.blend(codes, noise, alphas).images, generator.blend(codes.repeat(3), noise, alphas).images)


@every
def test_latents_of_two_images_are_exchanged(generator: EncodingBigGANGenerator) -> None:
    count, ours = len(generator.latents), generator.encode(pictures(generator, 2))
    theirs = ours[[1, 0]]
    whole = generator.blend(ours, theirs, [1.0] * count)
    all_close(whole.latents, Latents(theirs.values))
    close(whole.latents.condition, ours.condition)
    close(generator.blend(ours, ours, [0.3] * count).images, generator.blend(ours, ours, [0.0] * count).images)


@every
def test_the_condition_of_a_blend_is_read_from_the_image(generator: EncodingBigGANGenerator) -> None:
    codes, noise = generator.encode(pictures(generator, 2)), generator.draw_noise(keys(2, draws=2))
    elsewhere = replace(noise, condition=generator.embed_classes(torch.tensor([0, 1, 2, 3])))
    blended = generator.blend(codes, noise, ramp(generator))
    close(blended.images, generator.blend(codes, elsewhere, ramp(generator)).images)
    assert torch.equal(blended.latents.condition, codes.repeat(2).condition)
