from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
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


class Many(Config):
    flip: bool = Field(True, description="mirrored")
    name: str = Field("", description="name")
    folder: Path | None = Field(None, description="folder")
    pair: tuple[int, int] | None = Field(None, description="two numbers")
    extra: dict[str, Any] = Field({}, description="anything")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1, "eps": -1}, r"^attack\.eps: must be >= 0 \(got -1\)$"),
        ({"steps": 1, "epss": 1}, r"^attack\.epss: unknown option \(did you mean 'eps'\? known: alphas, eps, norm, "),
        ({"steps": 1, "zzzz": 1}, r"^attack\.zzzz: unknown option \(known: alphas"),
        ({}, r"^attack\.steps: is required, gradient steps$"),
        ({"steps": "many"}, r"^attack\.steps: must be a whole number \(got 'many'\)$"),
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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": True}, "must be a whole number (got True)"),
        ({"steps": "true"}, "must be a whole number (got 'true')"),
        ({"steps": 2.5}, "must be a whole number (got 2.5)"),
        ({"steps": None}, "must be a whole number (got None)"),
        ({"steps": [1]}, "must be a whole number (got [1])"),
        ({"steps": "0x8"}, "must be a whole number (got '0x8')"),
        ({"steps": "010"}, "must be a whole number (got '010')"),
        ({"steps": "1_000"}, "must be a whole number (got '1_000')"),
        ({"steps": "1:30"}, "must be a whole number (got '1:30')"),
        ({"steps": 2**63}, "must be below 2^63 (got a larger number)"),
        ({"steps": 1e300}, "must be below 2^63 (got 1e+300)"),
        ({"eps": False}, "must be a number (got False)"),
        ({"eps": "nan"}, "must be a number (got 'nan')"),
        ({"eps": float("nan")}, "must be a finite number (got nan)"),
        ({"eps": ".inf"}, "must be a finite number (got '.inf')"),
        ({"eps": 10**400}, "must be below 2^63 (got a larger number)"),
        ({"eps": "1e400"}, "must be a finite number (got '1e400')"),
        ({"norm": True}, "must be 'L2' or 'Linf' (got True)"),
        ({"flip": 1}, "must be true or false (got 1)"),
        ({"flip": "yes"}, "must be true or false (got 'yes')"),
        ({"name": True}, "must be a text (got True)"),
        ({"folder": 0.5}, "must be a path (got 0.5)"),
        ({"alphas": True}, "must be a text or a list (got True)"),
        ({"alphas": [0.5, True]}, "must be a text or a number (got [0.5, True])"),
        ({"pair": [1, "x"]}, "must be a whole number"),
        ({"sampling": {"temperature": True}}, "sampling.temperature: must be a number (got True)"),
        ({"sampling": True}, "sampling: "),
        ({"eps": "x" * 500}, "must be a number (got 'xxxxx"),
    ],
)
def test_values_that_do_not_fit_are_refused_and_not_bent(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Many, {"steps": 1} | given, prefix="attack")
    assert said in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"steps": "8"}, 8),
        ({"steps": 8.0}, 8),
        ({"steps": "1e3"}, 1000),
        ({"steps": "-0"}, 0),
        ({"eps": 1}, 1.0),
        ({"eps": "1e-3"}, 1e-3),
        ({"flip": "true"}, True),
        ({"name": 2024}, "2024"),
        ({"folder": 7}, Path("7")),
        ({"folder": None}, None),
        ({"folder": "null"}, Path("null")),
        ({"pair": ["3", 4]}, (3, 4)),
        ({"alphas": [0, "0.5"]}, (0.0, 0.5)),
        ({"alphas": "keep:3"}, "keep:3"),
        ({"extra": {"anything": True}}, {"anything": True}),
        ({"steps": np.int64(3)}, 3),
        ({"eps": np.float32(0.5)}, 0.5),
    ],
)
def test_values_that_fit_are_taken(given: dict[str, object], value: object) -> None:
    config = validate(Many, {"steps": 1} | given, prefix="attack")
    assert getattr(config, next(iter(given))) == value


def test_table_has_every_option_with_its_bounds() -> None:
    rows = {row.name: row for row in table(Config)}
    assert list(rows) == ["eps", "norm", "steps", "alphas", "sampling.temperature"]
    assert (rows["eps"].type, rows["eps"].default, rows["eps"].bounds) == ("float", "1.0", ">= 0")
    assert rows["eps"].description == "radius, L2"
    assert rows["steps"].default is None
    assert rows["sampling.temperature"].bounds == "> 0, <= 2"
    assert "L2" in rows["norm"].type and "Linf" in rows["norm"].type
