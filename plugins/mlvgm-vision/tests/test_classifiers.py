from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torchvision.transforms.v2 import functional as transforms

import mlvgm_vision
from mlvgm.errors import ConfigError, InputError
from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys
from mlvgm.protocols.data import DataInfo
from mlvgm.weights.verify import verify
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_vision.classifiers.fashion_cnn import FashionCNN, fold
from mlvgm_vision.classifiers.frozen import FrozenClassifier, checked
from mlvgm_vision.classifiers.imported import ImportedConfig, imported_classifier
from mlvgm_vision.classifiers.shipped import FashionCNNConfig, fashion_cnn, read_weights
from mlvgm_vision.classifiers.timm_model import TimmConfig, timm_classifier
from mlvgm_vision.datasets.fashion_mnist import FashionMNIST
from mlvgm_vision.datasets.shapes import ShapesConfig, shapes
from mlvgm_vision.training.confusion import accuracy, confusion
from tolerance import close

COLOUR = DataInfo("colour", ImageSpec(3, 40, 50), ("a", "b", "c"), "MIT", "made here")
GREY = DataInfo("grey", ImageSpec(1, 8, 8), ("a", "b", "c"), "MIT", "made here")


def _right(classifier: FrozenClassifier, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float((classifier(images).argmax(1) == labels).float().mean())


def test_shipped_classifier_is_as_good_as_its_card_says(sample: FashionMNIST) -> None:
    classifier = fashion_cnn(FashionCNNConfig(), data=sample.info)
    images, labels = sample.batch("test", range(2000))
    assert _right(classifier, images, labels) >= 0.928
    # The bound is sharp enough to notice images that come in wrong.
    assert _right(classifier, 2 * images - 1, labels) < 0.928
    assert _right(classifier, images.roll(4, 3), labels) < 0.928


def test_shipped_classifier_reaches_its_accuracy_on_all_test_images(full: FashionMNIST) -> None:
    classifier = fashion_cnn(FashionCNNConfig(), data=full.info)
    assert accuracy(confusion(classifier, full, "test")) >= 0.91


def test_the_data_set_chooses_the_shipped_weights(sample: FashionMNIST) -> None:
    data = shapes(ShapesConfig())
    classifier = fashion_cnn(FashionCNNConfig(), data=data.info)
    images, labels = data.batch("test", range(500))
    assert _right(classifier, images, labels) == 1
    assert torch.equal(fashion_cnn(FashionCNNConfig(weights="shapes"), data=data.info)(images), classifier(images))
    other = fashion_cnn(FashionCNNConfig(), data=replace(sample.info, name="my clothes"))
    pictures, names = sample.batch("test", range(500))
    assert _right(other, pictures, names) > 0.9
    with pytest.raises(InputError, match=r"does not take images \(4, 3, 32, 32\): .*set its size"):
        fashion_cnn(FashionCNNConfig(weights="fashion-mnist"), data=data.info)


def test_classifier_is_frozen_stays_in_evaluation_mode_and_passes_gradients(sample: FashionMNIST) -> None:
    classifier = fashion_cnn(FashionCNNConfig(), data=sample.info).to("cpu")
    images, _ = sample.batch("test", range(4))
    before = classifier(images)
    classifier.train()
    assert torch.equal(classifier(images), before)
    close(classifier(images[1:2]), before[1:2])
    assert not any(parameter.requires_grad for parameter in classifier.parameters())
    images.requires_grad_(True)
    classifier(images).sum().backward()
    assert images.grad is not None and bool((images.grad.flatten(1).abs().sum(1) > 0).all())


def test_features_are_what_the_head_reads(sample: FashionMNIST) -> None:
    classifier = fashion_cnn(FashionCNNConfig(), data=sample.info)
    images, _ = sample.batch("test", range(4))
    features = classifier.features(images)
    assert features.shape == (4, 104)
    close(classifier.network.head(features), classifier(images))
    linear = nn.Linear(64, 3)
    shallow = FrozenClassifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 64), linear), classes=3, mean=(0.5,))
    close(linear(shallow.features(images[:, :, :8, :8])), shallow(images[:, :, :8, :8]))
    assert not linear._forward_pre_hooks


