"""The loss of TRADES and the images it is taken at (arXiv 1901.08573, equation 5 and algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from mlvgm.training.draws import Draws
from mlvgm_robust.attacks.geometry import project, steepest

if TYPE_CHECKING:
    from torch import Tensor

Classify = Callable[["Tensor"], "Tensor"]


def divergence(clean: Tensor, attacked: Tensor) -> Tensor:
    """KL(softmax(clean) ‖ softmax(attacked)) of logits (B, K), in nats, (B,)."""
    return F.kl_div(attacked.log_softmax(1), clean.log_softmax(1), reduction="none", log_target=True).sum(1)


def perturbed(classify: Classify, images: Tensor, draws: Draws, *, eps: float, steps: int) -> Tensor:
    """Images in the L2 ball around ``images`` and in the box whose logits diverge most from theirs.

    Steps of length 2 eps / steps along the gradient (eps / 8 for sixteen), from a point too near to lie on any side.

    Args:
        classify: images → logits.
        images: (B, C, H, W) in [0, 1].
        draws: of the batch, for the start.
        eps: radius, in units of [0, 1] pixels.
        steps: gradient steps.
    """
    with torch.no_grad():
        clean = classify(images)
    start = draws.normal("start", images.shape[1:])
    point = project(images + 1e-3 * start, images, norm="L2", eps=eps)
    for _ in range(steps):
        point.requires_grad_(True)
        (gradient,) = torch.autograd.grad(divergence(clean, classify(point)).sum(), point)
        ahead = point.detach() + 2 * eps / steps * steepest(gradient, "L2")
        point = project(ahead, images, norm="L2", eps=eps)
    return point.detach()


def trades_loss(classify: Classify, images: Tensor, attacked: Tensor, labels: Tensor, *, beta: float) -> Tensor:
    """Cross-entropy on the clean images plus beta times the divergence at the attacked ones, mean over the batch."""
    clean, moved = classify(torch.cat([images, attacked])).chunk(2)
    loss: Tensor = F.cross_entropy(clean, labels) + beta * divergence(clean, moved).mean()
    return loss
