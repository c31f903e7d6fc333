"""Training and choosing need more images than the sample of test images that ships with a data set."""

from __future__ import annotations

from mlvgm.errors import InputError
from mlvgm.protocols.data import Dataset

NEVER_ON_TEST = "alphas are never chosen on those"
NEVER_TRAINED_ON = "nothing is ever trained on those"


def check_full(data: Dataset, *, why: str) -> None:
    """Refuse data of which only a sample of test images is here.

    Raises:
        InputError: that is so; it says how to get the others.
    """
    if data.info.sample:
        raise InputError(
            f"data '{data.info.name}' is only a bundled sample of test images, and {why}",
            hint="in a checkout of the project run `make data`; without one add --set data.source=full, which "
            "downloads all images once, or --set data.data_dir=FOLDER if you have the files",
        )
