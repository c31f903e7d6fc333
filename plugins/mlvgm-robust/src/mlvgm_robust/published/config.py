"""Options of the three published attacks."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from mlvgm_robust.published.switches import PUBLISHED, Switches
from mlvgm_robust.published.tasks import TASKS, Task, TaskName

SMALLEST_C, LARGEST_C = 0.1, 1000.0
CE_BOUNDS = (0.5, 1.0, 4.0)
DLR_BOUNDS = (0.5, 2.0, 4.0)


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


class PublishedDeepFoolConfig(PublishedConfig):
    """Options of the published DeepFool."""

    classes: int | None = Field(None, ge=2, description="classes looked at, the predicted one included; null: task's")
    overshoot: float | None = Field(None, ge=0, allow_inf_nan=False, description="of every step; null: the task's")
    iterations: int | None = Field(None, ge=1, description="most steps; null: the task's")


class PublishedCarliniWagnerConfig(PublishedConfig):
    """Options of the published C&W."""

    c: float | None = Field(None, ge=SMALLEST_C, le=LARGEST_C, description="first weight of the loss; null: task's")
    kappa: float | None = Field(None, ge=0, allow_inf_nan=False, description="confidence; null: the task's")
    steps: int | None = Field(None, ge=1, description="most steps of a restart; null: the task's")
    rate: float | None = Field(None, gt=0, allow_inf_nan=False, description="Adam's step; null: the task's")
    restarts: int | None = Field(None, ge=1, description="runs, each with its own c; null: the task's")
    window: int | None = Field(None, ge=1, description="successes before a restart may stop; null: the task's")
    start: float | None = Field(None, ge=0, allow_inf_nan=False, description="L2 of the FGSM start; null: the task's")
    noise: float | None = Field(None, ge=0, allow_inf_nan=False, description="L2 of noise on it; null: the task's")


class PublishedAutoAttackConfig(PublishedConfig):
    """Options of the published AutoAttack. Its values are the same for all tasks, but for the classes."""

    iterations: int = Field(64, ge=1, description="steps of APGD at each bound")
    ce_bounds: tuple[float, ...] = Field(CE_BOUNDS, description="L2 bounds of APGD-CE, each if those before failed")
    dlr_bounds: tuple[float, ...] = Field(DLR_BOUNDS, description="the same of APGD-DLR")
    fab_iterations: int = Field(128, ge=0, description="steps of FAB; 0 leaves it out")
    fab_classes: int | None = Field(
        None, ge=1, description="boundaries FAB looks at, likeliest classes first; null: all, as published"
    )
