"""Jobs that this distribution brings: descriptors only, nothing heavy is imported."""

from __future__ import annotations

from mlvgm.plugins.descriptors import JobComponent

mix_job = JobComponent(
    summary="Draw pairs of images with the first latents of A, then more and more of them, taken from B.",
    job="",
    command="mlvgm_vision.mix.command:mix",
    epilog=(
        "Examples: `mlvgm run mix --generator nvae` · "
        "`mlvgm run mix --generator nvae --data fashion-mnist --split test -n 8 --out mix.png` · "
        "`mlvgm run mix --set generator.weights=FILE --seed 3 --json`"
    ),
)
