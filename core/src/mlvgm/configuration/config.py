"""What every run's configuration has, and configurations as re-runnable YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field

MOST_THREADS = 1024  # OpenMP dies of many more


class RunConfig(BaseModel):
    """The configuration of a run of a job; a job adds fields of its own, with components by ``part_of``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {"demo": {}, "standard": {}, "rigorous": {}}
    GROWS: ClassVar[frozenset[str]] = frozenset({"run", "budget", "fail_under"})
    """Fields that decide which units there are, and nothing within them: a run may grow."""

    run: str = Field(description="the job")
    budget: str = Field("demo", description="named preset of sample size and effort")
    seed: int = Field(0, ge=0, description="seed of everything random")
    device: str = Field("cpu", description="torch device")
    threads: int = Field(ge=1, le=MOST_THREADS, description="CPU threads; recorded and reused on resume")
    fail_under: float | None = Field(None, description="exit code 1 if the result is lower")


C_co = TypeVar("C_co", bound=RunConfig, covariant=True)


@dataclass(frozen=True)
class ResolvedConfig(Generic[C_co]):
    """A configuration and the source of each of its values, by dotted key."""

    config: C_co
    sources: Mapping[str, str]

    def to_yaml(self) -> str:
        """The configuration as re-runnable YAML, each value's source as a comment."""
        lines = _annotated(self.config.model_dump(mode="json"), self.sources)
        return "\n".join([f"# Re-run with: mlvgm run {self.config.run} --config THIS_FILE", *lines]) + "\n"


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
