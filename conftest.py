"""Which tests are numerical, and two options for them: other rounding, and how much of the tolerances is used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

import tolerance
from jitter import jitter


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("portability")
    group.addoption("--jitter", type=int, metavar="SEED", help="move every loaded weight by a rounding (jitter.py)")
    group.addoption("--margins", action="store_true", help="the largest difference / tolerance of each test file")


def pytest_configure() -> None:
    """Nothing of the caller's terminal and settings reaches the tests, nor the processes they start."""
    for name in [name for name in os.environ if name in ("COLUMNS", "FORCE_COLOR") or name.startswith("MLVGM_SET_")]:
        del os.environ[name]
    settings.register_profile("here", database=None)  # nothing is written into the checkout
    settings.load_profile("here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        rounds = getattr(getattr(item, "module", None), "close", None) is tolerance.close
        if rounds and item.get_closest_marker("exact") is None:
            item.add_marker(pytest.mark.numerical)


@pytest.fixture(scope="session", autouse=True)
def _jittered_weights(request: pytest.FixtureRequest) -> Iterator[None]:
    seed = request.config.getoption("--jitter")
    if seed is None:
        yield
        return
    with jitter(seed):
        yield


@pytest.fixture(scope="session", autouse=True)
def _margins(request: pytest.FixtureRequest) -> Iterator[None]:
    request.config.stash[_LARGEST] = found = dict[str, float]()
    used = tolerance.used

    def noted(*args: Any, **options: Any) -> float:
        share = used(*args, **options)
        file = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
        if not file.endswith("test_tolerance.py"):  # which goes to its limits
            found[file] = max(found.get(file, 0.0), share)
        return share

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tolerance, "used", noted)
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--margins"):
        terminalreporter.section("largest difference as a share of the tolerance")
        for file, share in sorted(config.stash.get(_LARGEST, {}).items(), key=lambda entry: -entry[1]):
            terminalreporter.write_line(f"{share:8.4g}  {file}")


_LARGEST = pytest.StashKey[dict[str, float]]()
