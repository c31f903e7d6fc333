"""How errors leave the program: one line or one object on stderr, and an exit code."""

from __future__ import annotations

import errno
import json

import pytest

from mlvgm.cli.main import as_expected, main
from mlvgm.errors import CheckFailed, InputError, unknown


def ended(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments])
    printed = capfd.readouterr()
    return stopped.value.code, printed.out, printed.err


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("runs", "show", "nowhere"), "'nowhere' is not a run directory (no config.yaml)", "see `mlvgm runs list`"),
        (("runs", "show"), "Missing argument", "see `mlvgm runs show --help`"),
        (("plugins", "info", "nvae"), "expected KIND/NAME, got 'nvae'", "plugins list"),
        (("run", "purify", "-n", "x"), "Invalid value for '--limit' / '-n'", "see `mlvgm run purify --help`"),
        (("run", "purify", "--nosuch"), "No such option: --nosuch", "see `mlvgm run purify --help`"),
        (("nosuch",), "No such command 'nosuch'", "see `mlvgm --help`"),
    ],
)
def test_an_error_is_one_line_or_with_json_one_object(
    arguments: tuple[str, ...], error: str, hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, line = ended(capfd, *arguments)
    assert (code, out) == (2, "") and line.startswith(f"error: {error}") and hint in line and line.count("\n") == 1
    code, out, text = ended(capfd, *arguments, "--json")
    said = json.loads(text)
    assert (code, out, said["exit"]) == (2, "", 2) and set(said) == {"error", "hint", "exit"}
    assert said["error"].startswith(error) and hint in said["hint"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CheckFailed("too low"), 1, "too low"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 2, "the disk is full: No space left on device: 'x'"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "xxx"), 2, "File name too long: 'xxx'"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2, "Permission denied: 'x'"),
        (MemoryError(), 2, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "not enough memory"),
        (RuntimeError("shape mismatch"), 70, "internal error: RuntimeError: shape mismatch"),
        (KeyError("x"), 70, "internal error: KeyError: 'x'"),
    ],
)
def test_what_an_error_is_taken_for(error: Exception, code: int, said: str) -> None:
    expected = as_expected(error)
    assert (expected.exit_code, expected.message) == (code, said)


def test_of_hundreds_of_names_some_are_listed() -> None:
    text = str(unknown("model", "resnet19", [f"resnet{number}" for number in range(900)] + ["vit"]))
    assert "did you mean 'resnet" in text and "and 851 more" in text and len(text) < 800
    assert str(unknown("model", "x", [])) == "unknown model 'x' (known: none)"


def test_an_error_keeps_message_and_hint_apart() -> None:
    error = as_expected(InputError("no such file", hint="look again"))
    assert (error.message, error.hint) == ("no such file", "look again")


def test_arguments_that_are_no_text_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = ended(capfd, "runs", "list", "\udcff")
    assert code == 2 and "expected text in UTF-8" in err


def test_commands_without_arguments_show_their_help(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = ended(capfd, "run")
    assert code == 2 and "Usage: mlvgm run" in out and not err
