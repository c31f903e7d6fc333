"""The bundled sample: the first 2,000 test images of Fashion-MNIST, as IDX files of their own.

Made once with ``python -m mlvgm_vision.datasets.fashion_mnist_sample FOLDER`` from the full data set.
"""

from __future__ import annotations

import gzip
import sys
from importlib.resources import files
from pathlib import Path

from mlvgm_vision.datasets.fashion_mnist_files import get_full, locate

SAMPLES = 2_000
FOLDER = Path(str(files("mlvgm_vision"))) / "data" / "fashion-mnist-sample"
# sha256 of the uncompressed files: how well they are compressed is no property of the data.
CHECKSUMS = {
    "t10k-images-idx3-ubyte": "862035b0a96959b614c9574f4c2b0ae9584ca234813e8d6d7adb7838b12ca46b",
    "t10k-labels-idx1-ubyte": "aa3f574d30afaf0d4d9da084a6f8541771e20693d6a97fae6e9a4953fca8f078",
}


def make_sample(full: Path, folder: Path) -> None:
    """Write the first 2,000 test images and labels of the full data set in ``full`` into ``folder``.

    Sample ids are positions in the file, so an id means the same image in the sample and in the full test split.
    """
    from mlvgm_vision.datasets.idx import read_idx, write_idx

    for name in CHECKSUMS:
        content = write_idx(read_idx(locate(full, name))[:SAMPLES])
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, 9, mtime=0))


if __name__ == "__main__":
    make_sample(get_full(Path(sys.argv[1]) if sys.argv[1:] else None), FOLDER)
