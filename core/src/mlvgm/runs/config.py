"""Configuration of a purification run, down to the last option, and as re-runnable YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlvgm.errors import ConfigError
from mlvgm.pipelines.slug import slug
from mlvgm.plugins.descriptors import Kind
from mlvgm.plugins.options import validate
from mlvgm.runs.settings import from_file, nest

Budget = Literal["demo", "standard", "rigorous"]
ProtocolName = Literal["published", "rigorous", "smoke"]
MOST_THREADS = 1024  # OpenMP dies of many more
_MOST_DRAWS = 10_000
_LONGEST_LABEL = 100

COMPONENTS: dict[str, Kind] = {
    "data": "datasets",
    "classifier": "classifiers",
    "attack": "attacks",
    "generator": "generators",
    "encoder": "encoders",
    "purifier": "purifiers",
}
DEFAULT_NAMES = {
    "data": "fashion-mnist",
    "classifier": "fashion-cnn",
    "attack": "autoattack",
    "generator": "nvae",
    "encoder": "inversion",
    "purifier": "mlvgm",
}


class Named(BaseModel):
    """A component: its name and all its options."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(description="name of the component, NAME or NAME:ARGUMENT")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class Row(BaseModel):
    """One defence of the comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(description="row of the table; names its work units")
    note: str = Field("", description="said wherever its numbers appear")
    classifier: Named | None = Field(None, description="classifier of this defence in place of the run's")
    generator: Named | None = Field(None, description="generator the purifier uses")
    encoder: Named | None = Field(None, description="finds latents in place of the generator's own encoder, if any")
    purifier: Named = Field(description="purifier in front of the classifier")


class AttackRow(BaseModel):
    """One attack of the comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(description="column of tables; names its work units")
    attack: Named = Field(description="the attack")
    rows: tuple[str, ...] | None = Field(None, description="labels of the defences it attacks; all of them if null")
    limit: int | None = Field(None, ge=1, description="the first LIMIT of the run's images; all of them if null")


