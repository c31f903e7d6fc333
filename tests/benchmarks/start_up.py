"""Start-up of the command line against a bare Typer application: ratios of CPU time, at most 1.5 is the goal."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 15
BARE = """
import typer

app = typer.Typer(pretty_exceptions_enable=False)


@app.callback()
def root():
    "A bare application."


@app.command()
def look():
    "Print a word."
    print("word")


app()
"""
MLVGM = "from mlvgm.cli.main import main; main()"


def cpu_seconds(program: str, *arguments: str) -> float:
    """User and system time of one run; unlike elapsed time, other processes hardly change it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # An installed application has its modules compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, program, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bare, mlvgm = Path(folder, "bare.py"), Path(folder, "mlvgm_main.py")
        bare.write_text(BARE)
        mlvgm.write_text(MLVGM)
        runs = {
            "bare look": (str(bare), "look"),
            "bare --help": (str(bare), "--help"),
            "mlvgm --help": (str(mlvgm), "--help"),
            "mlvgm --version": (str(mlvgm), "--version"),
            "mlvgm plugins list": (str(mlvgm), "plugins", "list"),
        }
        for run in runs.values():  # the first run of each compiles and fills caches
            cpu_seconds(*run)
        # Interleaved, so that a busy minute hits all of them.
        rounds = [{name: cpu_seconds(*run) for name, run in runs.items()} for _ in range(ROUNDS)]
    median = {name: statistics.median(times[name] for times in rounds) for name in runs}
    for name, base in (
        ("mlvgm --help", "bare --help"),
        ("mlvgm --version", "bare look"),
        ("mlvgm plugins list", "bare look"),
    ):
        ratio = median[name] / median[base]
        print(f"{name} / {base}: {ratio:.2f} ({1000 * median[name]:.0f} ms / {1000 * median[base]:.0f} ms of CPU time)")


if __name__ == "__main__":
    main()
