"""A record that has everything."""

from __future__ import annotations

from typing import Any


def whole_record() -> dict[str, Any]:
    images: dict[str, Any] = {"samples": [0, 1], "labels": [0, 1]}
    images |= {key: [True, False] for key in ("clean", "robust", "violations")}
    images |= {key: [0.0, 1.0] for key in ("clean_single", "robust_single", "chance", "norm")}
    whole: dict[str, Any] = {"unit": "a", "defence": "d", "attack": "a", "norm_name": "L2", "eps": None, **images}
    whole |= {"forwards": 1, "backwards": 1, "paths": [], "seconds": 1.0, "decision_seconds": 1.0}
    return whole | {"differentiable": True}
