"""Broken distributions of other people: each costs only itself, and every message names it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fake_site import Site
from mlvgm.cli.main import main
from third_parties import CHECKS, COMPONENTS, HOOKS, METADATA, Broken

FLAGS = {"attacks": "attack", "purifiers": "purifier", "classifiers": "classifier", "datasets": "data"}
FLAGS |= {"generators": "generator"}
RUN = ("run", "purify", "--quiet", "-n", "2", "--set", "compare=false")
pytestmark = pytest.mark.filterwarnings("always::mlvgm.plugins.describe.PluginWarning")  # a line on stderr
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All of them installed at once, beside what is there."""
    site = Site(tmp_path_factory.mktemp("site"))
    for name, broken in {**COMPONENTS, **METADATA}.items():
        broken.install(site, name)
    for name, broken in CHECKS.items():
        Broken(**{**vars(broken), "entry": name}).install(site, f"c_{name.partition('.')[2]}")
    for name, broken in HOOKS.items():
        Broken(**{**vars(broken), "entry": name}).install(site, f"h_{name}")
    before = set(sys.modules)
    sys.path.insert(0, str(site.folder))
    yield site.folder
    sys.path.remove(str(site.folder))
    for name in {name for name in set(sys.modules) - before if name.startswith("broken_")}:
        del sys.modules[name]


