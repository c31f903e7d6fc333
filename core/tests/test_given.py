"""What callers give: one clear error for every batch that is none, at every door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.foreign.given import check_batch, check_images, check_keys, check_latents, check_noise
from mlvgm.latents import ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise
from mlvgm.protocols.generator import NuisanceSpec
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import run_attack
from mlvgm_robust.evaluation.target import Target

SPECS = (LatentSpec("coarse", (3,), (2,)), LatentSpec("fine", (4, 2, 2), (4, 2, 2)))
NUISANCES = (NuisanceSpec("grain", (1, 4, 4)),)
WEIGHT = torch.zeros(1)
IMAGES = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))


class Two:
    """Logits by the first two pixels."""

    classes = 2

    def to(self, device: torch.device | str) -> Two:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :2]


BAD = {
    "integers": ((IMAGES * 255).byte(), r"expected float.*got torch.uint8 \(4, 1, 2, 2\).*float\(\) / 255"),
    "one image": (IMAGES[0], r"expected float.*\(N, C, H, W\), got torch.float32 \(1, 2, 2\)"),
    "none": (IMAGES[:0], "there are no images"),
    "bytes": (IMAGES * 255, r"expected values in \[0, 1\], got .*divide bytes by 255"),
    "half": (IMAGES.half(), "got torch.float16"),
    "an array": (IMAGES.numpy(), "expected a tensor, got ndarray"),
    "nowhere": (IMAGES.to("meta"), "got torch.float32 .* on meta"),
}
STRICT = {
    "double": (IMAGES.double(), "expected float32 .*got torch.float64"),
    "no numbers": (torch.where(IMAGES > 0.5, torch.nan, IMAGES), r"\d+ pixels are NaN or infinite"),
    "a little outside": (IMAGES + 0.5, r"expected values in \[0, 1\]"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("door", ["check_batch", "defence", "draw", "target", "gradient", "purify"])
def test_no_batch_of_images_gets_into_a_defence(door: str, name: str) -> None:
    pytest.importorskip("mlvgm_robust")
    from mlvgm_robust.purifiers.blur import Blur
    from mlvgm_robust.purifiers.noise import AddNoise

    images, words = BAD[name]
    defence, keys = Defence(Two(), AddNoise(0.1)), Keys.of(seed=0, purpose="p", samples=range(4))
    target = Target(defence, samples=range(4))
    doors: dict[str, Callable[[Tensor], object]] = {
        "check_batch": check_batch,
        "defence": defence,
        "draw": lambda given: Defence(Two()).draw(given, keys),
        "target": lambda given: target(given, draws=2),
        "gradient": lambda given: target.gradient(given, lambda logits: logits[:, 0]),
        "purify": lambda given: (Blur(1.0).purify(given, Blur(1.0).noise(keys)), AddNoise(1.0).purify(given, keys)),
    }
    with pytest.raises(InputError, match=words):
        doors[door](images)


@pytest.mark.parametrize("name", [*BAD, *STRICT])
def test_only_images_are_attacked_or_judged(name: str) -> None:
    images, words = (BAD | STRICT)[name]
    pytest.importorskip("mlvgm_robust")
    from mlvgm.api import load

    labels, fgsm = torch.zeros(4, dtype=torch.int64), load("attacks/fgsm")
    for door in (check_images, Defence(Two()), lambda given: run_attack(Defence(Two()), fgsm, given, labels)):
        with pytest.raises(InputError, match=words):
            door(images)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": torch.zeros(4)}, "labels: expected an int64 tensor, got torch.float32"),
        ({"labels": [0, 1, 0, 1]}, "labels: expected an int64 tensor, got list"),
        ({"defence": Two()}, "expected a Defence, got Two"),
        ({"attack": "fgsm"}, "expected an attack, got str"),
    ],
)
def test_what_an_attack_is_run_with(change: dict[str, Any], words: str) -> None:
    pytest.importorskip("mlvgm_robust")
    from mlvgm.api import load

    given = {"defence": Defence(Two()), "attack": load("attacks/fgsm"), "images": IMAGES}
    given["labels"] = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(InputError, match=words):
        run_attack(**(given | change))
    with pytest.raises(InputError, match="draws must be at least 1, got -1"):
        Target(Defence(Two()), samples=range(4))(IMAGES, draws=-1)


def noise() -> Noise:
    values = (torch.zeros(3, 2), torch.zeros(3, 4, 2, 2))
    return Noise(values, (0, 1), nuisance={"grain": torch.zeros(3, 1, 4, 4)}, condition=torch.zeros(3, 5))


NAN = torch.full((3, 2), torch.nan)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Noise(noise().values[:1], (0,)), "toy has 2 latents, the noise has 1 values for 1 latents"),
        (replace(noise(), source=(0, 2)), "toy has 2 latents"),
        (replace(noise(), values=(NAN, noise().values[1])), "coarse: 6 numbers are NaN"),
        (replace(noise(), values=(NAN.double(), noise().values[1])), "coarse: expected float32 .*float64"),
        (replace(noise(), values=(torch.zeros(3, 3), noise().values[1])), r"coarse: .*\(3, 2\).*got .*\(3, 3\)"),
        (replace(noise(), values=(torch.zeros(2, 2), noise().values[1])), r"coarse: .*\(3, 2\).*\(2, 2\)"),
        (replace(noise(), nuisance={"grain": torch.zeros(2, 1, 4, 4)}), r"grain: .*\(3, 1, 4, 4\)"),
        (replace(noise(), condition=torch.zeros(2, 5)), "3 rows and 2 conditions"),
        (noise()[[]], "the batch is empty"),
        (noise().to("meta"), "on cpu, got torch.float32 .* on meta"),
        (torch.zeros(3, 2), "toy: expected noise, got Tensor"),
    ],
)
def test_noise_that_a_generator_cannot_use(bad: Noise, words: str) -> None:
    check_noise(noise(), SPECS, NUISANCES, like=WEIGHT, name="toy")
    check_noise(replace(noise(), nuisance={}), SPECS, NUISANCES, like=WEIGHT, name="toy")  # says so where it is missed
    with pytest.raises(InputError, match=words):
        check_noise(bad, SPECS, NUISANCES, like=WEIGHT, name="toy")


def test_latents_that_a_generator_cannot_decode() -> None:
    values = torch.zeros(4, 3), torch.zeros(4, 4, 2, 2)
    check_latents(Latents(values), SPECS, like=WEIGHT, name="toy")
    with pytest.raises(InputError, match="toy has 2 latents, got 1"):
        check_latents(Latents(values[:1]), SPECS, like=WEIGHT, name="toy")
    with pytest.raises(InputError, match="expected latents, got Noise"):
        check_latents(noise(), SPECS, like=WEIGHT, name="toy")  # type: ignore[arg-type]
    # Rows may be shared only where the generator says so.
    fewer = Latents((values[0][:2], values[1]))
    check_latents(fewer, SPECS, like=WEIGHT, name="toy", shared=True)
    for latents, shared in ((fewer, False), (Latents((values[0][:3], values[1])), True)):
        with pytest.raises(InputError, match="coarse: expected"):
            check_latents(latents, SPECS, like=WEIGHT, name="toy", shared=shared)


def test_images_of_an_encoder_and_keys() -> None:
    spec = ImageSpec(1, 2, 2)
    check_batch(IMAGES + 0.5, spec=spec, like=WEIGHT)  # noise leaves the box
    with pytest.raises(InputError, match=r"mine: expected float32 \(N, 3, 2, 2\), got"):
        check_batch(IMAGES, what="mine", spec=ImageSpec(3, 2, 2), like=WEIGHT)
    with pytest.raises(InputError, match="expected float32"):
        check_batch(IMAGES.double(), spec=spec, like=WEIGHT)
    with pytest.raises(InputError, match="pixels are NaN"):
        check_batch(STRICT["no numbers"][0], spec=spec, like=WEIGHT)
    check_keys(Keys.of(seed=0, purpose="p", samples=[0]), name="toy")
    with pytest.raises(InputError, match="toy: expected keys, got int"):
        check_keys(0, name="toy")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="keys for toy: there are no rows"):
        check_keys(Keys.of(seed=0, purpose="p", samples=[]), name="toy")
    assert np.isfinite(IMAGES.numpy()).all()
