"""Options that the trainings of all competitors have."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mlvgm.training.config import WarmCosineConfig


class CompetitorConfig(WarmCosineConfig):
    """How long, how fast and on what a competitor is trained; each has defaults of its own."""

    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
        "demo": {"steps": 300},
        "standard": {},
        "rigorous": {"steps": 10000},
    }
    FREE: ClassVar[frozenset[str]] = WarmCosineConfig.FREE | {"evaluation_images"}

    warmup_steps: int = Field(50, ge=0, description="steps of linear warm-up, followed by a cosine to 0")
    flips: bool = Field(True, description="mirror half of the images")
    evaluation_images: int = Field(2000, ge=1, description="validation images the figures are measured on")
