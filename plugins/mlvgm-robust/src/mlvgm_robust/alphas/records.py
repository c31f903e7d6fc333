"""What the records of a choice of alphas hold, checked when they are read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mlvgm.runs.rundir import RunDirectory
from mlvgm_robust.alphas.method import Trial


class _Tried(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    trial: Trial


class _Set(BaseModel):
    split: str
    tried: int = Field(ge=0)
    right: int = Field(ge=0)


class _HeldOut(BaseModel):
    label: str
    alphas: list[float]
    transferred: list[bool]
    clean: list[bool]
    adaptive: list[bool]


_KINDS: Mapping[str, TypeAdapter[Any]] = {
    prefix: TypeAdapter(kind)
    for prefix, kind in (("trial-", _Tried), ("fresh-", _Tried), ("set-", _Set), ("held-out-", _HeldOut))
}


def finished_alphas(run: RunDirectory) -> dict[str, dict[str, Any]]:
    """Records of a choice of alphas, by unit.

    Raises:
        InputError: a line is not such a record.
    """
    return run.finished(problem=problem_of)


def problem_of(record: Mapping[str, Any]) -> str:
    """What is wrong with a record, in words; empty if nothing is.

    >>> problem_of({"unit": "set-search", "split": "train", "tried": 3})
    'right: Field required'
    """
    adapter = next((kind for prefix, kind in _KINDS.items() if record["unit"].startswith(prefix)), None)
    if adapter is None:
        return f"'{record['unit']}' is no unit of a choice of alphas"
    try:
        adapter.validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return ""