@pytest.mark.parametrize("layers", [[nn.Flatten()], [nn.Flatten(), nn.Linear(64, 5), nn.Flatten(), nn.Identity()]])
def test_features_of_networks_without_a_linear_head(layers: list[nn.Module]) -> None:
    class Folded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(*layers)

        def forward(self, images: Tensor) -> Tensor:
            return self.layers(images)[:, :3]

    with pytest.raises(InputError, match="does not end in one"):
        FrozenClassifier(Folded(), classes=3).features(torch.rand(2, 1, 8, 8))


def test_folding_batch_norm_changes_nothing() -> None:
    torch.manual_seed(0)
    network = FashionCNN(widths=(8, 12, 16), classes=3)
    for _ in range(3):  # statistics that are not 0 and 1
        network(torch.rand(8, 1, 16, 16))
    network.eval()
    images = torch.rand(5, 1, 16, 16)
    expected = network(images)
    close(fold(network)(images), expected)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_weights_of_a_folded_network_are_read_as_they_are() -> None:
    network = fold(FashionCNN(channels=3, widths=(8, 12, 16), classes=4).eval())
    images = torch.rand(2, 3, 16, 16)
    again = FashionCNN.from_tensors(network.state_dict())
    close(again(images), network(images))
    assert again.classes == 4


def test_sizes_of_own_weights_come_from_the_file(tmp_path: Path) -> None:
    network = FashionCNN(channels=3, classes=4, widths=(8, 12, 16)).to(memory_format=torch.contiguous_format)
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    data = DataInfo("own", ImageSpec(3, 16, 24), ("a", "b", "c", "d"), "MIT", "made here")
    classifier = fashion_cnn(FashionCNNConfig(weights=str(tmp_path / "own.safetensors")), data=data)
    assert classifier(torch.rand(2, 3, 16, 24)).shape == (2, 4)
    with pytest.raises(ConfigError, match="gives 4 classes, data set grey has 3"):
        fashion_cnn(FashionCNNConfig(weights=str(tmp_path / "own.safetensors")), data=replace(GREY, image=data.image))


def test_nothing_is_allocated_for_weights_that_do_not_fit_each_other() -> None:
    wide = {
        "stem.weight": torch.zeros(30_000, 4, 1, 1),
        "blocks.0.second.weight": torch.zeros(30_000, 1, 1, 1),
        "head.weight": torch.zeros(10, 30_000),
    }
    with numbers_with_memory() as numbers, pytest.raises(RuntimeError, match="state_dict"):
        FashionCNN.from_tensors(wide)
    assert sum(numbers) <= sum(tensor.numel() for tensor in wide.values())


@contextmanager
def numbers_with_memory() -> Iterator[list[int]]:
    """Sizes of the parameters that are made with memory."""
    sizes: list[int] = []
    hook = register_module_parameter_registration_hook(
        lambda module, name, value: sizes.append(0 if value is None or value.is_meta else value.numel())
    )
    try:
        yield sizes
    finally:
        hook.remove()


def test_wrong_weights_files(tmp_path: Path, sample: FashionMNIST) -> None:
    def build(name: str) -> FrozenClassifier:
        return fashion_cnn(FashionCNNConfig(weights=name), data=sample.info)

    with pytest.raises(InputError, match=r"nosuch.*fashion-mnist"):
        build("nosuch")
    (tmp_path / "corrupt.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(InputError, match=r"corrupt\.safetensors: expected a readable safetensors file"):
        build(str(tmp_path / "corrupt.safetensors"))
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors has others"):
        build(str(tmp_path / "other.safetensors"))


def test_shipped_weights_that_were_changed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: FashionMNIST
) -> None:
    tensors = {name: tensor.clone() for name, tensor in read_weights("fashion-mnist").items()}
    tensors["head.bias"][0] += 1e-3
    save_file(tensors, tmp_path / "changed.safetensors")
    weights = mlvgm_vision.fashion_cnn.weights[0]
    changed = replace(weights, file=f"mlvgm_vision:{tmp_path / 'changed.safetensors'}")
    monkeypatch.setattr(mlvgm_vision, "fashion_cnn", replace(mlvgm_vision.fashion_cnn, weights=(changed,)))
    with pytest.raises(InputError, match="sha256"):
        fashion_cnn(FashionCNNConfig(), data=sample.info)


