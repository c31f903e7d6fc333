"""What core asks of other people's descriptors, factories and answers, in small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ConfigDict
from toys import Additive, Brightness, Shift

from fake_site import Site
from mlvgm.cli.layout import aligned
from mlvgm.errors import ConfigError, InputError, PluginError
from mlvgm.foreign.answers import check_logits, check_pixels, check_purified
from mlvgm.foreign.others import NotFinite
from mlvgm.latents import ImageSpec
from mlvgm.plugins.blame import blamed
from mlvgm.plugins.contracts import difference
from mlvgm.plugins.descriptors import Component, Recipe, Weights
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.kinds import protocols
from mlvgm.plugins.load import built, component, configured, presets
from mlvgm.plugins.making import make
from mlvgm.plugins.options import table, validate
from mlvgm.plugins.wellformed import complaint
from mlvgm.protocols.attack import AttackInfo
from mlvgm.protocols.data import DataInfo, Split
from mlvgm.reading import read, size_of
from mlvgm_robust.audit.configured import configured_attack
from mlvgm_robust.audit.subject import adjusted, effort
from mlvgm_robust.evaluation.defence import Defence

ENTRY = Entry("purifiers", "mine", "third-party", "1.0", "mine:component")


def made(factory: Callable[..., Any], **parts: object) -> Any:
    return make(ENTRY, "mine:build", factory, "configuration", parts, protocols=protocols(ENTRY.kind))


def test_factories_get_what_they_declare() -> None:
    given: dict[str, object] = {}

    def keep(**named: object) -> Additive:
        given.clear()
        given.update(named)
        return Additive(0.1)

    def exact(config: object, *, generator: object) -> Additive:
        return keep(config=config, generator=generator)

    assert made(exact, generator=1, data=2) == Additive(0.1) and given == {"config": "configuration", "generator": 1}
    made(lambda config: keep(config=config), generator=1, data=2)
    assert given == {"config": "configuration"}
    made(lambda config, **parts: keep(**parts), generator=1, data=None)
    assert given == {"generator": 1}
    made(lambda config, *, generator="own": keep(generator=generator), generator=None)
    assert given == {"generator": "own"}
    with pytest.raises(PluginError, match=r"plugin purifiers/mine of third-party 1\.0: .* wants 'generator'"):
        made(exact, generator=None, data=2)


def test_what_factories_make_is_an_instance_of_the_protocol() -> None:
    class Unmoved(Additive):
        to = None  # type: ignore[assignment]

    class Random(Additive):
        stochastic = "yes"  # type: ignore[assignment]

    assert (
        difference(Additive(0.1), protocols("purifiers")) is None
        and difference(object(), protocols("policies")) is None
    )
    for wrong, said in (
        (Additive, "the class Additive itself"),
        (3, "an int without stochastic"),
        (Unmoved(0.1), "without to()"),
        (Brightness(), "without stochastic"),
    ):
        assert said in str(difference(wrong, protocols("purifiers")))
    assert "whose classes is a str, not an int" in str(difference(Brightness(classes="2"), protocols("classifiers")))  # type: ignore[arg-type]
    assert "whose info is a str" in str(difference(dataclass(type("Told", (), {"info": "x"}))(), protocols("attacks")))
    for failing in (ValueError("no"), SystemExit(0)):

        def build(config: object, failing: BaseException = failing) -> None:
            raise failing

        with pytest.raises(PluginError, match=f"its factory mine:build failed: {type(failing).__name__}"):
            made(build)
    with pytest.raises(PluginError, match=r"plugin purifiers/mine of third-party 1\.0: .* returned an int without"):
        made(lambda config: 3)
    with pytest.raises(InputError, match=r"^a file is missing$"):  # a plugin's own words are kept

        def refuse(config: object) -> None:
            raise InputError("a file is missing")

        made(refuse)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"factory": "a.b"}, "factory: expected 'module:attribute'"),
        ({"config": None}, "config: expected text"),
        ({"converter": "convert"}, "converter: expected 'module:attribute'"),
        ({"api": (1,)}, "api: expected two whole numbers"),
        ({"capabilities": {"differentiable": "no"}}, "'differentiable': expected bool"),
        ({"capabilities": {"requirement": True}}, "'requirement': expected int"),
        ({"capabilities": {"access": "all"}}, "'access': expected one of"),
        ({"capabilities": {"own": "word"}}, None),
        ({"weights": (Weights("w", "a:b", "0" * 64, "MIT", ""),)}, None),
        ({"weights": (Weights("w", "a:b", "0" * 63, "MIT", ""),)}, "sha256: expected 64"),
        ({"weights": (Weights("w", "b", "0" * 64, "MIT", ""),)}, "file: expected 'package:path'"),
        ({"recipes": {"j": (Recipe("r", {"generator.x": 1}),)}}, None),
        ({"recipes": {"j": (Recipe("r", ("x",)),)}}, "options: expected a mapping"),  # type: ignore[arg-type]
    ],
)
def test_descriptors(changes: dict[str, Any], said: str | None) -> None:
    found = complaint(Component(**{"summary": "", "factory": "a:b", "config": "a:b", **changes}))
    assert found is None if said is None else said in str(found)


class Inner(BaseModel):
    depth: int = 1


class Lax(BaseModel):
    eps: float = 1.0
    inner: Inner = Inner()


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


def test_unknown_options_are_refused_whatever_the_model_does() -> None:
    for options, said in (
        ({"epss": 1}, r"^attack\.epss: unknown option \(did you mean 'eps'\?"),
        ({"inner": {"dept": 1}}, r"^attack\.inner\.dept: unknown option \(did you mean 'depth'\?"),
        ({"epss": 1, "eps": "x"}, r"attack\.epss: .*; attack\.eps: "),
    ):
        with pytest.raises(ConfigError, match=said):
            validate(Lax, options, prefix="attack")
    assert validate(Lax, {"inner": {"depth": 2}}, prefix="attack").inner.depth == 2  # type: ignore[attr-defined]
    assert validate(Open, {"anything": 1}, prefix="attack").anything == 1  # type: ignore[attr-defined]


def test_budgets_name_options_that_exist(site: Site) -> None:
    site.install_working("mlvgm-good", "good_module", name="good")
    path = site.folder / "good_module_built.py"
    source = path.read_text().replace("    eps:", "    BUDGETS: ClassVar = {'demo': {'epss': 2}}\n    eps:", 1)
    path.write_text(source.replace("import Any", "import Any, ClassVar"))
    resolved = component("attacks", "good", index=site.index())
    with pytest.raises(PluginError, match=r"plugin attacks/good of mlvgm-good 1\.0: BUDGETS of .* demo sets 'epss'"):
        presets(resolved)


def test_errors_are_blamed_on_the_innermost_plugin(site: Site) -> None:
    site.install_working("mlvgm-good", "good_module", name="good")
    path = site.folder / "good_module_built.py"
    path.write_text(path.read_text().replace("        return images\n", "        return {}[len(images)]\n"))
    index = site.index()
    resolved = component("attacks", "good", index=index)
    attack = built(resolved, configured(resolved, {}))
    with pytest.raises(KeyError) as caught:
        attack(None, [1, 2], None, context=None)
    blame = blamed(caught.value, index)
    assert blame is not None and blame.message == "plugin attacks/good of mlvgm-good 1.0 failed: KeyError: 2"
    with pytest.raises(ZeroDivisionError) as ours:
        _ = 1 / 0
    assert blamed(ours.value, index) is None and blamed(InputError("no"), index) is None


def test_answers_are_checked_and_name_who_gave_them() -> None:
    images = torch.zeros(2, 1, 4, 4)
    check_purified(torch.zeros(6, 1, 4, 4), images, draws=6, purifier=Additive(0.1))
    for wrong in (torch.zeros(6, 1, 2, 4), torch.zeros(5, 1, 4, 4), torch.zeros(6, 1, 4, 4).double(), None):
        with pytest.raises(PluginError, match=r"purifier toys\.Additive: expected images float32 \(6, 1, 4, 4\), got"):
            check_purified(wrong, images, draws=6, purifier=Additive(0.1))  # type: ignore[arg-type]
    check_logits(torch.zeros(2, 2), images, classifier=Brightness())
    for bad in (torch.zeros(2, 3), torch.zeros(1, 2), torch.zeros(2, 2, dtype=torch.long), [0, 1]):
        with pytest.raises(PluginError, match=r"classifier toys\.Brightness: expected logits"):
            check_logits(bad, images, classifier=Brightness())  # type: ignore[arg-type]
    with pytest.raises(NotFinite, match=r"toys\.Brightness gives NaN"):
        check_logits(torch.full((2, 2), torch.nan), images, classifier=Brightness())
    with pytest.raises(PluginError, match=r"purifier toys\.Additive gives images with NaN"):
        check_pixels(images / 0, purifier=Additive(0.1))
    with pytest.raises(PluginError, match=r"purifier toys\.Additive gives images with NaN"):
        Defence(Brightness(), Additive(float("nan")))(images)


INFO = DataInfo("mine", ImageSpec(1, 2, 2), ("a", "b"), "MIT", "memory")


@dataclass
class Data:
    images: Any
    labels: Any = None
    count: Any = 2
    info: DataInfo = INFO

    def size(self, split: Split) -> Any:
        return self.count

    def batch(self, split: Split, ids: Sequence[int]) -> Any:
        return self.images, torch.zeros(2, dtype=torch.long) if self.labels is None else self.labels


def test_batches_are_checked() -> None:
    good = torch.rand(2, 1, 2, 2)
    assert read(Data(good), "test", [0, 1])[0] is good and size_of(Data(good), "test") == 2
    read(Data(good, torch.tensor([-1, 1])), "test", [0, 1])
    for images in (good[:1], good[:, :, :1], good.double(), good + 1, good - 1, good / 0, [good, good]):
        with pytest.raises(PluginError, match=r"^data set 'mine' \(.*Data\): expected"):
            read(Data(images), "test", [0, 1])
    for labels in (torch.tensor([0]), torch.tensor([0.0, 1]), torch.tensor([0, 2]), torch.tensor([-2, 0])):
        with pytest.raises(PluginError, match="expected labels"):
            read(Data(good, labels), "test", [0, 1])
    for count in ("many", -1, True, None):
        with pytest.raises(PluginError, match="expected the number of images"):
            size_of(Data(good, count=count), "test")


def test_attacks_of_any_make_take_other_options(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install_working("mlvgm-good", "good_module", name="good")
    monkeypatch.setenv("MLVGM_PLUGINS", "mlvgm-good")
    resolved = component("attacks", "good")
    attack = configured_attack(built(resolved, configured(resolved, {"eps": 2})), "good", {"eps": 2.0, "norm": "L2"})
    again: Any = adjusted(attack, eps=0.5)
    assert (again.attack.config.eps, again.eps, again.norm) == (0.5, 0.5, "L2")
    assert adjusted(attack, eps=0.5) == again != attack
    shift = Shift(0.1, 0.1)
    assert configured_attack(shift, "shift", {"eps": 0.1}) is shift
    with pytest.raises(Exception, match="has no option of iterations"):
        effort(attack)


def test_infos_of_attacks_are_checked() -> None:
    assert AttackInfo("a", "L1", None).eps is None
    for wrong in (("L7", 1.0, "score"), ("L2", -1.0, "score"), ("L2", float("nan"), "score"), ("L2", 1.0, "all")):
        with pytest.raises(ValueError, match=r"attack 'mine': (norm|eps|access): expected"):
            AttackInfo("mine", *wrong)  # type: ignore[arg-type]


def test_columns_wrap_between_words() -> None:
    rows = [("NAME", "MEANING"), ("attack.eps", "radius of the ball, in units of pixels between nought and one")]
    assert aligned(rows, None)[1].startswith("attack.eps  radius of the ball, in units of pixels between")
    for width in (44, 30):
        lines = aligned(rows, width)
        assert all(len(line) <= width for line in lines)
        assert " ".join(" ".join(lines).split()) == "NAME MEANING attack.eps " + rows[1][1]


def test_types_are_those_that_users_write() -> None:
    class Config(BaseModel):
        count: int | None = None
        on: bool = True
        pair: tuple[float, ...] = (0.5,)

    rows = {row.name: (row.type, row.default) for row in table(Config)}
    assert rows == {"count": ("int | null", "null"), "on": ("bool", "true"), "pair": ("list of float", "[0.5]")}
