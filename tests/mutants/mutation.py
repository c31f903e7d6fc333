"""How many wrong versions of the project its tests notice: ``make mutation``, or this file with names of modules.

Each line of ``*.jsonl`` beside this file is a mutant: ``file``, ``text`` (there once), its ``replacement``, what
it would make false (``falsifies``), and ``tests``, the test files that should notice. One that those miss has survived,
unless all fast tests are asked too (``--all-tests``), which takes minutes for each. ``equivalents.jsonl`` holds changes
that change nothing, each with a ``reason``; they are not counted.

The project itself is never touched: every worker has a folder of links to the packages with one file replaced, which
comes before the installed packages on the path.

    python tests/mutants/mutation.py attacks runs     # two of the lists
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PACKAGES = ("core/src", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("plugins/mlvgm-*/src")))
REQUIRED = 0.95
SECONDS = 900  # an endless loop is noticed too
PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:randomly")


@dataclass(frozen=True)
class Mutant:
    """One wrong version.

    Args:
        file: what is changed, from the root of the checkout.
        text: what stands there, exactly once.
        replacement: what is put in its place.
        falsifies: what would silently be wrong.
        tests: test files that should notice, from the root of the checkout.
    """

    file: str
    text: str
    replacement: str
    falsifies: str
    tests: tuple[str, ...] = ()

    def applied(self, source: str) -> str:
        """``source`` with the change.

        Raises:
            ValueError: the text is not there exactly once.
        """
        if source.count(self.text) != 1:
            raise ValueError(f"{self.file}: {source.count(self.text)} times, not once: {self.text!r}")
        return source.replace(self.text, self.replacement)


def mutants(file: Path) -> list[Mutant]:
    """The mutants that ``file`` lists."""
    rows = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    return [Mutant(**(row | {"tests": tuple(row.get("tests", ()))})) for row in rows]


def lists(names: Sequence[str] = ()) -> dict[str, list[Mutant]]:
    """Mutants by the name of their list, those of ``names`` or all; without the equivalents."""
    files = [HERE / f"{name}.jsonl" for name in names] or sorted(HERE.glob("*.jsonl"))
    return {file.stem: mutants(file) for file in files if file.stem != "equivalents"}


class Overlay:
    """A folder of links to the packages of the checkout, in which one file at a time is another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in PACKAGES:
            for path in (ROOT / package).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path):
                    link = folder / path.relative_to(ROOT)
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(path)

    def notices(self, mutant: Mutant | None, tests: Iterable[str]) -> bool:
        """Whether one of the test files fails with the mutant in place."""
        path = None if mutant is None else self.folder / mutant.file
        if path is not None and mutant is not None:
            path.unlink()
            path.write_text(mutant.applied((ROOT / mutant.file).read_text()))
        try:
            return self._fails(tests)
        finally:
            if path is not None and mutant is not None:
                path.unlink()
                path.symlink_to(ROOT / mutant.file)

    def _fails(self, tests: Iterable[str]) -> bool:
        path = os.pathsep.join(str(self.folder / package) for package in PACKAGES)
        # Compiled files are told apart by second and size, which two mutants may share.
        environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run([*PYTEST, *tests], cwd=ROOT, env=environment, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return True
        if done.returncode in (0, 1):
            return done.returncode == 1
        if done.returncode == 2:  # a module that cannot be collected
            return True
        raise SystemExit(f"pytest {' '.join(tests)} ended with {done.returncode}:\n{done.stdout.decode()[-2000:]}")


def killed(overlay: Overlay, mutant: Mutant, *, all_tests: bool) -> bool:
    """Whether one of the tests that should notice the mutant does; of all fast tests where none is named."""
    if mutant.tests and overlay.notices(mutant, mutant.tests):
        return True
    return (all_tests or not mutant.tests) and overlay.notices(mutant, ())


def survey(chosen: dict[str, list[Mutant]], *, workers: int, all_tests: bool = False) -> dict[str, list[Mutant]]:
    """The survivors of each list."""
    todo: queue.SimpleQueue[tuple[str, Mutant]] = queue.SimpleQueue()
    for name, found in chosen.items():
        for mutant in found:
            todo.put((name, mutant))
    survivors: dict[str, list[Mutant]] = {name: [] for name in chosen}
    total, started = todo.qsize(), time.monotonic()

    def work(overlay: Overlay) -> None:
        while True:
            try:
                name, mutant = todo.get_nowait()
            except queue.Empty:
                return
            gone = killed(overlay, mutant, all_tests=all_tests)
            if not gone:
                survivors[name].append(mutant)
            minutes, verdict = (time.monotonic() - started) / 60, "killed" if gone else "SURVIVED"
            print(
                f"{total - todo.qsize()}/{total} {minutes:.0f} min {verdict:<8} {mutant.file}: {mutant.falsifies}",
                flush=True,
            )

    with tempfile.TemporaryDirectory() as folder:
        overlays = [Overlay(Path(folder) / str(number)) for number in range(workers)]
        named = sorted({test for found in chosen.values() for mutant in found for test in mutant.tests})
        if named and overlays[0].notices(None, named):
            raise SystemExit("the tests fail without any mutant")
        threads = [threading.Thread(target=work, args=(overlay,)) for overlay in overlays]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return survivors


def main() -> None:
    """Print killed/total of each module; exit code 1 if too many survive."""
    parser = argparse.ArgumentParser(description="How many wrong versions of the project its tests notice.")
    parser.add_argument("lists", nargs="*", help="names of lists; all of them if none is given")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--all-tests", action="store_true", help="ask all fast tests where the named ones miss one")
    arguments = parser.parse_args()
    chosen = lists(arguments.lists)
    survivors = survey(chosen, workers=arguments.workers, all_tests=arguments.all_tests)
    count, alive = sum(map(len, chosen.values())), sum(map(len, survivors.values()))
    print()
    for name, found in chosen.items():
        print(f"{name:<16} {len(found) - len(survivors[name])}/{len(found)}")
        for mutant in survivors[name]:
            print(f"    survived: {mutant.file}: {mutant.falsifies}", flush=True)
    print(f"{'all':<16} {count - alive}/{count} killed ({(count - alive) / count:.1%}, {REQUIRED:.0%} wanted)")
    sys.exit(alive > (1 - REQUIRED) * count)


if __name__ == "__main__":
    main()
