"""Labels as parts of file names."""

from __future__ import annotations

import re


def slug(label: str) -> str:
    """Lower-case letters and digits of ``label``, single hyphens between them.

    >>> slug("keep:6, α = 0.5")
    'keep-6-alpha-0-5'
    """
    return re.sub(r"[^a-z0-9]+", "-", label.lower().replace("α", "alpha")).strip("-")
