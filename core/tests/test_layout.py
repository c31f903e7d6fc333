"""Text in terminals: every word whole, tables that fit."""

from __future__ import annotations

import io
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlvgm.cli.layout import Column, table, titled, width_of, wrapped

LABELS = ["mlvgm (denoising weights), noise 8, first 6 of 8 latents kept", "undefended", "α = 0: reconstruction only"]
ESTIMATES = ["100.0 [100, 100]", "54.7 [43, 66]", "0.0 [0, 66]"]


def columns(*, attacks: bool = False) -> list[Column]:
    return [
        Column("defence", LABELS, words=True),
        *([Column("attack", ["published-carlini-wagner", "fgsm", "apgd-ce, eps 0.5"], words=True)] if attacks else []),
        Column("clean\nvotes", ESTIMATES),
        Column("robust\nvotes", ESTIMATES),
        Column("clean\nsingle draw", ESTIMATES, always=False),
        Column("robust\nsingle draw", ESTIMATES, always=False),
    ]


def words(lines: list[str]) -> set[str]:
    return {word for line in lines for word in line.split()}


@pytest.mark.parametrize("attacks", [False, True])
@pytest.mark.parametrize("width", [80, 100, 109])
def test_name_clean_and_robust_fit_a_narrow_terminal(width: int, attacks: bool) -> None:
    lines = table("accuracy", columns(attacks=attacks), width)
    assert max(map(len, lines)) <= width
    expected = {word for label in LABELS for word in label.split()}
    assert expected | {"defence", "clean", "robust"} <= words(lines) and "single" not in words(lines)
    assert sum("54.7 [43, 66]" in line for line in lines) == 1 and lines[-1] != ""
    row = next(line for line in lines if "54.7" in line)
    assert row.startswith("undefended") and row.count("54.7 [43, 66]") == 2  # names stand beside their figures


def test_more_columns_where_there_is_room() -> None:
    assert max(map(len, table("accuracy", columns(), 110))) <= 110
    for width in (110, 200, None):
        assert "single" in words(table("accuracy", columns(), width))
    assert any(LABELS[0] in line for line in table("accuracy", columns(), None))


def test_figures_end_below_each_other() -> None:
    lines = table("accuracy", columns(), 90)
    ends = {len(line) for line in lines if "[" in line}
    assert len(ends) == 1 and set(lines[3]) == {"─"} and lines[1].endswith("robust") and lines[2].endswith("votes")


@given(st.text(alphabet="ab-,/ \n", max_size=300), st.integers(1, 100))
def test_no_word_is_broken_and_none_is_lost(text: str, width: int) -> None:
    lines = wrapped(text, width, indent="  ")
    assert [word for line in lines for word in line.split()] == text.split()


def test_long_and_hyphenated_words_stay_whole() -> None:
    names = ["published-carlini-wagner", "/a/path/of/many/folders/that/is/longer/than/the/line", "fgsm"]
    lines = wrapped(" ".join(names), 30)
    assert [word for line in lines for word in line.split()] == names


def test_titles_stand_once_and_lines_are_indented_below_their_text() -> None:
    lines = titled({"data": "one two three four five six seven", "gradient path": "a\nb"}, 40)
    assert lines == [
        "data           one two three four five",
        "               six seven",
        "gradient path  a",
        "               b",
    ]
    assert titled({"data": "one two three"}, None) == ["data  one two three"]
    assert titled({}, 80) == []


def test_a_command_in_several_lines_is_one_for_the_shell() -> None:
    command = "mlvgm run purify --generator nvae --data image-folder --set 'data.path=my images' --set attack.eps=1.0"
    lines = wrapped(f"The strong version:\n{command}", 50)
    assert len(lines) > 2 and all(len(line) <= 50 for line in lines)
    assert shlex.split("\n".join(lines[1:]).replace("\\\n", "")) == shlex.split(command)
    assert not any(line.endswith("--set \\") for line in lines)
    assert wrapped(command, None) == [command]


def test_what_is_no_terminal_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert width_of(io.StringIO()) is None
    monkeypatch.setenv("COLUMNS", "91")
    assert width_of(io.StringIO()) == 91
