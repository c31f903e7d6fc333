"""The demonstration on 32 images: two workers of one thread each against one process of two threads.

    python tests/benchmarks/workers.py [ROUNDS]

Prints elapsed times, their ratio (0.75 or less is the goal on two cores), and whether the decisions are the same.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAIN = "from mlvgm.cli.main import main; main()"
WAYS = {"one process of two threads": ("--threads", "2"), "two workers of one thread": ("--workers", "2")}


def run(folder: Path, *options: str) -> float:
    """Seconds of one run into ``folder``."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", MAIN, "run", "purify", "-n", "32", "-q", "--out", str(folder), *options]
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun


def decisions(folder: Path) -> dict[str, tuple[list[bool], list[bool]]]:
    lines = [line for path in folder.glob("records*.jsonl") for line in path.read_text().splitlines()]
    records = map(json.loads, lines)
    return {record["unit"]: (record["clean"], record["robust"]) for record in records}


def main(rounds: int) -> None:
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    found = []
    with tempfile.TemporaryDirectory() as place:
        for number in range(rounds + 1):  # alternated; the first round warms up
            for way, options in WAYS.items():
                folder = Path(place, f"{number} {way}")
                spent = run(folder, *options)
                found.append(decisions(folder))
                if number:
                    seconds[way].append(spent)
    middle = {way: statistics.median(times) for way, times in seconds.items()}
    for way, spent in middle.items():
        print(f"{way:<28} {spent:6.1f} s")
    one, two = middle.values()
    print(f"ratio {two / one:.2f}; decisions {'identical' if all(each == found[0] for each in found) else 'DIFFER'}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
