"""What A-VAE and ND-VAE have in common: noise by keys, true gradients, weights files that hold the whole network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from autoencoders import a_vae, images, keys, nd_vae

import mlvgm_robust
from mlvgm.errors import InputError
from mlvgm.plugins.load import build
from mlvgm.weights.file import read_weights
from mlvgm.weights.verify import verify
from mlvgm_robust.competitors.a_vae.file import FILE as A_VAE_FILE
from mlvgm_robust.competitors.a_vae.purifier import AVAEPurifier
from mlvgm_robust.competitors.nd_vae.file import FILE as ND_VAE_FILE
from mlvgm_robust.competitors.nd_vae.purifier import NDVAEPurifier
from tolerance import close

NETWORKS: Mapping[str, Callable[[], Any]] = {"a-vae": a_vae, "nd-vae": nd_vae}
PURIFIERS: Mapping[str, Callable[[Any], Any]] = {
    "a-vae": lambda network: AVAEPurifier(network, temperature=0.6),
    "nd-vae": lambda network: NDVAEPurifier(network, std=0.05),
}
FILES: Mapping[str, Any] = {"a-vae": A_VAE_FILE, "nd-vae": ND_VAE_FILE}
SHIPPED = {"a-vae": mlvgm_robust.a_vae_purifier.weights, "nd-vae": mlvgm_robust.nd_vae_purifier.weights}

each = pytest.mark.parametrize("name", NETWORKS)


@each
def test_noise_follows_its_keys_and_draws_are_image_major(name: str) -> None:
    purifier, x = PURIFIERS[name](NETWORKS[name]()), images()
    whole = purifier.purify(x, purifier.noise(keys(4)))
    close(whole[4:8], purifier.purify(x[1:2], purifier.noise(keys(4)[slice(4, 8)])))
    close(whole[4:8], purifier.purify(x[1:2], purifier.noise(keys(4))[[4, 5, 6, 7]]))
    assert purifier.stochastic and not torch.allclose(whole[4], whole[5])


@each
def test_gradients_match_finite_differences(name: str) -> None:
    purifier = PURIFIERS[name](NETWORKS[name]().double())
    noise = purifier.noise(keys(2, 1))
    # Far enough from 0 and 1 for the clamp of a noisy image to leave most pixels alone.
    x = (0.4 + 0.2 * images(1)).double().requires_grad_(True)
    weights = torch.randn(2, 3, 16, 16, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad((weights * purifier.purify(x, noise)).sum(), x)
    direction = gradient.sign()
    ahead, behind = (purifier.purify(x.detach() + s * 1e-6 * direction, noise) for s in (1, -1))
    slope = (weights * (ahead - behind)).sum() / 2e-6
    assert slope.abs() > 1e-2
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=1e-5)


@each
def test_images_of_another_shape_are_refused(name: str) -> None:
    purifier = PURIFIERS[name](NETWORKS[name]())
    with pytest.raises(InputError, match=rf"'{name}' works on images \(3, 16, 16\), came \(1, 32, 32\)"):
        purifier.purify(torch.zeros(1, 1, 32, 32), purifier.noise(keys(1, 1)))
    with pytest.raises(InputError, match="3 rows of noise for 2 images"):
        purifier.purify(images(2), purifier.noise(keys(1)))


@pytest.mark.exact
@each
def test_a_file_holds_the_network(name: str, tmp_path: Path) -> None:
    network, path = NETWORKS[name](), tmp_path / "network.safetensors"
    FILES[name].save(network, path)
    again = FILES[name].load(str(path), shipped=())
    assert again.architecture == network.architecture and not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())
    noise = PURIFIERS[name](network).noise(keys(1))
    first, second = (PURIFIERS[name](each).purify(images(), noise) for each in (network, again))
    assert torch.equal(first, second)
    built = build("purifiers", name, {"weights": str(path)}, generator=None)
    assert all(map(torch.equal, built.network.state_dict().values(), network.state_dict().values()))


@each
def test_files_of_the_other_network_are_refused(name: str, tmp_path: Path) -> None:
    (other,) = set(NETWORKS) - {name}
    FILES[other].save(NETWORKS[other](), tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=f"expected weights of format 'mlvgm-{name}/1', came 'mlvgm-{other}/1'"):
        FILES[name].load(str(tmp_path / "other.safetensors"), shipped=())


@each
def test_weights_that_are_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither shipped"):
        FILES[name].load("nothing", shipped=SHIPPED[name])
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="safetensors"):
        FILES[name].load(str(tmp_path / "broken.safetensors"), shipped=SHIPPED[name])


@pytest.mark.exact
@each
def test_shipped_weights_are_written_again_byte_by_byte(name: str, tmp_path: Path) -> None:
    (weights,) = SHIPPED[name]
    file = Path(mlvgm_robust.__file__).parent / weights.file.partition(":")[2]
    assert weights.sha256 in file.with_suffix(".md").read_text()
    assert file.stat().st_size < 4_000_000
    network = FILES[name].load(weights.name, shipped=SHIPPED[name])
    assert network.architecture.image == (1, 32, 32)
    FILES[name].save(network, tmp_path / "again.safetensors")
    assert read_weights(tmp_path / "again.safetensors", sha256=weights.sha256).format == f"mlvgm-{name}/1"


@each
def test_shipped_weights_are_verified_by_building(name: str) -> None:
    verdicts = verify([f"purifiers/{name}"])
    assert verdicts and all(one.status == "ok" and f"builds {name}" in one.detail for one in verdicts)
