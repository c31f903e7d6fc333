from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlvgm.errors import InputError
from mlvgm.plain_yaml import parse, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8), ("-8", -8), ("0.5", 0.5), ("1e-05", 1e-5), (".5", 0.5), ("true", True), ("~", None), ("", None),
        ("yes", "yes"), ("off", "off"), ("0x8", "0x8"), ("0o7", "0o7"), ("010", "010"), ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"), ("1_000", "1_000"), ("=", "="), ("'8'", "8"), ("[a, 1]", ["a", 1]),
        ("{a: {b: null}}", {"a": {"b": None}}), ("nan", "nan"), ("{<<: {a: 1}}", {"<<": {"a": 1}}),
    ],
)  # fmt: skip
def test_plain_values(text: str, value: object) -> None:
    found = parse(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "'a' is there twice (line 3, column 1)"),
        ("a:\n  b: 1\n  b: 1", "'b' is there twice (line 3, column 3)"),
        ("a: &x [1]\nb: *x", "anchors and aliases are not taken (line 1"),
        ("*x", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]", "tags are not taken"),
        ("a: !mine 3", "tags are not taken"),
        ("1: 2", "the key 1 is no text"),
        ("null: 2", "the key None is no text"),
        ("? [a]\n: 1", "is no text"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "{a: " * 30 + "1" + "}" * 30, "nested too deeply"),
        ("\n".join(" " * n + "a:" for n in range(3000)), "nested too deeply"),
        ("a: [1, 2", "line"),
        ("a: 1\n---\nb: 2", "document"),
        ("9" * 5000, "digits"),
        ("a: \x07", "characters"),
        ("a: b: c", "line 1"),
    ],
)
def test_surprises_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_no_yaml(tmp_path: Path) -> None:
    binary, large, pipe = tmp_path / "binary", tmp_path / "large", tmp_path / "pipe"
    binary.write_bytes(b"\xba\xbe\x00" * 9)
    large.write_bytes(b"#" * 1_000_001)
    os.mkfifo(pipe)
    for path, said in (
        (binary, "is not UTF-8 text"), (large, "larger than"), (pipe, "not a file"), (tmp_path, "not a file"),
        (tmp_path / "none", "No such file"), (tmp_path / ("x" * 300), "File name too long"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            read(path, what="configuration")
