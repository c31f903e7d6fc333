"""Encoder training: reconstructs, is a function of its seed, resumes exactly, leaves the generator alone, refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import short_training
from mlvgm.errors import CheckFailed, InputError
from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys, normal
from mlvgm.protocols.data import DataInfo, Split
from mlvgm.weights.file import read_weights, write_weights
from mlvgm_stylegan.encoders.losses import offset_penalty
from mlvgm_stylegan.encoders.training import load_generator
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.discriminator import (
    DiscriminatorArchitecture,
    build_discriminator,
    discriminator_contents,
    load_discriminator,
)
from mlvgm_stylegan.stylegan2.network import StyleGAN2, build
from mlvgm_stylegan.stylegan2.weights import assemble, contents
from tolerance import LAYER, close

ARCHITECTURE = StyleGAN2Architecture(z_dim=6, w_dim=5, channels=(8, 6), image_channels=1, mapping_layers=2, noise=False)
OPTIONS = {"batch": 8, "widths": (8, 8), "kept": 4, "hidden": 16, "warmup_steps": 2}


def generator() -> StyleGAN2:
    return build(ARCHITECTURE, seed=3)


class Made:
    """Images that the generator makes: there are styles for all of them, but for what is cut to [0, 1]."""

    info = DataInfo("made", ImageSpec(1, 8, 8), ("only",), "MIT", "made up")

    def size(self, split: Split) -> int:
        return 60

    @torch.no_grad()
    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        z = normal(Keys.of(seed=0, purpose=split, samples=ids), "z", (6,))
        return ((generator()(z) + 1) / 2).clamp(0, 1), torch.zeros(len(ids), dtype=torch.int64)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A generator and a discriminator."""
    architecture = DiscriminatorArchitecture(image=(1, 8, 8), channels=(4, 4), filter=(1.0, 1.0))
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("generator", "discriminator")}
    write_weights(paths["generator"], contents(generator()))
    write_weights(paths["discriminator"], discriminator_contents(build_discriminator(architecture, seed=0)))
    return {name: str(path) for name, path in paths.items()}


def run(folder: Path, *, seed: int = 0, resume: bool = False, **options: object) -> list[dict[str, float]]:
    """Figures of each step."""
    given = {**OPTIONS, "steps": 12, **options}
    return short_training.figures("encoder", "stylegan2", given, Made(), folder, seed=seed, resume=resume)


def test_reconstructions_get_better_and_the_files_are_complete(tmp_path: Path, files: dict[str, str]) -> None:
    metrics = run(tmp_path / "out", steps=150, learning_rate=1e-2, **files)
    # Images cut to [0, 1] say little about the late styles of a fresh network: only the images have to get near.
    first, last = (sum(step["squared error"] for step in part) / 10 for part in (metrics[:10], metrics[-10:]))
    assert last < 0.6 * first
    path = tmp_path / "out" / "weights.safetensors"
    model, encoder = assemble(read_weights(path), path)
    images = Made().batch("test", range(60))[0]
    with torch.no_grad():
        error = ((model.synthesis(encoder.encode(images)) + 1) / 2 - images).square().mean()
        plain = ((model.synthesis(encoder.average.expand(60, -1, -1)) + 1) / 2 - images).square().mean()
    assert error < 0.6 * plain
    expected = generator().state_dict()
    for name, tensor in model.state_dict().items():
        close(tensor, expected[name], depth=LAYER)
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "mlvgm train encoder stylegan2 --data made" in card and f"train.generator={files['generator']}" in card


@pytest.mark.exact
def test_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path, files: dict[str, str]) -> None:
    options = {**OPTIONS, "steps": 12, **files}
    short_training.check_killed_and_resumed("encoder", "stylegan2", options, Made(), tmp_path, stop=5)
    with pytest.raises(InputError, match=r"another training: steps 12 → 20"):
        run(tmp_path / "parts", resume=True, steps=20, **files)


def test_seed_and_features_matter_and_the_global_random_state_does_not(tmp_path: Path, files: dict[str, str]) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = run(tmp_path / "a", **files)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert run(tmp_path / "b", **files) == first
    assert run(tmp_path / "c", seed=1, **files) != first
    assert run(tmp_path / "d", generator=files["generator"]) != first


