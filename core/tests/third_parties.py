"""Distributions of other people, each broken in a way of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

from fake_site import Site

CONFIG = """
import torch
from typing import ClassVar
from pydantic import BaseModel, ConfigDict, Field, field_validator

class Config(BaseModel):
    model_config = ConfigDict(frozen=True)
    eps: float = Field(1.0, ge=0, description="radius")
"""
HOOK = "from mlvgm.plugins.hookspecs import hookimpl\n@hookimpl\n"


def attack(call: str = "return images", *, norm: str = "L2", build: str = "(config): return Attack()") -> str:
    return f"""{CONFIG}
from mlvgm.protocols.attack import AttackInfo

class Attack:
    info = AttackInfo("mine", "{norm}", 1.0)
    def __call__(self, target, images, labels, *, targets=None, context):
        {call}

def build{build}
"""


def purifier(purify: str, *, to: str = "return self", build: str = "(config)") -> str:
    return f"""{CONFIG}
class Purifier:
    stochastic, differentiable = False, True
    def to(self, device):
        {to}
    def noise(self, keys):
        return keys
    def purify(self, images, noise):
        {purify}

def build{build}:
    return Purifier()
"""


def classifier(call: str, *, classes: str = "classes = 10") -> str:
    return f"""{CONFIG}
class Classifier:
    {classes}
    def to(self, device):
        return self
    def __call__(self, images):
        {call}

def build(config, *, data):
    return Classifier()
"""


def dataset(batch: str = "pass", *, size: str = "4") -> str:
    return f"""{CONFIG}
from mlvgm.latents import ImageSpec
from mlvgm.protocols.data import DataInfo

class Data:
    info = DataInfo("mine", ImageSpec(1, 32, 32), tuple("0123456789"), "MIT", "memory")
    def size(self, split):
        return {size}
    def batch(self, split, ids):
        images, labels = torch.zeros(len(ids), 1, 32, 32), torch.zeros(len(ids), dtype=torch.long)
        {batch}
        return images, labels

def build(config):
    return Data()
"""


def check(identity: str, call: str) -> str:
    return f"""{CONFIG}
from mlvgm_robust.audit.finding import CheckInfo

class Check:
    info = CheckInfo("{identity}")
    def __call__(self, subject, *, context):
        {call}

def build(config):
    return Check()
