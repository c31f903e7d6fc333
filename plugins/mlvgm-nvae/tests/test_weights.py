"""The weights file, and the weights that ship."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import mlvgm_nvae
from mlvgm.errors import InputError
from mlvgm.noise import Keys
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.build import nvae
from mlvgm_nvae.config import NVAEConfig
from mlvgm_nvae.network import NVAE
from mlvgm_nvae.weights import load, save
from tolerance import close

SHIPPED = {weights.name: weights for weights in mlvgm_nvae.nvae.weights}


def test_round_trip(tiny: NVAEArchitecture, awake: Callable[..., NVAE], tmp_path: Path) -> None:
    architecture = tiny.model_copy(update={"flows": 1, "flow_weight_norm": False})
    model = awake(architecture)
    save(model, tmp_path / "a.safetensors")
    again = load(tmp_path / "a.safetensors")
    assert again.architecture == architecture
    images = torch.rand(1, 3, 16, 16)
    close(again.eval()(images).parameters, model(images).parameters)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_broken_files_give_one_message(tiny: NVAEArchitecture, awake: Callable[..., NVAE], tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save(awake(tiny), path)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    load(path, sha256=checksum)
    whole, state = path.read_bytes(), load_file(path)
    metadata = {"format": "mlvgm-nvae/1", "architecture": tiny.model_dump_json()}

    def complaint(sha256: str | None = None) -> str:
        with pytest.raises(InputError) as caught:
            load(path, sha256=sha256)
        assert str(path) in str(caught.value)
        return str(caught.value)

    path.write_bytes(whole[:-4])
    assert "expected sha256" in complaint(checksum) and "readable safetensors" in complaint()
    save_file({**state, "extra": torch.zeros(1)}, path, metadata=metadata)
    assert "unexpected extra" in complaint()
    save_file({**state, "decoder.constant": torch.zeros(1)}, path, metadata=metadata)
    assert "decoder.constant is (1,) instead of (1, 8, 4, 4)" in complaint()
    wrong = json.loads(tiny.model_dump_json()) | {"groups": [2]}
    save_file(state, path, metadata={**metadata, "architecture": json.dumps(wrong)})
    assert "no valid NVAE architecture" in complaint()
    path.unlink()
    assert "expected a readable safetensors file" in complaint() and "cannot be read" in complaint(checksum)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_weights(name: str) -> None:
    package, _, file = SHIPPED[name].file.partition(":")
    path = resources.files(package) / file
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHIPPED[name].sha256
    assert len(content) <= 4 * 2**20
    card = (resources.files(package) / file.replace(".safetensors", ".md")).read_text(encoding="utf-8")
    facts = ("mlvgm train generator", "Seed", "CPU seconds", "bits per dimension", "KL of")
    for expected in (SHIPPED[name].sha256, *facts):
        assert expected in card
    assert ("step beyond" in card) == (name == "denoising")
    generator = nvae(NVAEConfig(weights=name))
    noise = generator.draw_noise(Keys.of(seed=0, purpose="test", samples=range(4)))
    images = generator.generate(noise)
    assert len(generator.latents) == 8 and images.shape == (4, 1, 32, 32)
    # A trained model paints dark corners; the padding of every training image is black.
    assert images[:, :, :2, :2].abs().max() < 0.2


def test_the_descriptor_offers_what_exists() -> None:
    assert NVAEConfig().weights in SHIPPED
    first, *_ = recipes = mlvgm_nvae.nvae.recipes["purify"]
    for recipe in recipes:
        weights = {**first.options, **recipe.options}["generator.weights"]  # later recipes build on the first
        assert weights in SHIPPED
    notes = {weights.name: weights.note for weights in mlvgm_nvae.nvae.weights}
    assert all(("step beyond" in note) == (name == "denoising") for name, note in notes.items())
