"""The 45 published configurations: regenerated, resolved, and their values against rules and a second transcription."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mlvgm.configuration.build import build_part
from mlvgm.configuration.part import Part
from mlvgm.errors import InputError
from mlvgm_robust.purify.config import PurifyConfig
from mlvgm_robust.purify.resolve import collect, resolve

FOLDER = Path(__file__).parents[1] / "examples" / "published"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def configs() -> dict[str, PurifyConfig]:
    return {
        name.removesuffix(".yaml"): resolve(
            collect(assignments=(), flags={}, file=FOLDER / name, environ={}), threads=1
        ).config
        for name in FILES
    }


def test_there_are_all_45_of_them() -> None:
    tasks, steps = ("gender", "ids", "cars"), ("no_preprocessing", "noise", "blur")
    names = ["no_defense", "ablation_noise", "ablation_blur"]
    names += [f"competitor_{name}" for name in ("avae", "ndvae", "trades")]
    names += [f"ours_{schedule}_{step}" for schedule in ("linear", "cosine", "learned") for step in steps]
    assert sorted(f"{name}_{task}.yaml" for name in names for task in tasks) == FILES
    assert len(FILES) == 45


def test_the_files_are_what_the_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(FOLDER / "generate.py"), str(tmp_path)], check=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        name: (FOLDER / name).read_text() for name in FILES
    }


def test_every_one_resolves_to_the_published_protocol(configs: dict[str, PurifyConfig]) -> None:
    for name, config in configs.items():
        assert (config.votes, config.eot, config.clamp, config.limit, config.seed) == (32, 32, "none", None, 42), name
        assert [row.attack.name for row in config.attacks] == [
            "published-deepfool",
            "published-carlini-wagner",
            "published-autoattack",
        ]
        task = name.rpartition("_")[2]
        assert {row.attack.options["task"] for row in config.attacks} == {task}
        assert {value for row in config.attacks for value in row.attack.options["switches"].values()} == {"published"}


@pytest.mark.parametrize(
    ("task", "latents", "attenuation", "noise", "kernel"),
    [("gender", 18, 1.0, 4.0, 255), ("ids", 24, 0.7, 2.0, 15), ("cars", 16, 0.7, 4.0, 31)],
)
def test_values_of_ours(
    configs: dict[str, PurifyConfig], task: str, latents: int, attenuation: float, noise: float, kernel: int
) -> None:
    digits = {"gender": 3, "ids": 2, "cars": 3}[task]
    for schedule in ("linear", "cosine", "learned"):
        plain, noisy, blurred = (
            configs[f"ours_{schedule}_{step}_{task}"].rows[0].purifier.options
            for step in ("no_preprocessing", "noise", "blur")
        )
        assert plain["alphas"] == noisy["alphas"] == blurred["alphas"]
        assert len(plain["alphas"]) == latents
        assert {options["attenuation"] for options in (plain, noisy, blurred)} == {attenuation}
        slip = (schedule, task) == ("linear", "cars")
        assert (plain["noise"], noisy["noise"], blurred["noise"]) == (0, 2.0 if slip else noise, 0)
        assert (plain["blur"], noisy["blur"], blurred["blur"]) == (0, 0, 1)
        assert blurred["blur_kernel"] == kernel == 2 ** (math.isqrt({255: 256, 15: 64, 31: 128}[kernel]) // 2) - 1
    linear = configs[f"ours_linear_noise_{task}"].rows[0].purifier.options["alphas"]
    cosine = configs[f"ours_cosine_noise_{task}"].rows[0].purifier.options["alphas"]
    for i, (line, wave) in enumerate(zip(linear, cosine, strict=True), start=1):
        exact = i / latents
        assert line == (math.floor(100 * exact) / 100 if task == "gender" else round(exact, digits))
        assert wave == pytest.approx((1 - math.cos(math.pi * exact)) / 2, abs=0.51 * 10**-digits)


def test_learned_alphas_are_verbatim(configs: dict[str, PurifyConfig]) -> None:
    published = {
        "gender": ".492 .728 .058 .331 .246 .059 .068 .526 .646 .816 .548 .692 .309 .610 .729 .348 .728 .697",
        "ids": "0 0 .001 .136 .131 .206 .179 .305 .347 .349 .465 .528 .551 .606 .681 .676 .834 .800 .938 .911 1 1 1 1",
        "cars": "1 0 0 .737 0 0 .834 1 .261 0 .205 1 .908 0 .268 1",
    }
    for task, text in published.items():
        alphas = configs[f"ours_learned_blur_{task}"].rows[0].purifier.options["alphas"]
        assert list(alphas) == [float(number) for number in text.split()]


def test_parts_of_other_people_are_named_by_path(configs: dict[str, PurifyConfig]) -> None:
    networks = {"gender": "resnet50", "ids": "vgg11-bn", "cars": "resnext50"}
    for name, config in configs.items():
        task, row = name.rpartition("_")[2], config.rows[0]
        assert config.classifier.options["architecture"] == networks[task]
        named = [config.classifier, row.classifier, row.generator, row.purifier]
        paths = [one.options["weights"] for one in named if one is not None and "weights" in one.options]
        assert all(path.startswith("/add/your/path/") for path in paths)
        assert len(paths) == (1 if name.startswith(("no_defense", "ablation")) else 2), name


def test_a_checkpoint_of_another_network_is_refused_in_one_sentence(
    configs: dict[str, PurifyConfig], tmp_path: Path
) -> None:
    weights = tmp_path / "official.pt"
    torch.save({"model": {"encoder.weight": torch.zeros(2, 2)}}, weights)
    for name in ("competitor_avae_ids", "competitor_ndvae_ids"):
        named = configs[name].rows[0].purifier
        with pytest.raises(InputError, match="not a checkpoint of this family"):
            build_part("purifiers", Part(**{**named.model_dump(), "weights": str(weights)}), generator=None)
