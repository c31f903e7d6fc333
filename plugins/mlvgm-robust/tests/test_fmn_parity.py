"""FMN is no farther than the nearest of foolbox at equal iterations: 1 % on the whole, 5 % on any image."""

from __future__ import annotations

import pytest
import torch
from golden_classifier import attack_context, classifier, run, stored
from linear_models import linear_problem
from torch import Tensor, nn

from mlvgm.plugins.load import build
from mlvgm.protocols.classifier import Classifier
from mlvgm_robust.attacks.fmn import Fmn
from mlvgm_robust.attacks.geometry import distance
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target

ITERATIONS = 200
# Foolbox's L2 version of FMN never projects, so its DDN is the rival there.
RIVALS = {"L2": ("DDNAttack", "L2FMNAttack"), "Linf": ("LInfFMNAttack",)}


def small_network(seed: int, *, activation: type[nn.Module], trained: tuple[Tensor, Tensor] | None = None) -> nn.Module:
    """Two convolutions and two layers, with the weights it is born with or after a few hundred steps."""
    torch.manual_seed(seed)
    channels, side = (3, 12) if trained is None else trained[0].shape[1:3]
    layers = (
        *(nn.Conv2d(channels, 12, 3, 2, 1), activation(), nn.Conv2d(12, 24, 3, 2, 1), activation(), nn.Flatten()),
        *(nn.Linear(24 * (side // 4) ** 2, 48), activation(), nn.Linear(48, 10)),
    )
    network = nn.Sequential(*layers)
    network.classes = 10  # type: ignore[assignment]
    if trained is not None:
        x, y = trained
        optimiser = torch.optim.Adam(network.parameters(), 2e-3)
        for _ in range(400):
            rows = torch.randint(0, len(x), (64,))
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimiser.step()
    return network.requires_grad_(False).eval()


def compare(model: Classifier, images: Tensor, labels: Tensor, norm: str) -> None:
    foolbox = pytest.importorskip("foolbox")
    net = nn.Identity()
    net.forward = lambda x: model(x)  # type: ignore[method-assign]
    wrapped = foolbox.PyTorchModel(net.eval(), bounds=(0, 1), device="cpu")
    found = []
    for name in RIVALS[norm]:
        _, theirs, success = getattr(foolbox.attacks, name)(steps=ITERATIONS)(wrapped, images, labels, epsilons=None)
        found.append(distance(theirs - images, norm).masked_fill(~success, torch.inf))  # type: ignore[arg-type]
    best = torch.stack(found).amin(0)
    far = best > 1e-3  # nearer images are a matter of rounding
    ours = run(Fmn(norm, iterations=ITERATIONS, restarts=1), Defence(model), images, labels)  # type: ignore[arg-type]
    assert (model(ours).argmax(1) != labels).all()
    ratio = (distance(ours - images, norm) / best)[far]  # type: ignore[arg-type]
    assert len(ratio) > 0.8 * len(images)
    assert ratio.median() <= 1.01 and ratio.max() <= 1.05, ratio


@pytest.fixture
def random_state() -> None:
    state = torch.random.get_rng_state()
    yield
    torch.random.set_rng_state(state)


@pytest.mark.parametrize("norm", RIVALS)
def test_on_the_golden_classifier(norm: str) -> None:
    io, _ = stored()
    compare(classifier(), io["x"], io["y"], norm)


@pytest.mark.usefixtures("random_state")
@pytest.mark.parametrize("norm", RIVALS)
def test_on_an_untrained_network(norm: str) -> None:
    network = small_network(1, activation=nn.GELU)
    x = torch.rand(24, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    compare(network, x, network(x).argmax(1), norm)


@pytest.mark.slow
@pytest.mark.usefixtures("random_state")
@pytest.mark.parametrize("norm", RIVALS)
@pytest.mark.parametrize("name", ["fashion-cnn", "relu", "tanh", "gelu"])
def test_on_clothes(name: str, norm: str) -> None:
    data = build("datasets", "fashion-mnist")
    x, y = data.batch("test", range(64))
    if name == "fashion-cnn":
        model: Classifier = build("classifiers", name, data=data.info)
    else:
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}[name]
        model = small_network(2, activation=activation, trained=data.batch("test", range(64, 1500)))
    right = model(x).argmax(1) == y
    compare(model, x[right][:32], y[right][:32], norm)


@pytest.mark.parametrize(("iterations", "restarts", "classes"), [(200, 1, 10), (50, 1, 10), (100, 3, 5), (200, 1, 2)])
def test_no_more_passes_than_of_plain_gradient_steps(iterations: int, restarts: int, classes: int) -> None:
    model, x, y = linear_problem(classes=classes, images=4, shape=(1, 5, 5), seed=1)
    target = Target(Defence(model), samples=range(4))
    Fmn(iterations=iterations, restarts=restarts)(target, x, y, context=attack_context(range(4)))
    assert target.counts.backwards <= 4 * iterations * restarts
    passes = target.counts.forwards + target.counts.backwards
    assert 1.9 < passes / (4 * iterations * restarts) <= 2


def test_steps_are_shared_out_between_starts() -> None:
    assert len(Fmn(iterations=200, restarts=1).shares(9)) == 4
    assert len(Fmn(iterations=200, restarts=1).shares(2)) == 2
    assert len(Fmn(iterations=30, restarts=2).shares(9)) == 2
    assert Fmn(iterations=1, restarts=1).shares(1) == [1]
    shares = Fmn(iterations=100, restarts=3).shares(9)
    assert max(shares) - min(shares) <= 1 and len(shares) == 6
