"""Fuzz the unpickler and the converter: ``python core/tests/fuzz_unpickle.py --minutes 10``.

Mutated samples, mutated reference checkpoints, truncations, invented pickles. Every case runs in this process under a
CPU time limit, a memory limit and an audit hook that notes execution, imports and writes. What can be read goes on to
``mlvgm weights convert`` with the installed generators. Exit code 1 if anything but a value or an InputError came out,
or a refusal left a file.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import hostile_pickles
import mutations
import pickled
from mlvgm.errors import MlvgmError
from mlvgm.plugins.index import Index
from mlvgm.weights.convert import convert
from mlvgm.weights.unpickle import unpickle
from watch import Watch

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
SUFFIXES = (".pt", ".pth", ".pkl", ".ckpt", ".th")
SECONDS = 20.0
MEMORY = 2 << 30


class Hang(BaseException):
    """A case has used up its time."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz_unpickle")
    arguments = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    arguments.keep.mkdir(exist_ok=True)
    return Fuzzer(arguments.seed, arguments.keep).run(arguments.minutes * 60)


class Fuzzer:
    """One campaign; findings are kept as files."""

    def __init__(self, seed: int, keep: Path) -> None:
        self.rng, self.keep, self.index = random.Random(seed), keep, Index.installed()
        self.folder = Path(tempfile.mkdtemp())
        # The case in work survives a crash of the process.
        self.path = keep / "case.pkl"
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.findings: collections.Counter[str] = collections.Counter()
        self.sources = list(pickled.samples().values())
        golden = (path for path in sorted(GOLDEN.glob("*/*")) if path.suffix in SUFFIXES) if GOLDEN.is_dir() else ()
        self.golden = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in golden}
        self.hostile = [content for content in hostile_pickles.hostile("exit 1").values() if len(content) < 20_000]
        for content in [*self.sources, *self.golden.values(), hostile_pickles.zipped(b"N.")]:
            self.path.write_bytes(content)
            unpickle(self.path)
            self._convert()
        self.watch = Watch()
        self.slowest = 0.0

    def run(self, seconds: float) -> int:
        signal.signal(signal.SIGPROF, self._alarm)
        virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (virtual + MEMORY, virtual + MEMORY))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{len(self.sources)} samples, {len(self.hostile)} hostile, golden: {', '.join(self.golden)}", flush=True)
        end, told = time.monotonic() + seconds, 0.0
        while time.monotonic() < end:
            kind, content = self._case()
            self._attempt(kind, content)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(f"{sum(self.outcomes.values())} cases, {sum(self.findings.values())} findings", flush=True)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        print(f"seconds {seconds:.0f}, cases {sum(self.outcomes.values())}, slowest {self.slowest:.2f} CPU seconds")
        print(f"peak memory grew by {grown} MiB")
        for what, count in sorted(self.outcomes.items()):
            print(f"  {count:8} {what}")
        for what, count in self.findings.most_common():
            print(f"FINDING {count:4} {what}")
        return 1 if self.findings else 0

    def _case(self) -> tuple[str, bytes]:
        rng = self.rng
        chance = rng.random()
        if chance < 0.25:
            return "invented", mutations.invent(rng)
        if chance < 0.35:
            return "mutated hostile", mutations.mutate(rng.choice(self.hostile), rng)
        if chance < 0.45:
            content = rng.choice([*self.sources, *self.golden.values()])
            return "truncated", content[: rng.randrange(len(content))]
        if chance < 0.53 and self.golden:
            return "mutated golden", mutations.mutate(rng.choice([*self.golden.values()]), rng)
        return "mutated sample", mutations.mutate(rng.choice(self.sources), rng)

    def _attempt(self, kind: str, content: bytes) -> None:
        self.path.write_bytes(content)
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            outcome = self.watch(self._read)
            if self.watch.seen:
                self._found(f"side effect while {kind}: {self.watch.seen[0]}")
            elif outcome == "read" and self.rng.random() < (0.4 if kind == "mutated golden" else 0.1):
                outcome = self._convert()
        except Hang:
            outcome = "hang"
            self._found(f"hang: {kind}")
        except Exception as error:
            outcome = "crash"
            self._found(f"{kind}: {type(error).__name__}: {error}"[:200])
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        self.slowest = max(self.slowest, time.process_time() - start)
        self.outcomes[f"{kind}: {outcome}"] += 1

    def _read(self) -> str:
        try:
            unpickle(self.path)
        except MlvgmError as error:
            return "refused" if "refused" in str(error) else "damaged"
        return "read"

    def _convert(self) -> str:
        """Convert the case; refusals leave nothing."""
        target = self.folder / "converted.safetensors"
        try:
            convert(self.path, target, index=self.index)
        except MlvgmError as error:
            if any(self.folder.iterdir()):
                raise RuntimeError("a refused conversion left a file") from error
            known = "no checkpoint of a known family" not in str(error)
            return "read, refused by a converter" if known else "read, no family's"
        if [path.name for path in self.folder.iterdir()] != [target.name]:
            raise RuntimeError("a conversion left more than its file")
        target.unlink()
        return "read, converted"

    def _found(self, what: str) -> None:
        self.findings[what] += 1
        (self.keep / f"finding{sum(self.findings.values()):03}.pkl").write_bytes(self.path.read_bytes())

    def _alarm(self, *_: Any) -> None:
        raise Hang


if __name__ == "__main__":
    sys.exit(main())