def test_mean_and_deviation_are_those_of_the_mapping_network(tmp_path: Path, files: dict[str, str]) -> None:
    run(tmp_path / "out", steps=1, generator=files["generator"])
    tensors = read_weights(tmp_path / "out" / "weights.safetensors").tensors
    with torch.no_grad():
        styles = generator().mapping(torch.randn(20_000, 6, generator=torch.Generator().manual_seed(0)))
    deviation = styles.std(0)
    assert tensors["encoder.average"].shape == (4, 5)
    assert ((tensors["encoder.average"] - styles.mean(0)).abs() < 0.06 * deviation).all()
    assert ((tensors["encoder.deviation"] - deviation).abs() < 0.05 * deviation).all()


def test_refusals(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(InputError, match="neither shipped"):
        run(tmp_path / "a", generator="nothing")
    with pytest.raises(InputError, match="expected weights of format 'mlvgm-stylegan2-discriminator/1'"):
        run(tmp_path / "b", generator=files["generator"], discriminator=files["generator"])
    with pytest.raises(CheckFailed, match="diverged at step"):
        run(tmp_path / "c", learning_rate=1e30, **files)
    other = tmp_path / "other.safetensors"
    write_weights(other, contents(build(ARCHITECTURE.model_copy(update={"channels": (4, 4, 4)}), seed=0)))
    with pytest.raises(
        InputError, match=r"made has 1×8×8 images, the generator is for 1×16×16 \(set train\.generator\)"
    ):
        run(tmp_path / "d", generator=str(other))
    conditional = tmp_path / "conditional.safetensors"
    write_weights(conditional, contents(build(ARCHITECTURE.model_copy(update={"classes": 2}), seed=0)))
    with pytest.raises(InputError, match="class-conditional, which no encoder supports"):
        run(tmp_path / "e", generator=str(conditional))


def test_a_discriminator_file_that_does_not_fit_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    content = read_weights(Path(files["discriminator"]))
    path = tmp_path / "broken.safetensors"
    write_weights(path, type(content)(content.format, "{}", content.tensors))
    with pytest.raises(InputError, match="no valid Discriminator architecture"):
        load_discriminator(path)
    tensors = {name: tensor for name, tensor in content.tensors.items() if name != "out.bias"}
    write_weights(path, type(content)(content.format, content.architecture, tensors))
    with pytest.raises(InputError, match=r"missing out\.bias"):
        load_discriminator(path)


def test_published_checkpoints_are_generators_too() -> None:
    golden = Path(__file__).parents[3] / "tests" / "golden" / "stylegan2_ada"
    io = load_file(golden / "io.safetensors")
    model = load_generator(str(golden / "network_snapshot.pkl"))
    close(model.mapping(io["z"]), io["ws"][:, 0])


@pytest.mark.parametrize(("name", "metric"), [("pixels", "squared error"), ("styles", "style error")])
def test_each_term_has_the_weight_of_its_name(tmp_path: Path, files: dict[str, str], name: str, metric: str) -> None:
    nothing = {"pixels": 0.0, "absolute": 0.0, "features": 0.0, "styles": 0.0, "offsets": 0.0}
    (seen,) = run(tmp_path / "out", steps=1, generator=files["generator"], **{**nothing, name: 3.0})
    assert seen[metric] > 0 and seen["loss"] == pytest.approx(3 * seen[metric], rel=1e-5)


def test_squared_errors_are_of_pixels_in_the_unit_interval_and_offsets_of_real_images(
    tmp_path: Path, files: dict[str, str]
) -> None:
    nothing = {"pixels": 0.0, "absolute": 0.0, "features": 0.0, "styles": 0.0, "offsets": 3.0}
    given = {**OPTIONS, "generator": files["generator"], **nothing}
    training = short_training.begin("encoder", "stylegan2", given, Made(), tmp_path)
    images, encoder = training.session.minibatch(0).images, training.encoder
    with torch.no_grad():
        offsets = encoder(2 * images - 1)
        found = (training.generator.synthesis(encoder.average + encoder.deviation * offsets) + 1) / 2
    figures = training.step(0)
    assert figures["squared error"] == pytest.approx((found - images).square().mean().item(), rel=1e-4)
    assert figures["loss"] == pytest.approx(3 * offset_penalty(offsets).item(), rel=1e-4)


def test_half_of_the_generated_images_have_one_style_and_none_is_another(tmp_path: Path, files: dict[str, str]) -> None:
    given = {**OPTIONS, "generator": files["generator"]}
    training = short_training.begin("encoder", "stylegan2", given, Made(), tmp_path)
    styles = training._generated(training.session.draws(0, purpose="t"))[1]
    spread = (styles - styles[:, :1]).abs().amax((1, 2))
    assert (spread[:4] < 1e-5).all() and (spread[4:] > 1e-3).all()
    apart = torch.pdist(styles[:, 0])
    assert apart.min() > 1e-3
