"""What the three published attacks' configurations have in common."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from mlvgm_robust.published.switches import PUBLISHED, Switches
from mlvgm_robust.published.tasks import TASKS, Task, TaskName


class PublishedConfig(BaseModel):
    """Task and switches; every other option that is not given has the task's published value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskName = Field("fashion", description="whose published values: gender, ids, cars, or fashion (scaled)")
    switches: Switches = Field(PUBLISHED, description="each documented bug as published or fixed; or one word for all")

    @property
    def values(self) -> Task:
        """Published values of the task."""
        return TASKS[self.task]

    def completed(self, **published: object) -> Self:
        """The configuration with ``published`` in place of what was not given."""
        return self.model_copy(update={name: value for name, value in published.items() if getattr(self, name) is None})
