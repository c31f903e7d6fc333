from __future__ import annotations

import errno
import json

import pytest

from fake_site import Site
from mlvgm.cli import completion
from mlvgm.cli.main import main
from mlvgm.errors import ConfigError
from mlvgm.plugins.doctor import check_plugins
from mlvgm.plugins.index import Index
from mlvgm.plugins.load import build


@pytest.fixture
def only_site(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The fake distributions alone: one that works, one that does not, two that share a name."""
    site.install_working("mlvgm-good", "good_module", name="good")
    site.install("mlvgm-bad", entry_points={"mlvgm.attacks": {"bad": "bad_module:x"}}, modules={"bad_module": "1/0"})
    site.install_working("mlvgm-twin-a", "twin_a", name="twin")
    site.install_working("mlvgm-twin-b", "twin_b", name="twin")
    monkeypatch.setenv("MLVGM_PLUGINS", ",".join(site.distributions))
    return site


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    code = caught.value.code
    assert code is None or isinstance(code, int)
    return code or 0, out, err


def test_list_is_static_and_reports_duplicates(only_site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "plugins", "list")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["attacks", "bad", "mlvgm-bad"],
        ["attacks", "good", "mlvgm-good"],
        ["attacks", "twin", "mlvgm-twin-a"],
        ["attacks", "twin", "mlvgm-twin-b"],
    ]
    assert "attacks/twin: offered by mlvgm-twin-a 1.0 and mlvgm-twin-b 1.0" in err


def test_list_json_is_one_object(only_site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plugins", "list", "--json", "--kind", "attacks", "--check")
    printed = json.loads(out)
    assert code == 1
    assert {plugin["distribution"] for plugin in printed["plugins"]} == set(only_site.distributions)
    details = {problem["name"]: problem["detail"] for problem in printed["problems"]}
    assert details.keys() == {"attacks/bad", "attacks/twin"}
    assert "ZeroDivisionError" in details["attacks/bad"]


def test_info_shows_options_as_table_json_and_schema(only_site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plugins", "info", "attacks/good")
    assert code == 0
    (row,) = (line for line in out.splitlines() if line.startswith("attack.eps"))
    assert row.split() == ["attack.eps", "float", "1.0", ">=", "0", "radius,", "L2"]
    _, out, _ = run(capsys, "plugins", "info", "attack/good", "--json")
    printed = json.loads(out)
    assert printed["source"] == str(only_site.folder / "good_module_built.py")
    assert [option["name"] for option in printed["options"]] == ["eps", "norm", "file"]
    _, out, _ = run(capsys, "plugins", "info", "attacks/mlvgm-good/good", "--schema")
    assert json.loads(out)["properties"]["eps"]["minimum"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plugins", "info", "attacks/goood"), "unknown attack 'goood' (did you mean 'good'?"),
        (("plugins", "info", "attacs/good"), "unknown kind of plugin 'attacs' (did you mean 'attacks'?"),
        (("plugins", "info", "good"), "expected KIND/NAME, got 'good'"),
        (("plugins", "info", "attacks/bad"), "plugin attacks/bad of mlvgm-bad 1.0 does not load: bad_module:x: ZeroDi"),
        (("plugins", "info", "attacks/twin"), "attack 'twin' is ambiguous: mlvgm-twin-a 1.0 and mlvgm-twin-b 1.0"),
        (("plugins", "list", "--kind", "attack"), "unknown kind of plugin 'attack' (did you mean 'attacks'?"),
    ],
)
def test_expected_errors_are_one_line_and_exit_code_2(
    only_site: Site, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


def test_traceback_is_shown_on_request_anywhere_on_the_line(
    only_site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ("--traceback", "plugins", "info", "attacks/bad"),
        ("plugins", "info", "attacks/bad", "--traceback"),
    ):
        code, _, err = run(capsys, *arguments)
        assert code == 2
        assert "Traceback" in err and "ZeroDivisionError: division by zero" in err
        assert err.splitlines()[-1].startswith("error: plugin attacks/bad")


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("nosuch",), ("plugins", "nosuch"), ("plugins", "list", "--nosuch")):
        assert run(capsys, *arguments)[0] == 2


def test_unexpected_errors_exit_with_70_and_interruption_with_130(
    only_site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: BaseException) -> None:
        def installed() -> None:
            raise error

        monkeypatch.setattr("mlvgm.plugins.index.Index.installed", installed)

    fail(RuntimeError("what\nnow"))
    code, _, err = run(capsys, "plugins", "list")
    assert code == 70
    assert (
        err == "error: internal error: RuntimeError: what now (a bug in mlvgm or a plugin; --traceback shows where)\n"
    )
    fail(KeyboardInterrupt())
    assert run(capsys, "plugins", "list")[0] == 130


def test_doctor_reports_every_problem_and_exits_with_1(only_site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plugins", "doctor", "--json")
    printed = json.loads(out)
    statuses = {(check["name"], check["status"]) for check in printed["checks"]}
    assert (code, printed["ok"]) == (1, False)
    assert {
        ("attacks/bad", "problem"),
        ("attacks/twin", "problem"),
        ("attacks/good", "ok"),
        ("torch", "ok"),
    } <= statuses


def test_doctor_is_content_without_problems(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install_working("mlvgm-good", "good_module", name="good")
    monkeypatch.setenv("MLVGM_PLUGINS", "mlvgm-good")
    code, out, _ = run(capsys, "plugins", "doctor")
    assert code == 0
    assert ["ok", "attacks/good", "mlvgm-good", "1.0"] in [line.split() for line in out.splitlines()]


def test_completion_offers_names_that_work(only_site: Site) -> None:
    assert completion.names("attacks")("") == ["bad", "good", "mlvgm-twin-a/twin", "mlvgm-twin-b/twin"]
    assert completion.names("attacks")("go") == ["good"]
    assert completion.kinds("at") == ["attacks"]
    assert completion.components("attacks/g") == ["attacks/good"]


def test_options_of_a_check_are_printed_as_they_are_set(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mlvgm_robust")
    _, out, _ = run(capsys, "plugins", "info", "checks/active.test")
    assert any(line.startswith("check.active.test.images ") for line in out.splitlines())
    with pytest.raises(ConfigError, match=r"check\.active\.test\.nothing: unknown option"):
        build("checks", "active.test", {"nothing": 1})


def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*verbs: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mlvgm.cli.main.build_app", full)
    code, out, err = run(capsys, "report", "somewhere")
    assert (code, out) == (2, "") and err.startswith("error: the disk is full: ") and err.count("\n") == 1


def test_an_optional_part_that_is_not_there_is_a_note_and_no_problem(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install_working("mlvgm-needy", "needy", name="needy", requires=["no-such-module>=2; extra == 'more'"])
    (site.folder / "needy_built.py").write_text("import no_such_module")
    monkeypatch.setenv("MLVGM_PLUGINS", "mlvgm-needy")
    code, out, _ = run(capsys, "plugins", "doctor")
    (line,) = (line for line in out.splitlines() if "attacks/needy" in line)
    assert code == 0 and line.startswith("note") and "pip install 'mlvgm-needy[more]'" in line


def test_trainings_of_this_checkout_are_no_problem() -> None:
    assert [check for check in check_plugins(Index.installed(), "trainers") if check.status == "problem"] == []