class PurifyConfig(BaseModel):
    """Everything a purification run depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
        "demo": {"limit": 64, "eot": 4, "selection": 16, "score": 20, "votes": 8},
        "standard": {"limit": 256, "eot": 8, "selection": 32, "score": 32, "votes": 16},
        "rigorous": {"limit": 1000, "eot": 20, "selection": 64, "score": 64, "votes": 32},
    }

    run: Literal["purify"] = "purify"
    budget: Budget = Field("demo", description="named preset of sample size and attack effort")
    protocol: ProtocolName | None = Field(
        None, description="what is set together: as published (arXiv 2412.03453), rigorous with an audit, or smoke"
    )
    seed: int = Field(0, ge=0, description="seed of all noise")
    split: Literal["test", "validation"] = Field("test", description="split the images come from")
    limit: int | None = Field(None, ge=1, description="images: the first LIMIT of the split; all if null")
    votes: int = Field(16, ge=1, le=_MOST_DRAWS, description="draws in one deployed decision of a random defence")
    rule: Literal["logits", "probabilities", "majority"] = Field("logits", description="how votes are aggregated")
    clamp: Literal["hard", "none"] = Field(
        "hard", description="purified images are clamped to [0, 1] before they are classified; none: as published"
    )
    eot: int = Field(8, ge=1, le=_MOST_DRAWS, description="draws of the defence in each gradient of an attack")
    selection: int = Field(32, ge=2, le=_MOST_DRAWS, description="fresh draws on which candidates compete")
    score: int = Field(20, ge=20, le=_MOST_DRAWS, description="fresh draws of the final score")
    block: int = Field(16, ge=1, description="images in a work unit")
    memory: int = Field(512, ge=1, description="most images × draws in one differentiated pass")
    gradient: Literal["auto", "exact", "bpda"] = Field(
        "auto",
        description="what attacks follow through purifiers; auto: exact, or BPDA where there is no exact gradient",
    )
    device: str = Field("cpu", description="torch device")
    threads: int = Field(ge=1, le=MOST_THREADS, description="CPU threads; recorded and reused on resume")
    fail_under: float | None = Field(
        None, ge=0, le=1, description="exit code 1 if the first defence's worst case over attacks is lower"
    )
    data: Named
    classifier: Named
    attacks: tuple[AttackRow, ...] = Field(description="attacks on these defences", min_length=1)
    rows: tuple[Row, ...] = Field(description="defences compared on the same images", min_length=1)

    def components(self) -> list[tuple[str, Named]]:
        """Every component with its kind as in :data:`COMPONENTS`; those of rows as often as they stand there."""
        found = [("data", self.data), ("classifier", self.classifier)]
        found += [("attack", row.attack) for row in self.attacks]
        for row in self.rows:
            parts = {kind: getattr(row, kind) for kind in ("purifier", "classifier", "generator", "encoder")}
            found += [(kind, named) for kind, named in parts.items() if named is not None]
        return found

    def attacked(self) -> dict[str, tuple[str, ...]]:
        """Labels of the defences that each attack, by its label, attacks."""
        everyone = tuple(row.label for row in self.rows)
        return {row.label: everyone if row.rows is None else row.rows for row in self.attacks}

    @model_validator(mode="after")
    def _labels(self) -> Self:
        for what, labels in (("rows", [row.label for row in self.rows]), ("attacks", [a.label for a in self.attacks])):
            slugs = [slug(label) for label in labels]
            for label in labels:
                if not (slug(label) and label.isprintable() and len(label) <= _LONGEST_LABEL):
                    raise ValueError(
                        f"{what}: a label is at most {_LONGEST_LABEL} printable characters with a letter or digit of "
                        f"ASCII among them, came {label[: _LONGEST_LABEL + 1]!r}"
                    )
                if labels.count(label) > 1:
                    raise ValueError(f"{what}: the label '{label}' is there twice")
                if slugs.count(slug(label)) > 1:  # files are named after them
                    raise ValueError(f"two {what} are called '{label}', but for signs other than letters and digits")
        for attack in self.attacks:
            for label in attack.rows or ():
                if label not in [row.label for row in self.rows]:
                    raise ValueError(f"attack '{attack.label}' is to attack '{label}', which is no row")
        first = self.rows[0].label
        if self.fail_under is not None and not any(first in attacked for attacked in self.attacked().values()):
            raise ValueError(f"fail_under is about the first row, '{first}', which nothing attacks")
        return self


@dataclass(frozen=True)
class ResolvedConfig:
    """A configuration and the source of each of its values, by dotted key."""

    config: PurifyConfig
    sources: Mapping[str, str]

    def to_yaml(self) -> str:
        """The configuration as re-runnable YAML, each value's source as a comment."""
        lines = _annotated(self.config.model_dump(mode="json"), self.sources)
        return "\n".join(["# Re-run with: mlvgm run purify --config THIS_FILE", *lines]) + "\n"


def _annotated(tree: Any, sources: Mapping[str, str], path: str = "") -> list[str]:
    """Lines of block-style YAML; a value whose dotted path is in ``sources`` has its source as a comment."""
    lines: list[str] = []
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        here = f"{path}.{key}" if path else str(key)
        head = f"{key}:" if isinstance(tree, dict) else "-"
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value)):
            below = ["  " + line for line in _annotated(value, sources, here)]
            lines += [head, *below] if isinstance(tree, dict) else [f"- {below[0].strip()}", *below[1:]]
        else:
            text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
            text = text.removesuffix("\n").removesuffix("\n...")
            lines.append(f"{head} {text}" + (f"  # {sources[here]}" if here in sources else ""))
    return lines


def checked(tree: Mapping[str, Any]) -> PurifyConfig:
    """The configuration that nested plain values make.

    Raises:
        ConfigError: an option is unknown, missing or out of bounds.
    """
    config = validate(PurifyConfig, tree, prefix="run")
    assert isinstance(config, PurifyConfig)
    return config


def load_config(path: Path) -> PurifyConfig:
    """The resolved configuration of an existing run, as it was written.

    Raises:
        InputError: the file is missing or no mapping.
        ConfigError: it is no configuration of a purification run.
    """
    settings = from_file(path)
    try:
        tree = nest({key: setting.value for key, setting in settings.items()})
        if tree.get("run", "purify") == "purify":
            return checked(tree)
    except ConfigError as error:
        raise ConfigError(
            f"'{path}' is not a run's config.yaml: {error}",
            hint="restore it; options of your own go to `mlvgm run purify --config FILE`",
        ) from error
    raise ConfigError(
        f"'{path.parent}' is a run of `mlvgm run {tree['run']}`",
        hint=f"`mlvgm run {tree['run']} --out {path.parent}` goes on with it",
    )
