"""Workers: the processes of one command, started by it or by ``torchrun``, which share its units of work.

Decisions do not depend on their number, for a unit's outcome depends on its configuration and sample ids only.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from mlvgm.errors import ConfigError, Stopped

# All have started before one of them waits for the others; later one may wait as long as their units take.
_ASSEMBLY = timedelta(seconds=40)
_PATIENCE = timedelta(days=30)
_POLL_SECONDS = 0.1
_GO_ON = "finished units are safe; `mlvgm runs resume` goes on"
_MAIN = "from mlvgm.cli.main import main; main()"


def _nobody() -> None:
    pass


@dataclass(frozen=True)
class Workers:
    """This process among all that work on the same run.

    Args:
        rank: number of this process; 0 makes the run directory and writes the results.
        count: how many processes there are.
        alive: raises if another is known to have ended.
    """

    rank: int = 0
    count: int = 1
    alive: Callable[[], None] = field(default=_nobody, repr=False, compare=False)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, units: Sequence[Any]) -> list[Any]:
        """This worker's part of ``units``.

        >>> Workers(1, 2).share(["a", "b", "c", "d", "e"])
        ['b', 'd']
        """
        return list(units[self.rank :: self.count])

    def agree(self, value: Any) -> Any:
        """The value of rank 0, for all."""
        if self.count == 1:
            return value
        import torch.distributed as dist

        box = [value]
        with _together():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Return when every worker has come here; signals are heard meanwhile."""
        if self.count == 1:
            return
        import torch.distributed as dist

        with _together():
            work = dist.barrier(async_op=True)
            while not work.is_completed():
                self.alive()
                time.sleep(_POLL_SECONDS)
            work.wait()


@contextmanager
def _together() -> Iterator[None]:
    """Turn the loss of another process into an error that says so."""
    try:
        yield
    except RuntimeError as error:
        raise Stopped("another process of this run has ended; finished units are safe", hint=_GO_ON) from error


@contextmanager
def helped(environ: Mapping[str, str], count: int, arguments: Sequence[str]) -> Iterator[Workers]:
    """This process with ``count`` - 1 others that it starts, which do the same command; else as :func:`joined`.

    Args:
        environ: the process's environment.
        count: how many processes are to share the work; 1 starts none.
        arguments: of the command, after the program's name.

    Raises:
        ConfigError: they do not meet.
        Stopped: one has ended before its work was done.
    """
    if count == 1:
        with joined(environ) as workers:
            yield workers
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _MAIN, *arguments],
            env={**environ, **meeting, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for rank in range(1, count)
    ]

    def alive() -> None:
        for rank, other in enumerate(others, start=1):
            if other.poll() not in (None, 0):
                raise Stopped(f"worker {rank} has ended with exit code {other.returncode}", hint=_GO_ON)

    try:
        with _environment({**meeting, "RANK": "0"}), joined(os.environ) as workers:
            yield replace(workers, alive=alive)
        for other in others:
            other.wait()
    finally:
        for other in others:
            if other.poll() is None:
                other.terminate()
        for other in others:
            other.wait()


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    """Variables that torch reads from the process's own environment, while inside."""
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def announced(environ: Mapping[str, str]) -> Workers:
    """Which of how many processes this is, by the variables of ``torchrun``; the only one without them.

    Raises:
        ConfigError: they are incomplete or contradict each other.

    >>> announced({}), announced({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "2950"})
    (Workers(rank=0, count=1), Workers(rank=1, count=2))
    """
    if not {"RANK", "WORLD_SIZE"} & environ.keys():
        return Workers()
    count, rank = _number(environ, "WORLD_SIZE", least=1), _number(environ, "RANK", least=0)
    if rank >= count:
        raise _refused(f"RANK={rank} of WORLD_SIZE={count}, ranks are 0 to {count - 1}")
    if count > 1:
        if not environ.get("MASTER_ADDR", "").strip():
            raise _refused(f"WORLD_SIZE={count} and no MASTER_ADDR")
        if (port := _number(environ, "MASTER_PORT", least=1)) > 65535:
            raise _refused(f"MASTER_PORT={port}, ports end at 65535")
    return Workers(rank, count)


def _number(environ: Mapping[str, str], name: str, *, least: int) -> int:
    text = environ.get(name)
    if text is None:
        raise _refused(f"{' and '.join(sorted({'RANK', 'WORLD_SIZE'} & environ.keys()))} and no {name}")
    if not (text.isascii() and text.isdecimal() and int(text[:20]) >= least):
        raise _refused(f"{name}={text!r}, expected a whole number from {least}")
    return int(text[:20])


def _refused(what: str) -> ConfigError:
    hint = "start several processes with torchrun, or unset RANK and WORLD_SIZE"
    return ConfigError(f"the environment has {what}", hint=hint)


@contextmanager
def joined(environ: Mapping[str, str]) -> Iterator[Workers]:
    """Join the other processes of ``torchrun``, if there are any, over gloo: only names are exchanged.

    Args:
        environ: the process's environment, in which ``torchrun`` says who is who.

    Raises:
        ConfigError: what it says cannot be, or the others do not come.
    """
    workers = announced(environ)
    if workers.count == 1:
        yield workers
        return
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    try:
        socket.getaddrinfo(environ["MASTER_ADDR"], environ["MASTER_PORT"])
    except OSError as error:
        raise _refused(f"MASTER_ADDR={environ['MASTER_ADDR']}, which is no machine: {error.strerror}") from None
    try:
        store, rank, count = next(rendezvous("env://", timeout=_ASSEMBLY))
        dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=_PATIENCE)
    except (dist.DistError, RuntimeError, ValueError) as error:
        where = f"{environ['MASTER_ADDR']}:{environ['MASTER_PORT']}"
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"the {workers.count} processes of this run have not met at {where} within {_ASSEMBLY.seconds} s: {why}",
            hint="start them together with torchrun, or unset RANK and WORLD_SIZE",
        ) from None
    try:
        yield workers
    finally:
        dist.destroy_process_group()
