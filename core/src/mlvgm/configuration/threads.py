"""How many threads and processes a command takes unless told otherwise, without asking torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mlvgm.configuration.settings import Settings
from mlvgm.errors import ConfigError

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_MOST, _AUTO = 256, 16
_TOPOLOGY = Path("/sys/devices/system/cpu")


def shares(workers: str | None, settings: Settings, environ: Mapping[str, str]) -> tuple[int, int]:
    """How many processes of this machine share a run, and how many threads each takes unless ``settings`` say so.

    Models are small: two processes of one thread each do more than one of two. So a command takes one a core, unless
    threads are asked for, the work is not on the CPU, or processes have been started already.

    Args:
        workers: as the user wrote it; None and ``"auto"`` leave it to the machine.
        settings: explicit ones.
        environ: the process's environment.

    Raises:
        ConfigError: ``workers`` is no number, or there are processes already.
    """
    threads = default_threads(environ)
    started = "RANK" in environ or "WORLD_SIZE" in environ
    if workers not in (None, "auto"):
        assert workers is not None
        if not (workers.isascii() and workers.isdecimal() and 1 <= int(workers[:5]) <= _MOST):
            raise ConfigError(f"--workers: expected auto or a whole number from 1 to {_MOST}, got '{workers}'")
        if started:
            return 1, threads
        return int(workers), threads if int(workers) == 1 else 1
    asked = "threads" in settings or any(environ.get(name, "").strip() for name in _VARIABLES)
    device = settings["device"].value if "device" in settings else "cpu"
    if started or asked or device != "cpu" or threads == 1:
        return 1, threads
    return min(threads, _AUTO), 1


def default_threads(environ: Mapping[str, str], *, topology: Path = _TOPOLOGY) -> int:
    """Threads that the environment asks for, else the cores this process may use; two threads of a core count once."""
    for name in _VARIABLES:
        count = environ.get(name, "").partition(",")[0].strip()
        if count.isdecimal() and int(count) > 0:
            return int(count)
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return len({_siblings(topology, cpu) for cpu in usable})


def _siblings(topology: Path, cpu: int) -> str:
    """The threads of the core that a CPU is of, as the system writes them."""
    try:
        return (topology / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)
