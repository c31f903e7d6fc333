"""Where the files of Fashion-MNIST are: on this computer, or downloaded once with a checksum."""

from __future__ import annotations

import gzip
import hashlib
import os
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

from mlvgm.errors import InputError
from mlvgm.files import write_bytes

# sha256 of the uncompressed files: Debian and the authors' mirror wrap the same bytes in different gzip headers.
CHECKSUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
SYSTEM = Path("/")
DEBIAN = Path("usr/share/datasets/fashion-mnist")
HINT = "run `make data`, or install Debian's package dataset-fashion-mnist"


def cache() -> Path:
    """Folder for data this user has fetched: ``$XDG_CACHE_HOME/mlvgm/data`` or ``~/.cache/mlvgm/data``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlvgm" / "data"


def locate(folder: Path, name: str) -> Path:
    """The file ``name`` of ``folder``: the plain one if it is there, else the gzipped one, there or not."""
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


def places(data_dir: Path | None) -> Iterator[Path]:
    """Folders that may have the files, the first that has all of them is used.

    Args:
        data_dir: where the user says they are; None looks in ``$MLVGM_DATA``, Debian's folder and the cache.
    """
    if data_dir is not None:
        roots = [data_dir]
    else:
        roots = [Path(os.environ["MLVGM_DATA"])] if os.environ.get("MLVGM_DATA") else []
        roots += [SYSTEM / DEBIAN, cache()]
    for root in roots:
        # An unpacked package keeps its path below the folder it was unpacked into.
        yield from (root, root / "fashion-mnist", root / DEBIAN, root / "fashion-mnist" / DEBIAN)


def find_full(data_dir: Path | None) -> Path | None:
    """The first place with all four files; None if there is none.

    Raises:
        InputError: the user named a folder, and the files are not there.
    """
    for folder in places(data_dir):
        if all(locate(folder, name).is_file() for name in CHECKSUMS):
            return folder
    if data_dir is None:
        return None
    names = ", ".join(f"{name}[.gz]" for name in CHECKSUMS)
    raise InputError(f"expected the files of Fashion-MNIST in {data_dir} ({names}), they are not there", hint=HINT)


def get_full(data_dir: Path | None) -> Path:
    """The first place with all four files; downloads them into the cache if there is none.

    Raises:
        InputError: no network, or the mirror sent something else.
    """
    return find_full(data_dir) or _download(cache() / "fashion-mnist")


def _download(folder: Path) -> Path:
    for name, expected in CHECKSUMS.items():
        file = folder / f"{name}.gz"
        if file.is_file():
            continue
        try:
            with urllib.request.urlopen(MIRROR + file.name, timeout=60) as answer:
                content = answer.read()
        except OSError as error:
            raise InputError(
                f"Fashion-MNIST is not on this computer and {MIRROR} does not answer: {error}", hint=HINT
            ) from error
        if _checksum(content) != expected:
            raise InputError(f"{MIRROR}{file.name} did not send the file of Fashion-MNIST", hint=HINT)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(file, content)
    return folder


def _checksum(content: bytes) -> str:
    try:
        return hashlib.sha256(gzip.decompress(content)).hexdigest()
    except (OSError, EOFError, zlib.error):
        return "not gzip"
