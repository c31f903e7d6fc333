from __future__ import annotations

import pytest

from fake_site import Site
from mlvgm.plugins.describe import PluginWarning
from mlvgm.plugins.doctor import examine
from mlvgm.plugins.hooks import Hooks
from mlvgm.plugins.hookspecs import hookimpl
from mlvgm.plugins.index import Index

LISTENER = """
from mlvgm.plugins.hookspecs import hookimpl

seen = []

@hookimpl
def mlvgm_unit_done(record):
    seen.append(record)
    return record
"""


def install(site: Site, module: str, source: str) -> None:
    site.install(f"mlvgm-{module}", entry_points={"mlvgm.hooks": {module: module}}, modules={module: source})


def test_modules_are_told_with_the_arguments_they_take(site: Site) -> None:
    install(site, "listener", LISTENER)
    hooks = Hooks(site.index())
    assert hooks.tell("mlvgm_unit_done", run=object(), record={"unit": 3}) == [{"unit": 3}]
    assert hooks.tell("mlvgm_run_finished", run=object(), result=None) == []
    assert hooks.checks() == ()


def test_modules_that_do_not_load_are_recorded_and_disturb_nobody(site: Site) -> None:
    install(site, "a_broken", "1/0")
    install(site, "b_listener", LISTENER)
    install(site, "c_wrong", LISTENER.replace("def mlvgm_unit_done(record)", "def mlvgm_unit_done(record, nosuch)"))
    hooks = Hooks(site.index())
    assert hooks.tell("mlvgm_unit_done", run=None, record=1) == [1]
    broken, wrong = hooks.checks()
    assert (broken.name, broken.status) == ("hooks/a_broken", "problem")
    assert "mlvgm-a_broken 1.0" in broken.detail and "ZeroDivisionError" in broken.detail
    assert wrong.name == "hooks/c_wrong" and "nosuch" in wrong.detail


def test_unknown_event_is_a_warning_of_the_doctor(site: Site) -> None:
    install(site, "listener", LISTENER.replace("mlvgm_unit_done", "mlvgm_unit_don"))
    (check,) = Hooks(site.index()).checks()
    assert check.status == "warning"
    assert "mlvgm_unit_don" in check.detail and "mlvgm-listener" in check.name
    assert check in examine(site.index())


def test_observer_that_raises_is_told_and_the_others_still_run() -> None:
    class Observer:
        def __init__(self, *, fails: bool) -> None:
            self.fails = fails
            self.seen: list[object] = []

        @hookimpl
        def mlvgm_unit_done(self, record: object) -> None:
            if self.fails:
                raise OSError("disk full")
            self.seen.append(record)

    observers = [Observer(fails=False), Observer(fails=True), Observer(fails=False)]
    hooks = Hooks(Index(), observers=observers)
    with pytest.warns(PluginWarning, match="hook mlvgm_unit_done of .* failed: OSError: disk full"):
        hooks.tell("mlvgm_unit_done", run=None, record=1)
    assert [observer.seen for observer in observers] == [[1], [], [1]]


def test_plugins_add_their_own_findings_to_the_doctor(site: Site) -> None:
    source = """
from mlvgm.plugins.check import Check
from mlvgm.plugins.hookspecs import hookimpl

@hookimpl
def mlvgm_doctor_checks():
    return [Check("licence server", "problem", "down")]
"""
    install(site, "checker", source)
    checks = {check.name: check for check in examine(site.index())}
    assert checks["licence server"].detail == "down"
    assert checks["torch"].status == "ok"
