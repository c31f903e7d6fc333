"""Workers: the processes that ``torchrun`` starts of one command, which share its units of work.

Decisions do not depend on their number, for a unit's outcome depends on its configuration and sample ids only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from mlvgm.errors import ConfigError

# A worker may wait for the others as long as their units take.
_PATIENCE = timedelta(days=30)
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Workers:
    """This process among all that work on the same run.

    Args:
        rank: number of this process; 0 makes the run directory and writes the results.
        count: how many processes there are.
    """

    rank: int = 0
    count: int = 1

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
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Return when every worker has come here; signals are heard meanwhile."""
        if self.count == 1:
            return
        work = dist.barrier(async_op=True)
        while not work.is_completed():
            time.sleep(_POLL_SECONDS)


@contextmanager
def joined(environ: Mapping[str, str]) -> Iterator[Workers]:
    """Join the other processes of ``torchrun``, if there are any, over gloo: only names are exchanged.

    Args:
        environ: the process's environment, in which ``torchrun`` says who is who.

    Raises:
        ConfigError: it says half of it.
    """
    count = environ.get("WORLD_SIZE", "1")
    if count == "1":
        yield Workers()
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in environ]
    if missing:
        raise ConfigError(
            f"the environment has WORLD_SIZE={count} but no {' and no '.join(missing)}",
            hint="start several processes with torchrun, or unset WORLD_SIZE",
        )
    dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Workers(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