"""


THREE = CONFIG + "\ndef build(config):\n    return 3\n"
UNEVEN = "expected images float32 (2, 1, 32, 32), got float32 (2, 1, 16, 32)"


@dataclass(frozen=True)
class Broken:
    """A broken distribution with one entry point.

    Args:
        kind: of the entry point.
        said: what is said of it where it is noticed.
        parts: source of the module with configuration and factory.
        descriptor: further arguments of the descriptor.
        module: source of the module that the entry point names, in place of one with a descriptor.
        when: who notices first: ``info`` what looks at it, ``doctor`` what makes it, ``run`` what uses it.
        target: of the entry point.
        entry: its name.
        options: ``--set`` of the command that uses it.
        requires: requirements in its metadata.
        damage: contents of files of its metadata; None removes the file.
    """

    kind: str
    said: str
    parts: str = attack()
    _: KW_ONLY
    descriptor: str = ""
    module: str = ""
    when: str = "info"
    target: str = ""
    entry: str = ""
    options: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    damage: Mapping[str, bytes | None] = field(default_factory=dict)

    def install(self, site: Site, name: str) -> None:
        module = f"broken_{name.replace('-', '_')}"
        arguments = {"summary": "''", "factory": f"'{module}_parts:build'", "config": f"'{module}_parts:Config'"}
        given = [f"{key}={text}" for key, text in arguments.items() if f"{key}=" not in self.descriptor]
        described = f"component = Component({', '.join([*given, self.descriptor])})"
        source = self.module or f"from mlvgm.plugins.descriptors import *\n{described}\n"
        target = self.target or (module if self.kind == "hooks" else f"{module}:component")
        site.install(
            f"third-{name}",
            entry_points={f"mlvgm.{self.kind}": {self.entry or name: target}},
            modules={module: source, f"{module}_parts": self.parts},
            requires=self.requires,
        )
        for file, content in self.damage.items():
            path = site.folder / f"third_{name}-1.0.dist-info" / file  # no name with damage has a dash
            path.unlink()
            if content is not None:
                path.write_bytes(content)


COMPONENTS = {
    "imports": Broken("attacks", "ZeroDivisionError: division by zero", module="1/0"),
    "exits": Broken("attacks", "SystemExit: 0", module="raise SystemExit(0)"),
    "empty": Broken("attacks", "has no attribute 'component'", module="x = 1"),
    "mapping": Broken("attacks", "is a dict, expected a Component", module="component = {}"),
    "target": Broken("attacks", "expected module:attribute, got 'a b:c'", target="a b:c"),
    "no-colon": Broken("attacks", "factory: expected 'module:attribute'", descriptor="factory='somewhere.build'"),
    "no-text": Broken("attacks", "factory: expected text", descriptor="factory=print"),
    "no-config": Broken("attacks", "No module named 'nowhere'", descriptor="config='nowhere:Config'"),
    "other-config": Broken("attacks", "expected a subclass of pydantic", descriptor="config='json:JSONEncoder'"),
    "old": Broken("attacks", "is written against protocols 9.0", descriptor="api=(9, 0)"),
    "api": Broken("attacks", "api: expected two whole numbers", descriptor="api='1.0'"),
    "list": Broken("attacks", "capabilities: expected a mapping", descriptor="capabilities=['gradient']"),
    "access": Broken("attacks", "'access': expected one of gradient", descriptor="capabilities={'access': 'none'}"),
    "needs": Broken("attacks", "'needs_encoder': expected bool", descriptor="capabilities={'needs_encoder': 'yes'}"),
    "argument": Broken("attacks", "argument 'nothing' is no field", descriptor="argument='nothing'"),
    "core": Broken("attacks", "needs mlvgm-core>=99", requires=("mlvgm-core>=99",)),
    "budgets": Broken(
        "attacks",
        "demo sets 'epss', which is no option",
        CONFIG + "    BUDGETS: ClassVar = {'demo': {'epss': 1}}\n",
        when="doctor",
    ),
    "factory": Broken("attacks", "No module named 'nowhere'", descriptor="factory='nowhere:build'", when="doctor"),
    "raises": Broken(
        "attacks", "failed: ValueError: no", attack(build="(config): raise ValueError('no')"), when="doctor"
    ),
    "quits": Broken("attacks", "failed: SystemExit: 0", attack(build="(config): raise SystemExit(0)"), when="doctor"),
    "int": Broken("attacks", "returned an int without info", THREE, when="doctor"),
    "nothing": Broken("attacks", "returned a NoneType", attack(build="(config): pass"), when="doctor"),
    "class": Broken("attacks", "returned the class Attack", attack(build="(config): return Attack"), when="doctor"),
    "takes-nothing": Broken("attacks", "failed: TypeError", attack(build="(): return Attack()"), when="doctor"),
    "wants": Broken("attacks", "wants 'model'", attack(build="(config, *, model): return Attack()"), when="doctor"),
    "norm": Broken("attacks", "norm: expected Linf, L2 or L1, got 'L7'", attack(norm="L7")),
    "ignores": Broken(
        "attacks", "attack.epss: unknown option (did you mean 'eps'?", options=("attack.epss=2",), when="run"
    ),
    "required": Broken("attacks", "attack.eps: is required", attack().replace("Field(1.0, ", "Field("), when="run"),
    "validator": Broken(
        "attacks",
        "cannot check its options: KeyError",
        attack().replace(
            "\nfrom mlvgm", "    @field_validator('eps')\n    def check(cls, value): return {}[value]\n\nfrom mlvgm"
        ),
        options=("attack.eps=2",),
        when="run",
    ),
    "crashes": Broken("attacks", "failed: RuntimeError: boom", attack("raise RuntimeError('boom')"), when="run"),
    "ends": Broken("attacks", "failed: SystemExit: 0", attack("raise SystemExit(0)"), when="run"),
    "shape": Broken("attacks", f"attack 'mine': {UNEVEN}", attack("return images[:, :, ::2]"), when="run"),
    "fewer": Broken("attacks", "got float32 (1, 1, 32, 32)", attack("return images[:1]"), when="run"),
    "double": Broken("attacks", "got float64", attack("return images.double()"), when="run"),
    "listed": Broken("attacks", "got a list", attack("return list(images)"), when="run"),
    "none": Broken("attacks", "got None", attack("return None"), when="run"),
    "no-generator": Broken(
        "purifiers", "wants 'generator'", purifier("return images", build="(config, *, generator)"), when="doctor"
    ),
    "purifies": Broken("purifiers", "failed: KeyError: 'x'", purifier("return {}['x']"), when="run"),
    "smaller": Broken(
        "purifiers", "expected images float32 (1, 1, 32, 32), got", purifier("return images[:, :, ::2]"), when="run"
    ),
    "nan": Broken("purifiers", "Purifier gives images with NaN", purifier("return images / 0 * 0"), when="run"),
    "void": Broken("purifiers", "got None", purifier("return None"), when="run"),
    "unmoved": Broken("purifiers", "its to() returned a NoneType", purifier("return images", to="pass"), when="run"),
    "seven": Broken(
        "classifiers",
        "expected logits float32 (1, 10), got",
        classifier("return torch.zeros(len(images), 7)"),
        when="run",
    ),
    "three": Broken(
        "classifiers",
        "has 3 classes",
        classifier("return torch.zeros(len(images), 3)", classes="classes = 3"),
        when="run",
    ),
    "infinite": Broken(
        "classifiers", "gives NaN or infinite", classifier("return torch.ones(len(images), 10) / 0"), when="run"
    ),
    "classless": Broken(
        "classifiers", "a Classifier without classes", classifier("return images", classes=""), when="doctor"
    ),
    "ten": Broken(
        "classifiers", "whose classes is a str", classifier("return images", classes="classes = 'ten'"), when="doctor"
    ),
    "uneven": Broken("datasets", UNEVEN, dataset("images = images[:, :, ::2]"), when="run"),
    "bytes": Broken("datasets", "got uint8", dataset("images = images.byte()"), when="run"),
    "255": Broken("datasets", "in [0, 1], got values from 255 to 255", dataset("images = images + 255"), when="run"),
    "not-a-number": Broken("datasets", "in [0, 1], got values from nan", dataset("images = images / 0"), when="run"),
    "labels": Broken("datasets", "labels from 0 to 9, got 10 to 10", dataset("labels = labels + 10"), when="run"),
    "one-label": Broken("datasets", "labels int64 (2,), got int64 (1,)", dataset("labels = labels[:1]"), when="run"),
    "alone": Broken("datasets", "two tensors, got float32", dataset("return images"), when="run"),
    "gone": Broken(
        "datasets", "failed to read split 'test': OSError: gone", dataset("raise OSError('gone')"), when="run"
    ),
    "many": Broken("datasets", "number of images of split 'test', got 'many'", dataset(size="'many'"), when="run"),
    "three-made": Broken("generators", "returned an int without latents", THREE, when="doctor"),
    "recipe": Broken(
        "generators",
        "recipe 'mine' sets generator.temprature, which is no option",
        descriptor="recipes={'purify': (Recipe('mine', {'generator.temprature': 1}),)}",
    ),
    "recipes": Broken("generators", "recipes: expected a tuple of Recipe", descriptor="recipes=('mine',)"),
    "checksum": Broken(
        "generators", "sha256: expected 64", descriptor="weights=(Weights('w', 'a:b', 'abc', 'MIT', ''),)"
    ),
    "no-weights": Broken(
        "generators",
        "its weights 'w' are missing",
        descriptor=f"weights=(Weights('w', 'nowhere:b', '{'0' * 64}', 'MIT', ''),)",
        when="doctor",
    ),
}
CHECKS = {
    "mine.imports": Broken("checks", "ZeroDivisionError: division by zero", module="1/0"),
    "mine.int": Broken("checks", "returned an int without info", THREE),
    "mine.raises": Broken("checks", "failed: KeyError: 'x'", check("mine.raises", "return {}['x']"), when="run"),
    "mine.none": Broken(
        "checks", "expected a Finding of plain values, got None", check("mine.none", "return None"), when="run"
    ),
    "mine.exits": Broken("checks", "failed: SystemExit: 0", check("mine.exits", "raise SystemExit(0)"), when="run"),
}
HOOKS = {
    "imports": Broken("hooks", "does not load: broken_h_imports: ZeroDivisionError", module="1/0"),
    "unknown": Broken(
        "hooks", "implements mlvgm_nothing, an event that does not exist", module=HOOK + "def mlvgm_nothing(): pass"
    ),
    "silent": Broken("hooks", "implements no event", module="x = 1"),
    "signature": Broken("hooks", "nosuch", module=HOOK + "def mlvgm_unit_done(nosuch): pass"),
    "raises": Broken(
        "hooks",
        "hook mlvgm_unit_done of third-h_raises/raises failed: KeyError",
        module=HOOK + "def mlvgm_unit_done(run): {}['x']",
    ),
    "exits": Broken(
        "hooks",
        "hook mlvgm_unit_done of third-h_exits/exits failed: SystemExit",
        module=HOOK + "def mlvgm_unit_done(run): raise SystemExit",
    ),
}
METADATA = {
    "absent": Broken("attacks", "", damage={"METADATA": None}),
    "latin": Broken(
        "attacks", "metadata cannot be read: UnicodeDecodeError", damage={"METADATA": b"Name: m\xfc\nVersion: 1.0\n"}
    ),
    "version": Broken(
        "attacks", "", damage={"METADATA": b"Metadata-Version: 2.1\nName: third-version\nVersion: one\n"}
    ),
    "requirement": Broken("attacks", "needs what is this>>1 (no requirement", requires=("what is this>>1",)),
    "spelling": Broken("attacks", "no reference can have the name", entry="\u00dcn\u00efcode name/with: signs?"),
    "kind": Broken("atacks", "unknown kind"),
}
