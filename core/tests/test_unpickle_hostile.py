"""Hostile and damaged checkpoints end in one line; nothing in them runs, and nothing is imported or written."""

from __future__ import annotations

import random
import shlex
from pathlib import Path
from typing import Any

import pytest

import hostile_pickles
import mutations
import pickled
from mlvgm.errors import InputError
from mlvgm.weights.unpickle import unpickle
from watch import Watch

SAMPLES = pickled.samples()
HOSTILE = sorted(hostile_pickles.hostile(""))
ROUNDS = 800


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    """Torch and numpy import some of their parts late: everything readable has been read before."""
    folder = tmp_path_factory.mktemp("warm")
    for name, content in {**SAMPLES, "names.pt": hostile_pickles.zipped(b"N.")}.items():
        (folder / name).write_bytes(content)
        unpickle(folder / name)
    return Watch()


def outcome(path: Path, watch: Watch) -> Any:
    """What is read, or the one line of the refusal; fails if anything else happened."""

    def attempt() -> Any:
        try:
            return unpickle(path)
        except InputError as error:
            return error

    found = watch(attempt)
    assert watch.seen == []
    if isinstance(found, InputError):
        assert str(found).isprintable() and str(path) in str(found) and len(str(found)) < 500
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str, tmp_path: Path, watch: Watch, capfd: pytest.CaptureFixture[str]) -> None:
    marker = tmp_path / "executed"
    path = tmp_path / "hostile.pkl"
    path.write_bytes(hostile_pickles.hostile(f"touch {shlex.quote(str(marker))}")[name])
    found = outcome(path, watch)
    assert isinstance(found, InputError)
    assert [file.name for file in tmp_path.iterdir()] == ["hostile.pkl"]
    assert capfd.readouterr() == ("", "")
    if "os.system" in name or name.startswith(("inst", "in a", "inside")) or name == "dotted name":
        assert "calls" in str(found) and ("system" in str(found) or "abort" in str(found))


def test_the_trap_is_real(tmp_path: Path) -> None:
    """Python's own unpickler runs what ours refuses, and the watch sees it."""
    import pickle

    path = tmp_path / "executed"
    watch = Watch()
    watch(lambda: pickle.loads(hostile_pickles.hostile(f"touch {shlex.quote(str(path))}")["reduce to os.system"]))
    assert path.exists()
    assert any(event.startswith("os.system") for event in watch.seen)
    assert any(event.startswith("pickle.find_class") for event in watch.seen)


@pytest.mark.parametrize(
    "name", ["plain2.pkl", "plain4.pkl", "zip.pt", "legacy.pt", "stylegan4.pkl", "tensorflow0.pkl"]
)
def test_truncated_anywhere(name: str, tmp_path: Path, watch: Watch) -> None:
    content, path = SAMPLES[name], tmp_path / name
    step = max(1, len(content) // 100)
    for end in {*range(0, len(content), step), *range(len(content) - 20, len(content))}:
        path.write_bytes(content[:end])
        assert isinstance(outcome(path, watch), InputError), end


def test_mutations_and_inventions_are_read_or_refused(tmp_path: Path, watch: Watch) -> None:
    rng = random.Random(0)
    sources = [*SAMPLES.values()] * 10 + [
        code for code in hostile_pickles.hostile("exit").values() if len(code) < 20_000
    ]
    path = tmp_path / "mutant.pkl"
    outcomes = {True: 0, False: 0}
    for round_ in range(ROUNDS):
        content = mutations.invent(rng) if round_ % 4 == 0 else mutations.mutate(rng.choice(sources), rng)
        path.write_bytes(content)
        outcomes[isinstance(outcome(path, watch), InputError)] += 1
    # Neither answer is the only one, or the test would say little.
    assert min(outcomes.values()) > ROUNDS / 50


def test_a_hostile_key_cannot_shadow_what_records_are_made_of(tmp_path: Path, watch: Watch) -> None:
    state = (
        b"}("
        + b"".join(hostile_pickles.text(name) + b"K\1" for name in ("__class__", "name", "state", "__dict__"))
        + b"u"
    )
    path = tmp_path / "shadow.pkl"
    path.write_bytes(b"csomewhere\nThing\n)\x81" + state + b"b.")
    found = outcome(path, watch)
    assert found.name == "somewhere.Thing" and [*found.state] == ["__class__", "name", "state", "__dict__"]
