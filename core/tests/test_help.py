"""``help`` shows what there is, though nothing heavy is imported before it is used."""

from __future__ import annotations

import pydoc
import re

import pytest

import mlvgm


def test_every_name_has_a_line_and_is_shown() -> None:
    said = {match[1] for match in re.finditer(r"^    (\w+)  +\S.{20,}$", mlvgm.__doc__ or "", re.MULTILINE)}
    assert said == set(mlvgm.__all__) and said <= set(dir(mlvgm))
    shown = pydoc.render_doc(mlvgm, renderer=pydoc.plaintext)
    assert all(re.search(rf"\b(class )?{name}\(", shown) for name in mlvgm.__all__)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'mlvgm' has no attribute 'defence_of'"):
        mlvgm.defence_of  # noqa: B018


def test_help_of_the_robustness_plugin_shows_wrap() -> None:
    robust = pytest.importorskip("mlvgm_robust")
    shown = pydoc.render_doc(robust)
    assert "wrap" in dir(robust) and "A defence of plain modules" in shown and "Purify, clamp, classify" in shown