@pytest.mark.parametrize("channels", [1, 3])
def test_timm_preprocessing_is_inside(channels: int) -> None:
    data = replace(COLOUR, image=ImageSpec(channels, 40, 50))
    torch.manual_seed(0)
    classifier = timm_classifier(TimmConfig(model="resnet10t", pretrained=False), data=data)
    images = torch.rand(2, channels, 40, 50)
    network = timm.create_model("resnet10t", num_classes=3).eval()
    network.load_state_dict(classifier.network.state_dict())
    resized = transforms.resize(images, list(network.pretrained_cfg["input_size"][1:]), antialias=True)
    normalised = transforms.normalize(
        resized.repeat(1, 3 // channels, 1, 1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    close(classifier(images), network(normalised))


def test_timm_options_replace_the_models_own() -> None:
    config = TimmConfig(model="resnet10t", pretrained=False, size=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))
    classifier = timm_classifier(config, data=COLOUR)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(classifier(images), classifier.network(images))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_timm_checkpoints(tmp_path: Path, suffix: str) -> None:
    network = timm.create_model("resnet10t", num_classes=3).eval()
    file = tmp_path / f"tuned{suffix}"
    if suffix == ".pth":
        torch.save(network.state_dict(), file)
    else:
        save_file(network.state_dict(), file)
    config = TimmConfig(model="resnet10t", checkpoint=file, size=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))
    images = torch.rand(2, 3, 32, 32)
    close(timm_classifier(config, data=COLOUR)(images), network(images))
    with pytest.raises(InputError, match="does not load"):
        timm_classifier(config.model_copy(update={"num_classes": 5}), data=COLOUR)
    file.write_bytes(b"corrupt")
    with pytest.raises(InputError, match="does not load"):
        timm_classifier(config, data=COLOUR)


def test_timm_slips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="did you mean 'resnet10t'"):
        timm_classifier(TimmConfig(model="resnet10tt"), data=COLOUR)
    with pytest.raises(ConfigError, match="gives 7 classes, data set colour has 3"):
        timm_classifier(TimmConfig(model="resnet10t", pretrained=False, num_classes=7), data=COLOUR)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"not on this computer.*checkpoint"):
        timm_classifier(TimmConfig(model="resnet10t"), data=COLOUR)


def test_a_new_random_head_on_published_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: create(name))  # nothing is fetched
    with pytest.raises(ConfigError, match=r"have 1000 classes, not 3"):
        timm_classifier(TimmConfig(model="resnet10t", num_classes=3), data=COLOUR)


MODULE = """
import numpy
import torch
from torch import nn
network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
class Made(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = network
    def forward(self, images):
        return self.body(images)
def make():
    return network
def fails():
    raise RuntimeError("no such file")
text = "text"
five = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
probabilities = nn.Sequential(network, nn.Softmax(1))
spatial = nn.Identity()
undefined = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
nn.init.constant_(undefined[1].weight, float("nan"))
class Namespace:
    inner = network
class Body(nn.Module):
    def __init__(self, layer=None):
        super().__init__()
        self.layer, self.body = layer or nn.Identity(), network
class Noisy(Body):
    def forward(self, images):
        return self.body(images + 0.1 * torch.randn_like(images))
class Trains(Body):
    def forward(self, images):
        self.train()
        return self.body(self.layer(images))
def dropout():
    return Trains(nn.Dropout(0.5))
def moving():
    return Trains(nn.BatchNorm2d(1))
class Batch(Body):
    def forward(self, images):
        return self.body(images - images.mean(0))
class Entropy(Body):
    def forward(self, images):
        return self.body(images + 0.1 * torch.tensor(numpy.random.default_rng().normal(size=images.shape)).float())
class Integers(Body):
    def forward(self, images):
        return self.body(images).argmax(1)
class Doubles(Body):
    def forward(self, images):
        return self.body(images).double()
def leaves():
    raise SystemExit(0)
"""


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_models.py").write_text(MODULE)
    (tmp_path / "own_broken.py").write_text("import nosuch_package")
    (tmp_path / "own_leaves.py").write_text("import sys; sys.exit('bye')")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize("attribute", ["network", "Made", "make", "Namespace.inner"])
def test_import_takes_modules_and_functions_that_make_one(attribute: str) -> None:
    config = ImportedConfig(target=f"own_models:{attribute}", mean=(0.5,), std=(0.25,))
    classifier = imported_classifier(config, data=GREY)
    import own_models  # type: ignore[import-not-found]

    images = torch.rand(2, 1, 8, 8)
    close(classifier(images), own_models.network((images - 0.5) / 0.25))


