"""DeepFool and FGSM against the stored results of paper A's attacks (arXiv 2412.03453)."""

from __future__ import annotations

import pytest
import torch
from golden_classifier import classifier, run, stored

from mlvgm.defence import Defence
from mlvgm_robust.attacks.deepfool import DeepFool
from mlvgm_robust.attacks.fgsm import Fgsm
from mlvgm_robust.attacks.geometry import distance


def test_deepfool_without_clipping_finds_the_stored_distances() -> None:
    io, config = stored()
    options = config["classifier"]["deepfool"]
    attack = DeepFool(
        classes=options["num_classes"] - 1,
        iterations=options["max_iter"],
        overshoot=options["overshoot"],
        clip=False,
        bisections=0,
    )
    adversarial = run(attack, Defence(classifier()), io["x"], io["y"])
    torch.testing.assert_close(distance(adversarial - io["x"], "L2"), io["deepfool_l2"], rtol=1e-4, atol=0)
    assert torch.equal(classifier()(adversarial).argmax(1), io["deepfool_pred"])
    # The trap of the published algorithm: most of its images are none.
    outside = ((adversarial < 0) | (adversarial > 1)).flatten(1).any(1)
    assert int(outside.sum()) == 29


def test_deepfool_in_the_box_breaks_all_images_no_farther_away() -> None:
    io, _ = stored()
    adversarial = run(DeepFool(), Defence(classifier()), io["x"], io["y"])
    assert adversarial.min() >= 0 and adversarial.max() <= 1
    assert (classifier()(adversarial).argmax(1) != io["y"]).all()
    ratio = distance(adversarial - io["x"], "L2") / io["deepfool_l2"]
    assert ratio.median() < 1 and ratio.max() < 1.02


def test_fgsm_along_the_sign_is_the_stored_one() -> None:
    io, config = stored()
    attack = Fgsm("L2", config["classifier"]["fgsm"], direction="sign")
    prediction = classifier()(run(attack, Defence(classifier()), io["x"], io["y"])).argmax(1)
    assert torch.equal(prediction, io["fgsm_l2_pred"])
    assert torch.equal(prediction != io["y"], io["fgsm_l2_success"])
    assert attack.eps == pytest.approx(float(io["fgsm_l2_l2"].mean()))
