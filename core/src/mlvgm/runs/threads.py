"""How many threads a command takes unless told otherwise: as many as torch would, without asking it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_TOPOLOGY = Path("/sys/devices/system/cpu")


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
