"""Adapters around torchattacks and foolbox: names, options, limits, side effects, absence, and what they find."""

from __future__ import annotations

import random
import sys
from importlib import import_module
from typing import Any

import pytest
import torch
from golden_classifier import run
from linear_models import linear_problem

from mlvgm.errors import ConfigError, InputError, MlvgmError, PluginError
from mlvgm.noise import Keys
from mlvgm.plugins.load import component, config_class
from mlvgm.plugins.options import validate
from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.attacks import foolbox as foolbox_adapter
from mlvgm_robust.attacks import torchattacks as torchattacks_adapter
from mlvgm_robust.attacks.foolbox import FoolboxConfig
from mlvgm_robust.attacks.foreign import MENDED, search
from mlvgm_robust.attacks.foreign_config import ForeignConfig
from mlvgm_robust.attacks.torchattacks import TorchattacksConfig
from mlvgm_robust.evaluation.admissible import perturbation_norm
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purifiers.noise import AddNoise
from tolerance import close

ADAPTERS: dict[str, tuple[type[ForeignConfig], Any]] = {
    "torchattacks": (TorchattacksConfig, torchattacks_adapter.build),
    "foolbox": (FoolboxConfig, foolbox_adapter.build),
}


def built(reference: str) -> Any:
    """The attack a user names, without the entry points."""
    pytest.importorskip(reference.partition(":")[0])
    resolved = component("attacks", reference)
    return ADAPTERS[resolved.entry.name][1](validate(config_class(resolved), resolved.given, prefix="attack"))


def problem() -> tuple[Any, torch.Tensor, torch.Tensor]:
    return linear_problem(classes=5, images=6, shape=(3, 4, 4), seed=0)


@pytest.mark.parametrize("name", ADAPTERS)
def test_without_the_package_one_message_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, build = ADAPTERS[name]
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"pip install 'mlvgm-robust\[{name}\]'"):
        build(config(attack=next(iter(config.TRAITS))))


