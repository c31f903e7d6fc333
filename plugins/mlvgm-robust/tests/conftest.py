"""Settings of these tests."""

from __future__ import annotations


def pytest_configure(config: object) -> None:
    config.addinivalue_line("markers", "slow: takes more than 20 seconds")  # type: ignore[attr-defined]
