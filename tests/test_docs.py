"""Documents keep their word: examples run, commands parse, links lead somewhere."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import pytest

import mlvgm
import mlvgm_robust

ROOT = Path(__file__).parent.parent
PACKAGES = ("mlvgm", "mlvgm_biggan", "mlvgm_nvae", "mlvgm_robust", "mlvgm_stylegan", "mlvgm_vision")
PAGES = sorted(
    path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*.md")]
)


def modules() -> list[str]:
    found = []
    for package in PACKAGES:
        paths = importlib.import_module(package).__path__
        found += [package, *(module.name for module in pkgutil.walk_packages(paths, f"{package}."))]
    return found


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text):
        if not link.startswith(("http:", "https:")):
            assert (ROOT / page).parent.joinpath(link).exists(), f"{page} links to {link}"


def how_to_blocks() -> list[tuple[str, str]]:
    pages = sorted((ROOT / "docs" / "how-to").glob("*.md"))
    return [(page.stem, code) for page in pages for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.S)]


@pytest.mark.parametrize(("page", "code"), how_to_blocks(), ids=lambda value: value.split("\n")[0][:20])
def test_the_python_of_the_how_tos_runs(page: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(code, page, "exec"), {})  # executing our own page is the point


def test_the_python_of_the_readme_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # executing our own page is the point
    attacked = names["attacked"]
    assert isinstance(attacked, mlvgm_robust.Attacked)
    assert len(attacked.images) == len(attacked.robust.right)


def test_every_public_name_loads() -> None:
    assert all(getattr(mlvgm, name) is not None for name in mlvgm.__all__)


def test_the_page_of_the_study_has_the_figures_of_its_tables() -> None:
    page = runpy.run_path(str(ROOT / "examples/studies/page.py"))
    text = (ROOT / "docs/studies/fashion-mnist.md").read_text()
    known = page["cells"]((ROOT / "docs/studies/fashion-mnist-tables.md").read_text())
    assert text.count("<!-- ") == 3
    assert page["filled"](text, known) == text
    changed = re.sub(r"\| \d+\.\d \[", "| 101 [", text, count=1)
    assert changed != text and page["filled"](changed, known) == text
