"""Proof that nothing ran: what the interpreter itself reports while something is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_FORBIDDEN = (
    "pickle.find_class", "exec", "compile", "import", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn",
    "os.remove", "os.rename", "os.mkdir", "os.chmod", "os.putenv", "subprocess.Popen", "socket.connect",
    "ctypes.dlopen", "code.__new__", "function.__new__", "object.__setattr__", "sys.addaudithook",
    "urllib.Request", "shutil.rmtree",
)  # fmt: skip


class Watch:
    """Notes what the interpreter's audit events say was executed, imported or written while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and isinstance(arguments[1], str) and not set("wax+").isdisjoint(arguments[1])
        if event in _FORBIDDEN or writes:
            self.seen.append(f"{event} {arguments!r}"[:200])

    def __call__(self, action: Callable[[], Any]) -> Any:
        """The result of ``action``; afterwards ``seen`` tells what it did."""
        self.on, self.seen = True, []
        try:
            return action()
        finally:
            self.on = False
