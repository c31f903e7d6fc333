from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from mlvgm.errors import ConfigError
from mlvgm.plugins.options import table, validate


class Sampling(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    temperature: float = Field(0.6, gt=0, le=2, description="factor on σ")


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    eps: float = Field(1.0, ge=0, description="radius, L2")
    norm: Literal["L2", "Linf"] = Field("L2", description="norm")
    steps: int = Field(description="gradient steps")
    alphas: str | tuple[float, ...] = Field("cosine", description="schedule")
    sampling: Sampling = Field(default_factory=Sampling, description="sampling")

    @field_validator("alphas")
    @classmethod
    def _known(cls, value: object) -> object:
        if value == "nothing":
            raise ValueError("expected a schedule")
        return value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1, "eps": -1}, r"^attack\.eps: must be >= 0 \(got -1\)$"),
        ({"steps": 1, "epss": 1}, r"^attack\.epss: unknown option \(did you mean 'eps'\? known: alphas, eps, norm, "),
        ({"steps": 1, "zzzz": 1}, r"^attack\.zzzz: unknown option \(known: alphas"),
        ({}, r"^attack\.steps: is required$"),
        ({"steps": "many"}, r"^attack\.steps: must be a valid integer.* \(got 'many'\)$"),
        ({"steps": 1, "norm": "L3"}, r"^attack\.norm: must be 'L2' or 'Linf' \(got 'L3'\)$"),
        ({"steps": 1, "alphas": "nothing"}, r"^attack\.alphas: expected a schedule \(got 'nothing'\)$"),
        ({"steps": 1, "alphas": [0.5, "x"]}, r"^attack\.alphas"),
        (
            {"steps": 1, "sampling": {"temperature": 3}},
            r"^attack\.sampling\.temperature: must be <= 2 \(got 3\)$",
        ),
        ({"steps": 1, "sampling": {"temperatur": 1}}, r"^attack\.sampling\.temperatur: .*did you mean 'temperature'"),
        ({"eps": -1}, r"attack\.eps: .*; attack\.steps: "),
    ],
)
def test_refusals_are_one_line_about_the_option(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        validate(Config, options, prefix="attack")
    assert "\n" not in str(caught.value)


def test_text_is_converted_where_the_type_allows() -> None:
    config = validate(Config, {"steps": "3", "sampling": {"temperature": "0.5"}}, prefix="attack")
    assert isinstance(config, Config)
    assert (config.steps, config.sampling.temperature) == (3, 0.5)


def test_table_has_every_option_with_its_bounds() -> None:
    rows = {row.name: row for row in table(Config)}
    assert list(rows) == ["eps", "norm", "steps", "alphas", "sampling.temperature"]
    assert (rows["eps"].type, rows["eps"].default, rows["eps"].bounds) == ("float", "1.0", ">= 0")
    assert rows["eps"].description == "radius, L2"
    assert rows["steps"].default is None
    assert rows["sampling.temperature"].bounds == "> 0, <= 2"
    assert "L2" in rows["norm"].type and "Linf" in rows["norm"].type
