"""YAML as plain values, by the rules of YAML 1.2 and without its surprises.

``yes``, ``on``, ``0x10``, ``010``, ``1:30`` and ``2024-01-01`` are texts, not booleans, numbers or dates. Anchors,
tags, duplicate keys and keys that are no texts are refused.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from mlvgm.errors import InputError

_DEEPEST = 20
_LARGEST = 1_000_000


class _Loader(yaml.SafeLoader):
    """The safe loader of PyYAML (YAML 1.1) with the plain values of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (as in the base class)
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not taken", problem_mark=event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="tags are not taken", problem_mark=event.start_mark)
        if self.depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is no text", problem_mark=key_node.start_mark)
            if key in found:
                raise yaml.MarkedYAMLError(problem=f"'{key}' is there twice", problem_mark=key_node.start_mark)
            found[key] = self.construct_object(value_node, deep=True)
        return found


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"0|-?[1-9][0-9]*", list("-0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first)


def parse(text: str) -> Any:
    """The value that ``text`` spells: mappings, lists, texts, numbers, booleans, None.

    Raises:
        ValueError: it is not YAML, or has what is refused here; in one line, with the place.

    >>> parse("{attack: {eps: 1e-3}, flags: [yes, true, 010]}")
    {'attack': {'eps': 0.001}, 'flags': ['yes', True, '010']}
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise ValueError(f"{error.problem or error.context}{where}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def read(path: Path, *, what: str) -> Any:
    """The value in a file, of which ``what`` says what it is in messages.

    Raises:
        InputError: it cannot be read, is no text, or not such YAML.
    """
    try:
        return parse(text_of(path, what=what))
    except ValueError as error:
        raise InputError(f"{what} '{path}' is not YAML that is taken here: {error}") from None


def text_of(path: Path, *, what: str) -> str:
    """The text in a file of moderate size, of which ``what`` says what it is in messages.

    Raises:
        InputError: it cannot be read, or is no text.
    """
    try:
        if path.exists() and not path.is_file():  # a device or pipe may never end
            raise InputError(f"cannot read {what} '{path}': not a file")
        if path.stat().st_size > _LARGEST:
            raise InputError(f"cannot read {what} '{path}': larger than {_LARGEST:,} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {what} '{path}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{what} '{path}' is not UTF-8 text") from None
