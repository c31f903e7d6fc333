"""A switch for each documented bug of the published evaluation: as published, or fixed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Choice = Literal["published", "fixed"]


class Switches(BaseModel):
    """Which bugs are kept. ``"published"`` or ``"fixed"`` in place of a mapping sets all of them.

    Some faults have no switch. Those that only cost time or crash are gone: batches of one image, a forward pass for
    every draw from the pixels on, modules that do not import, a barrier an image. Those that are another attack are
    attacks of their own: Square, APGD-T and restarts are in ``autoattack``. Those outside the attacks are options
    elsewhere: purified images that are not clamped (``clamp`` of the run), the blur's kernel of 2^⌊⌊√H⌋ / 2⌋ − 1
    (``purifier.blur_kernel``), noise of 2 for one configuration of cars (its file), 32 draws that decide together
    (``votes``) as against those in a gradient (``eot``). The clamp of images to which no noise is added changes nothing
    inside the box, where all images that may be scored are. An image that is misclassified clean has distance 0 for
    every attack, as the published table has it (C&W alone attacked it). FGSM, whose reported length was the nominal
    one, is only the start of C&W here. The noise of an image depends on its id and on no other image, attack or
    process; a global seed cannot do that.

    >>> Switches.model_validate("fixed").success, Switches(box="fixed").iterate
    ('fixed', 'published')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    success: Choice = Field(
        "published", description="decided once, on the draws of the step that found it; fixed: on fresh draws"
    )
    box: Choice = Field("published", description="DeepFool leaves [0, 1] and its distance counts; fixed: stays inside")
    start: Choice = Field("published", description="C&W starts from a noisy FGSM image; fixed: from the image itself")
    lost: Choice = Field(
        "published", description="C&W gives up a success for a nearer image that is none; fixed: keeps the nearest one"
    )
    iterate: Choice = Field(
        "published", description="APGD judges its last point only; fixed: every point and the one of the largest loss"
    )
    ladder: Choice = Field(
        "published", description="APGD is run at uneven bounds; fixed: both losses at every bound that is reported"
    )
    ratio: Choice = Field(
        "published",
        description="APGD-DLR divides by the fourth logit where the third is the true class's; fixed: by the third",
    )
    few_classes: Choice = Field(
        "published", description="no APGD-DLR with three classes or fewer; fixed: on the ratio, or margin, there is"
    )

    @model_validator(mode="before")
    @classmethod
    def _all_alike(cls, value: Any) -> Any:
        if isinstance(value, str):
            return dict.fromkeys(cls.model_fields, value)
        return value


PUBLISHED = Switches()
