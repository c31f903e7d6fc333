"""What ``torchrun`` says of a process, and what it would never say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlvgm.errors import ConfigError
from mlvgm.runs.workers import Workers, joined


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ("RANK=5 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=2950", "RANK=5 of WORLD_SIZE=2, ranks are 0 to 1"),
        ("RANK=1 WORLD_SIZE=1", "RANK=1 of WORLD_SIZE=1"),
        ("RANK=0", "RANK and no WORLD_SIZE"),
        ("RANK=0 WORLD_SIZE=2 MASTER_PORT=2950", "no MASTER_ADDR"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR= MASTER_PORT=2950", "no MASTER_ADDR"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost", "no MASTER_PORT"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=70000", "ports end at 65535"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=http", "MASTER_PORT='http'"),
        (
            "RANK=0 WORLD_SIZE=2 MASTER_ADDR=no.such.invalid MASTER_PORT=2950",
            "MASTER_ADDR=no.such.invalid, which is no",
        ),
        ("RANK=-1 WORLD_SIZE=2", "RANK='-1'"),
        ("RANK=one WORLD_SIZE=2", "RANK='one'"),
        ("RANK= WORLD_SIZE=2", "RANK=''"),
        ("RANK=0 WORLD_SIZE=0", "WORLD_SIZE='0'"),
        ("RANK=0 WORLD_SIZE=2.0", "WORLD_SIZE='2.0'"),
    ],
)
def test_what_torchrun_would_not_say_is_refused(variables: str, said: str) -> None:
    environ = dict(pair.split("=") for pair in variables.split())
    with pytest.raises(ConfigError) as refused, joined(environ):
        pass
    assert said in str(refused.value) and "torchrun" in str(refused.value)


def test_processes_that_do_not_meet_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("mlvgm.runs.workers._ASSEMBLY", timedelta(seconds=1))
    with pytest.raises(ConfigError, match="the 2 processes of this run have not met at localhost:1"), joined(environ):
        pass


def test_half_an_environment_is_refused() -> None:
    with pytest.raises(ConfigError, match="WORLD_SIZE and no RANK"), joined({"WORLD_SIZE": "2"}):
        pass
    with joined({}) as workers:
        assert workers == Workers() and workers.leads and workers.agree("x") == "x"