@pytest.mark.usefixtures("own_models")
def test_import_resizes_and_repeats_grey_where_it_normalises_colours() -> None:
    config = ImportedConfig(target="torch.nn:Flatten", size=(2, 3), mean=(0.1, 0.2, 0.3))
    data = DataInfo("many", ImageSpec(1, 8, 9), tuple("abcdefghijklmnopqr"), "MIT", "made here")
    images = torch.rand(2, 1, 8, 9)
    resized = transforms.resize(images, [2, 3], antialias=True).repeat(1, 3, 1, 1)
    expected = resized - torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    close(imported_classifier(config, data=data)(images), expected.flatten(1))


@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("own_models", ConfigError, "expected module:attribute"),
        ("own_nosuch:network", ConfigError, "own_nosuch.*PYTHONPATH"),
        ("own_broken:network", ConfigError, "nosuch_package"),
        ("own_models:nosuch", ConfigError, "has no nosuch"),
        ("own_models:text", InputError, "not callable"),
        ("own_models:fails", InputError, "no such file"),
        ("builtins:dict", InputError, "expected an nn.Module"),
        ("own_models:five", ConfigError, "gives 5 classes, data set grey has 3"),
        ("own_models:probabilities", ConfigError, "probabilities"),
        ("own_models:spatial", InputError, r"\(4, 1, 8, 8\)"),
        ("own_models:undefined", InputError, "NaN"),
        ("own_models:moving", InputError, r"own_models:moving changes its 'network\.layer\.(run|num)"),
        ("own_models:Batch", InputError, "own_models:Batch answers an image differently among other images"),
        ("own_models:Entropy", InputError, "own_models:Entropy draws noise that cannot be repeated"),
        ("own_models:Integers", InputError, r"expected logits \(4, classes\) from classifier own_models:Integers"),
        ("own_models:Doubles", InputError, r"torch\.float32 on cpu from .*own_models:Doubles, came torch\.float64"),
        ("own_models:leaves", InputError, "own_models:leaves does not make a module: SystemExit: 0"),
        ("own_leaves:network", ConfigError, "own_leaves does not import: SystemExit: bye"),
    ],
)
def test_import_refuses(target: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        imported_classifier(ImportedConfig(target=target), data=GREY)


@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize("attribute", ["Noisy", "dropout"])
def test_a_random_classifier_is_a_random_defence(attribute: str) -> None:
    classifier = imported_classifier(ImportedConfig(target=f"own_models:{attribute}"), data=GREY)
    defence = Defence(classifier, votes=3)
    assert classifier.stochastic and classifier.differentiable and defence.stochastic
    images, state = torch.rand(4, 1, 8, 8), torch.get_rng_state()
    keys = Keys.of(seed=0, purpose="p", samples=range(4), draws=range(3))
    draws = defence.draw(images, keys)
    assert draws.shape == (4, 3, 3) and torch.equal(defence.draw(images, keys), draws)
    assert not torch.equal(draws[:, 0], draws[:, 1])
    assert not torch.equal(defence.draw(images, keys.derive("q")), draws)
    assert torch.equal(torch.get_rng_state(), state)
    # With a call for each row the noise follows its image.
    rows = keys[list(range(0, 12, 3))]
    alone = classifier.alone().draw(images, rows)
    close(classifier.alone().draw(images[[2]], rows[[2]]), alone[[2]])


def test_networks_that_do_not_take_the_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"colour does not take images \(4, 1, 8, 8\): RuntimeError.*1 channels"):
        checked(FrozenClassifier(nn.Conv2d(3, 4, 3), classes=3, name="colour"), GREY)


def test_log_probabilities_are_logits() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.LogSoftmax(1))
    checked(FrozenClassifier(network, classes=3), GREY)


def test_shipped_weights_are_verified_by_building() -> None:
    verdicts = verify(["classifiers/fashion-cnn"])
    assert verdicts and all(one.status == "ok" and "builds fashion-cnn" in one.detail for one in verdicts)


def test_a_bare_state_dict_is_verified_by_the_classifier_that_reads_it(tmp_path: Path) -> None:
    tensors = FashionCNN(channels=1, classes=10).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "own.safetensors")
    (verdict,) = verify([str(tmp_path / "own.safetensors")])
    assert verdict.status == "ok" and verdict.detail.endswith("a bare state dict, builds fashion-cnn")
    save_file({"head.weight": torch.zeros(10, 64)}, tmp_path / "part.safetensors")
    (verdict,) = verify([str(tmp_path / "part.safetensors")])
    assert verdict.status == "problem" and "classifier.weights=FILE" in verdict.detail
