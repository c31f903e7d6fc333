"""Configuration of a purification run, down to the last option, and as re-runnable YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlvgm.configuration.config import RunConfig
from mlvgm.configuration.part import Part, part_of
from mlvgm.plugins.options import validate
from mlvgm.runs.slug import slug

Budget = Literal["demo", "standard", "rigorous"]
ProtocolName = Literal["published", "rigorous", "smoke"]
_MOST_DRAWS = 10_000
_LONGEST_LABEL = 100

COMPONENTS: dict[str, str] = {
    "data": "datasets",
    "classifier": "classifiers",
    "attack": "attacks",
    "generator": "generators",
    "encoder": "encoders",
    "purifier": "purifiers",
}
"""Kinds of components by the group of their options."""
DEFAULT_NAMES = {
    "data": "fashion-mnist",
    "classifier": "fashion-cnn",
    "attack": "autoattack",
    "generator": "nvae",
    "encoder": "inversion",
    "purifier": "mlvgm",
}


class Row(BaseModel):
    """One defence of the comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(description="row of the table; names its work units")
    note: str = Field("", description="said wherever its numbers appear")
    classifier: Part | None = part_of(
        "classifiers", required=False, description="classifier of this defence in place of the run's"
    )
    generator: Part | None = part_of("generators", required=False, description="generator the purifier uses")
    encoder: Part | None = part_of(
        "encoders", required=False, description="finds latents in place of the generator's own encoder, if any"
    )
    purifier: Part = part_of("purifiers", description="purifier in front of the classifier")


class AttackRow(BaseModel):
    """One attack of the comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(description="column of tables; names its work units")
    attack: Part = part_of("attacks", description="the attack")
    rows: tuple[str, ...] | None = Field(None, description="labels of the defences it attacks; all of them if null")
    limit: int | None = Field(None, ge=1, description="the first LIMIT of the run's images; all of them if null")


class PurifyConfig(RunConfig):
    """Everything a purification run depends on."""

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
    fail_under: float | None = Field(
        None, ge=0, le=1, description="exit code 1 if the first defence's worst case over attacks is lower"
    )
    data: Part = part_of("datasets", "fashion-mnist", description="data set")
    classifier: Part = part_of("classifiers", "fashion-cnn", description="classifier under attack")
    attacks: tuple[AttackRow, ...] = Field(description="attacks on these defences", min_length=1)
    rows: tuple[Row, ...] = Field(description="defences compared on the same images", min_length=1)

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


def checked(tree: Mapping[str, Any]) -> PurifyConfig:
    """The configuration that nested plain values make.

    Raises:
        ConfigError: an option is unknown, missing or out of bounds.
    """
    config = validate(PurifyConfig, tree, prefix="run")
    assert isinstance(config, PurifyConfig)
    return config
