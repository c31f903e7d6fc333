"""What makes a training this training: what is trained, seed, options and data."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from mlvgm.configuration.settings import flatten
from mlvgm.protocols.data import Dataset
from mlvgm.reading import read
from mlvgm.training.session import Session

# Images by which a data set is known again.
_LOOKED_AT = 16


def identity(session: Session) -> dict[str, object]:
    """What a checkpoint has to be of for the training to go on from it, in plain values; files by their content."""
    options = session.config.model_dump(mode="json", exclude=set(session.config.FREE))
    files = {
        f"file {value}": hashlib.sha256(Path(value).read_bytes()).hexdigest()[:12]
        for value in flatten(options).values()
        if isinstance(value, str) and Path(value).is_file()
    }
    what = f"{session.kind} {session.name}"
    return {"training": what, "seed": session.seed, **of_data(session.data), **options, **files}


def of_data(data: Dataset) -> dict[str, object]:
    """What makes ``data`` these data: name, size, and some of the images.

    Two folders of images have one name; their pictures tell them apart, wherever they lie.
    """
    size = data.size("train")
    images, labels = read(data, "train", sorted({size * i // _LOOKED_AT for i in range(_LOOKED_AT)}) if size else [])
    content = hashlib.sha256((255 * images).round().to(torch.uint8).cpu().numpy().tobytes())
    content.update(labels.cpu().numpy().tobytes())
    return {"data": data.info.name, "images": size, "content": content.hexdigest()[:12]}
