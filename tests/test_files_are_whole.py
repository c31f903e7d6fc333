"""Whatever the program writes goes through :mod:`mlvgm.files`, so that a kill never leaves half a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])
# These write for good reason: the helper itself, and the maker of the bundled sample, which is no part of a run.
EXEMPT = {"files.py", "fashion_mnist_sample.py"}
WRITERS = {"write_text", "write_bytes", "save_file", "savefig", "save", "dump", "tofile", "savez", "touch"}
IN_MEMORY = {"stream", "content", "buffer"}


def direct_writes(tree: ast.AST) -> Iterator[str]:
    """Calls that write a file by themselves."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        words = [node.func.attr] if isinstance(node.func, ast.Attribute) else []
        words += [node.func.id] if isinstance(node.func, ast.Name) else []
        first = {argument.id for argument in node.args if isinstance(argument, ast.Name)}
        modes = [one.value for one in (*node.args, *(k.value for k in node.keywords)) if isinstance(one, ast.Constant)]
        if words == ["open"] and any(isinstance(mode, str) and set(mode) & set("wax+") for mode in modes):
            yield f"line {node.lineno}: open"
        if isinstance(node.func, ast.Attribute) and words[0] in WRITERS and not first & IN_MEMORY:
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "FILE":  # a NetworkFile has the helper
                continue
            yield f"line {node.lineno}: .{words[0]}"
        if isinstance(node.func, ast.Name) and words[0] == "save_file":
            yield f"line {node.lineno}: save_file"


@pytest.mark.parametrize(
    "code", ["p.write_text('')", "open(p, 'w')", "p.open('ab')", "save_file(t, p)", "f.savefig(p)"]
)
def test_a_direct_write_is_found(code: str) -> None:
    assert list(direct_writes(ast.parse(code)))


def test_every_file_is_written_by_the_helper() -> None:
    found = {
        f"{path.relative_to(ROOT)}, {write}"
        for path in SOURCES
        if path.name not in EXEMPT
        for write in direct_writes(ast.parse(path.read_text()))
    }
    assert len(SOURCES) > 100 and found == set()