def test_norm_and_radius_are_the_attacks_own_and_text_becomes_numbers() -> None:
    config = TorchattacksConfig(attack="VMIFGSM", steps="20", decay="0.5", random_start="true", loss="ce")
    assert config.options == {"steps": 20, "decay": 0.5, "random_start": True, "loss": "ce"}
    assert (config.norm, config.eps) == ("Linf", 8 / 255)
    assert TorchattacksConfig(attack="APGD", norm="L2").eps == 1.0
    assert TorchattacksConfig(attack="CW").info().eps is None
    assert FoolboxConfig(attack="L2FMNAttack").info().eps is None
    assert FoolboxConfig(attack="L2FMNAttack", eps="0.5").info().eps == 0.5
    assert FoolboxConfig(attack="BoundaryAttack").info().access == "label"
    # What is stored is what is read again.
    assert TorchattacksConfig(**config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (TorchattacksConfig, {"attack": "VMIFGMS"}, "did you mean 'VMIFGSM'"),
        (TorchattacksConfig, {"attack": "LGV"}, "needs training data"),
        (TorchattacksConfig, {"attack": "PGD", "norm": "L2"}, "works in Linf, came norm L2"),
        (TorchattacksConfig, {"attack": "CW", "eps": 1.0}, "takes no eps"),
        (FoolboxConfig, {"attack": "L2PDG"}, "did you mean 'L2PGD'"),
        (FoolboxConfig, {"attack": "SpatialAttack"}, "no norm measures"),
    ],
)
def test_what_cannot_be_meant_is_refused(config: type[ForeignConfig], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**options)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("torchattacks:PGD?step=3", "did you mean 'steps'"),
        ("torchattacks:PGD?model=3", "unknown option"),
        ("foolbox:L2PGD?step=3", "did you mean 'steps'"),
        ("foolbox:VirtualAdversarialAttack", "needs the option 'steps'"),
        ("torchattacks:PGD?steps=x", "'steps' of attack 'torchattacks:PGD': expected a number, came 'x'"),
        ("torchattacks:PGD?steps=true", "expected a number, came True"),
        ("torchattacks:PGD?random_start=maybe", "expected true or false, came 'maybe'"),
        ("torchattacks:UPGD?loss=3", "expected a text, came 3"),
        ("foolbox:LinfPGD?steps=z", "expected a whole number, came 'z'"),
        ("foolbox:LinfPGD?steps=2.5", "expected a whole number, came 2.5"),
        ("foolbox:VirtualAdversarialAttack?steps=z", "expected a whole number, came 'z'"),
        ("foolbox:LinfPGD?abs_stepsize=z", "expected a number or none, came 'z'"),
    ],
)
def test_options_are_those_of_the_constructor(reference: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(reference)


@pytest.mark.parametrize(
    "reference",
    [
        "torchattacks:CW?c=0.5&kappa=1",
        "torchattacks:PGD?alpha=1&random_start=False",
        "foolbox:LinfPGD?abs_stepsize=None&rel_stepsize=1",
        "foolbox:LinfPGD?abs_stepsize=0.1",
        "foolbox:L2CarliniWagnerAttack?confidence=0.5",
        "foolbox:EADAttack?decision_rule=L1",
    ],
)
def test_options_may_be_whole_where_the_default_is_a_fraction_and_the_other_way_round(reference: str) -> None:
    assert built(reference).options


def test_traits_of_torchattacks_are_what_its_constructors_say() -> None:
    import inspect

    library = pytest.importorskip("torchattacks")
    base = import_module("torchattacks.attack").Attack
    theirs = {name for name, value in vars(library).items() if inspect.isclass(value) and issubclass(value, base)}
    assert theirs == {*TorchattacksConfig.TRAITS, *TorchattacksConfig.REFUSED}
    for name, trait in TorchattacksConfig.TRAITS.items():
        parameters = inspect.signature(getattr(library, name)).parameters
        assert {trait.radius, trait.norm} - {""} <= set(parameters), name
        assert trait.minimal == (not {"eps", "max_epsilon"} & set(parameters)), name
        assert bool(trait.norm) == ("norm" in parameters), name


def test_traits_of_foolbox_are_what_its_classes_say() -> None:
    import inspect

    pytest.importorskip("foolbox")
    library, base = import_module("foolbox.attacks"), import_module("foolbox.attacks.base")
    theirs = {n for n, v in vars(library).items() if inspect.isclass(v) and issubclass(v, base.Attack)} - {"Attack"}
    assert theirs == {*FoolboxConfig.TRAITS, *FoolboxConfig.REFUSED}
    for name, trait in FoolboxConfig.TRAITS.items():
        kind = getattr(library, name)
        assert trait.minimal == issubclass(kind, base.MinimizationAttack), name
        if trait.norm:
            assert trait.norm in inspect.signature(kind).parameters, name
        else:
            measured = kind.distance
            if isinstance(measured, property):
                measured = kind().distance
            assert str(measured).lower() == f"{trait.norms[0]} distance".lower(), name


REFERENCES = [
    "torchattacks:VMIFGSM?steps=5&eps=0.1",
    "torchattacks:PGDL2?steps=5&eps=0.5",
    "torchattacks:PIFGSM?eps=0.1",
    "torchattacks:APGDT?norm=L2&eps=0.5&steps=5",
    "torchattacks:Square?eps=0.1&n_queries=20",
    "torchattacks:SPSA?eps=0.1",
    "torchattacks:CW?steps=20&c=10",
    "foolbox:LinfPGD?steps=5&eps=0.1",
    "foolbox:SparseL1DescentAttack?steps=5&eps=1",
    "foolbox:L2FMNAttack?steps=30",
    "foolbox:DDNAttack?steps=20&eps=0.3",
    "foolbox:GaussianBlurAttack?steps=5&norm=Linf",
]


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("reference", REFERENCES)
def test_candidates_stay_in_ball_and_box_and_nothing_global_changes(reference: str, noise: float) -> None:
    attack = built(reference)
    model, x, y = problem()
    defence = Defence(model, AddNoise(noise), votes=2)
    numpy = import_module("numpy")
    torch_state, python_state = torch.random.get_rng_state(), random.getstate()
    numpy_state = numpy.random.get_state()[1].tolist()
    given = x.clone()
    found = run(attack, defence, x, y)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert random.getstate() == python_state
    assert numpy.random.get_state()[1].tolist() == numpy_state
    assert torch.equal(x, given)
    assert found.shape == x.shape and found.min() >= 0 and found.max() <= 1
    if attack.info.eps is not None:
        assert perturbation_norm(found, x, attack.info.norm).max() <= attack.info.eps + 1e-6
    # The global generator's state is no argument: seeds are.
    torch.manual_seed(1)
    assert torch.equal(run(attack, defence, x, y), found)


class Plain(torch.nn.Module):
    """The classifier as somebody who uses the library alone would wrap it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.dummy = model, torch.nn.Parameter(torch.zeros(0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images)


def test_results_are_those_of_the_libraries() -> None:
    model, x, y = problem()
    plain = Plain(model).eval()
    cw = built("torchattacks:CW?steps=100&c=10")
    close(run(cw, Defence(model), x, y), import_module("torchattacks").CW(plain, c=10, steps=100)(x, y))
    bounded = import_module("torchattacks").APGD(plain, norm="L2", eps=0.02, steps=7)(x, y)
    close(run(built("torchattacks:APGD?norm=L2&eps=0.02&steps=7&seed=0"), Defence(model), x, y), bounded)
    foolbox = import_module("foolbox")
    wrapped = foolbox.PyTorchModel(plain, bounds=(0, 1), device="cpu")
    for name, eps in (("L2FMNAttack", None), ("DDNAttack", 0.01), ("LinfBasicIterativeAttack", 0.01)):
        theirs = getattr(import_module("foolbox.attacks"), name)()(wrapped, x, y, epsilons=eps)[1]
        reference = f"foolbox:{name}" if eps is None else f"foolbox:{name}?eps={eps}"
        close(run(built(reference), Defence(model), x, y), theirs)


def test_deepfool_finds_the_distance_in_closed_form() -> None:
    model, x, y = problem()
    found = run(built("foolbox:L2DeepFoolAttack"), Defence(model), x, y)
    assert (model(found).argmax(1) != y).all()
    ratio = perturbation_norm(found, x, "L2") / model.distances(x, y, dual=2)
    assert ratio.min() >= 1 - 1e-4 and ratio.max() <= 1.1


@pytest.mark.parametrize("reference", ["torchattacks:PGD?steps=20&eps=0.2&alpha=0.02", "foolbox:LinfPGD?eps=0.2"])
def test_wanted_classes_are_reached(reference: str) -> None:
    attack = built(reference)
    model, x, y = problem()
    wanted = (y + 1) % 5
    assert (model(run(attack, Defence(model), x, y, targets=wanted)).argmax(1) == wanted).all()


def test_attacks_that_cannot_aim_say_so() -> None:
    model, x, y = problem()
    with pytest.raises(InputError, match="aim"):
        run(built("torchattacks:TPGD?steps=1"), Defence(model), x, y, targets=y)
    with pytest.raises(PluginError, match="NewtonFoolAttack' failed"):
        run(built("foolbox:NewtonFoolAttack?steps=1"), Defence(model), x, y, targets=y)


def test_failures_of_foreign_code_are_told_in_one_line() -> None:
    model, x, y = problem()
    with pytest.raises(MlvgmError, match=r"'torchattacks:UPGD' failed: .*nonsense") as raised:
        run(built("torchattacks:UPGD?loss=nonsense"), Defence(model), x, y)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("eps", "expected"), [(0.25, [1, 1, 1, 0, 0, 0]), (None, [0, 1, 1, 0, 0, 0])])
def test_what_has_to_be_mended_is_noted(eps: float | None, expected: list[int]) -> None:
    model, x, _ = problem()
    x = 0.25 + x / 2
    given = x.clone()
    given[0, 0, 0, 0] += 0.2501
    given[1, 0, 0, 0] = torch.nan
    given[2, 0, 0, 0] = -0.01
    given[3, 0, 0, 0] += 0.25  # as far as is allowed, up to rounding
    notes = dict[str, torch.Tensor]()
    context = AttackContext(
        keys=Keys.of(seed=0, purpose="attacker", samples=range(6)), eot=1, selection=1, note=notes.__setitem__
    )
    target = Target(Defence(model), samples=range(6))
    found = search(lambda *given_to: given, target, x, info=AttackInfo("it", "Linf", eps), context=context)
    assert notes[MENDED].tolist() == expected
    assert found.isfinite().all() and found.min() >= 0


def test_no_images_are_no_work() -> None:
    model, x, y = problem()
    assert run(built("torchattacks:PGD"), Defence(model), x[:0], y[:0]).shape == (0, *x.shape[1:])