@pytest.fixture
def run(everything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, out, err

    return call


def test_list_imports_none_and_says_what_cannot_be_read(run: Run) -> None:
    code, out, err = run("plugins", "list")
    assert code == 0
    listed = {tuple(line.split()[:2]) for line in out.splitlines()}
    assert {(broken.kind, name) for name, broken in COMPONENTS.items()} <= listed
    assert METADATA["latin"].said in err and METADATA["kind"].said in err
    assert not any(name.startswith("broken_") for name in sys.modules)


@pytest.mark.parametrize("name", COMPONENTS)
def test_info(run: Run, name: str) -> None:
    broken = COMPONENTS[name]
    code, _, err = run("plugins", "info", f"{broken.kind}/{name}")
    if broken.when != "info":
        assert (code, err) == (0, "")
        return
    assert code == 2 and err.count("\n") == 1
    assert f"plugin {broken.kind}/{name} of third-{name} 1.0" in err and broken.said in err


def test_doctor_finds_all_that_making_shows(run: Run) -> None:
    code, out, _ = run("plugins", "doctor", "--json")
    found: dict[str, list[tuple[str, str]]] = {}
    for check in json.loads(out)["checks"]:
        found.setdefault(check["name"], []).append((check["status"], check["detail"]))
    assert code == 1
    for name, broken in {**COMPONENTS, **CHECKS}.items():
        ((status, detail),) = found[f"{broken.kind}/{name}"]
        assert (status == "problem") == (broken.when != "run"), (name, detail)
        assert broken.when == "run" or broken.said in detail
    everything = "\n".join(detail for checks in found.values() for _, detail in checks)
    for broken in (*METADATA.values(), *(hook for name, hook in HOOKS.items() if name not in ("raises", "exits"))):
        assert broken.said in everything


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_run_that_uses_it_ends_in_one_message(run: Run, name: str, tmp_path: Path) -> None:
    broken = COMPONENTS[name]
    arguments = [f"--{FLAGS[broken.kind]}", name, *(f"--set={option}" for option in broken.options)]
    if broken.kind != "attacks":
        arguments += ["--attack", "fgsm"]
    if broken.kind not in ("purifiers", "generators"):
        arguments += ["--purifier", "none"]
    if broken.when == "info":
        code, out, err = run(*RUN, *arguments, "--dry-run")
        assert (code, out) == (2, "") and broken.said in err and f"third-{name} 1.0" in err
        return
    code, out, err = run(*RUN, *arguments)
    (message,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert (code, out) == (2, "")
    if name != "no-weights":  # its factory is asked before the file
        assert broken.said in message
    assert not list(tmp_path.glob("runs/*/records.jsonl"))


def test_a_run_goes_on_without_hooks_that_fail_and_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run(*RUN, "--attack", "fgsm", "--purifier", "none", "--json")
    warned = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert code == 0 and json.loads(out)["rows"]
    for hook in HOOKS.values():
        assert any(hook.said in line for line in warned)
    monkeypatch.setenv("MLVGM_STRICT_PLUGINS", "1")
    code, out, err = run(*RUN, "--attack", "fgsm", "--purifier", "none")
    assert (code, out) == (2, "") and "MLVGM_STRICT_PLUGINS" in err


def test_an_audit_goes_on_without_checks_that_are_broken(run: Run) -> None:
    audit = ("audit", "--purifier", "none", "--attack", "fgsm", "-n", "2", "--quiet")
    code, out, _ = run(*audit, "--only", "mine", "--only", "compliance", "--json")
    found = json.loads(out)
    findings = {finding["check"]: finding for finding in found["findings"]}
    assert code == 1 and findings["compliance"]["status"] == "pass"
    for name, broken in CHECKS.items():
        assert findings[name]["status"] == "not run" and broken.said in findings[name]["evidence"]
        assert name in found["verdict"] or broken.when == "info"
    assert "checks/mine.imports of third-c_imports 1.0" in findings["mine.imports"]["evidence"]
    code, _, err = run(*audit, "--only", "mine.imports")
    assert code == 2 and "plugin checks/mine.imports of third-c_imports 1.0 does not load" in err


def test_a_check_that_cannot_be_made_leaves_the_verdict_open_and_is_named_there(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLVGM_PLUGINS", "mlvgm-robust,mlvgm-vision,third-c_imports")
    names = [arg for name in ("mine", "compliance") for arg in ("--only", name)]
    code, out, _ = run("audit", "--purifier", "none", "--attack", "fgsm", "-n", "2", "--quiet", "--json", *names)
    found = json.loads(out)
    assert (code, found["believable"]) == (0, None)
    assert "mine.imports could not test it: plugin checks/mine.imports of third-c_imports 1.0" in found["verdict"]


def test_what_fails_after_a_unit_is_kept_and_goes_on(run: Run, everything: Path, tmp_path: Path) -> None:
    source = everything / "broken_crashes_parts.py"
    sys.modules.pop("broken_crashes_parts", None)
    good = source.read_text()
    later = good.replace("raise RuntimeError('boom')", "assert context.keys.rows[0][0] == 0, 'boom'; return images")
    source.write_text(later)
    arguments = (*RUN, "--attack", "crashes", "--purifier", "none", "--set", "block=1", "--out", "out")
    code, _, err = run(*arguments)
    assert code == 3
    assert "plugin attacks/crashes of third-crashes 1.0 failed: AssertionError: boom; finished units are safe" in err
    assert len((tmp_path / "out/records.jsonl").read_text().splitlines()) == 1
    sys.modules.pop("broken_crashes_parts")
    source.write_text(good.replace("raise RuntimeError('boom')", "return images"))
    code, _, err = run("runs", "resume", "out", "--quiet")
    assert code == 0 and len((tmp_path / "out/records.jsonl").read_text().splitlines()) == 2
    source.write_text(good)


def test_an_attack_that_is_no_dataclass_can_be_audited(run: Run, everything: Path) -> None:
    source = everything / "broken_none_parts.py"
    bad = source.read_text()
    source.write_text(
        bad.replace("return None", "return (images + self.eps / 32).clamp(0, 1)")
        .replace("class Attack:", "class Attack:\n    def __init__(self, config): self.eps = config.eps")
        .replace(
            'info = AttackInfo("mine", "L2", 1.0)', 'info = property(lambda self: AttackInfo("mine", "L2", self.eps))'
        )
        .replace("return Attack()", "return Attack(config)")
    )
    sys.modules.pop("broken_none_parts", None)
    _, out, _ = run(
        *("audit", "--purifier", "none", "--attack", "none", "-n", "4", "--quiet", "--json"),
        *("--only", "control.null", "--only", "sanity.eps", "--only", "sanity.iterations"),
    )
    findings = {finding["check"]: finding for finding in json.loads(out)["findings"]}
    source.write_text(bad)
    assert findings["control.null"]["status"] != "not run" and findings["sanity.eps"]["status"] != "not run"
    assert "has no option of iterations, queries, steps" in findings["sanity.iterations"]["evidence"]
