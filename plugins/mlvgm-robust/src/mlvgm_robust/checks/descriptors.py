"""Soundness checks of ``mlvgm audit``: descriptors only, nothing heavy is imported here."""

from __future__ import annotations

from mlvgm.plugins.descriptors import Component


def _check(name: str, requirement: int, summary: str) -> Component:
    """The descriptor of ``name``, whose module and classes are named after it.

    Args:
        name: its id, for instance ``"gradient.path"``.
        requirement: number of the requirement it covers, which is its place in the order; those beyond the 20 come
            last.
        summary: one line.
    """
    module = f"mlvgm_robust.checks.{name.replace('.', '_')}"
    kind = name.replace(".", " ").title().replace(" ", "")
    return Component(
        summary=summary,
        factory=f"{module}:{kind}",
        config=f"mlvgm_robust.checks.config:{kind}Config",
        capabilities={"requirement": requirement},
    )


gradient_path = _check(
    "gradient.path", 1, "the attack sees the whole defence: gradients alive, and equal to finite differences"
)
gradient_kinds = _check("gradient.kinds", 2, "exact, BPDA and blind gradients; a cruder one must not do better")
eot_rule = _check("eot.rule", 3, "the attack's objective is that of the deployed vote")
eot_converged = _check("eot.converged", 4, "gradients average enough draws: cosine of two, and twice as many")
randomness_protocol = _check("randomness.protocol", 5, "fresh noise, votes, and noise the attacker knows")
control_null = _check("control.null", 6, "no success at radius 0, and reported success shows on fresh noise")
resubmission = _check("resubmission", 7, "worst of N submissions, with the clean curve beside")
sanity_unbounded = _check("sanity.unbounded", 8, "an attack without a bound breaks everything")
sanity_iterations = _check("sanity.iterations", 9, "more iterations are no weaker, and the last step changes nothing")
sanity_restarts = _check("sanity.restarts", 9, "more restarts are no weaker")
sanity_eps = _check("sanity.eps", 9, "a larger radius is no weaker")
blackbox_square = _check("blackbox.square", 10, "Square, which sees only scores, does not beat the white box")
transfer_undefended = _check("transfer.undefended", 10, "transfer from the bare classifier does not beat the white box")
transfer_surrogate = _check(
    "transfer.surrogate", 10, "transfer from the same purifier with other alphas does not beat the white box"
)
loss_sane = _check("loss.sane", 11, "logits and not probabilities, no saturation, no better loss")
active_test = _check("active.test", 12, "finds adversarial examples that are planted (Zimmermann et al., NeurIPS 2022)")
failure_indicators = _check(
    "failure.indicators", 13, "signs that the attack failed for reasons of its own (arXiv 2106.09947)"
)
adaptive_latents = _check("adaptive.latents", 14, "attacks on the latents that the purifier keeps")
worst_case = _check("worst.case", 15, "per image, the best of all attacks the audit has run")
statistics = _check("statistics", 16, "enough images, Wilson intervals, McNemar against the undefended classifier")
baselines = _check("baselines", 17, "reconstruction only, and noise and blur of the same strength")
compliance = _check("compliance", 18, "norm, box, type of what the attack returns; re-test at 8 bits")
budget = _check("budget", 19, "passes, draws, seconds, versions and hashes")
artefacts = _check("artefacts", 20, "adversarial examples are kept and score the same again")
leak_samples = _check("leak.samples", 21, "the defence does not know which sample it sees")
leak_images = _check("leak.images", 21, "the defence does not know the images it is tested on, or what is near them")
leak_context = _check("leak.context", 21, "answers hang on the image, not on its batch or on gradients asked for")
leak_history = _check("leak.history", 22, "answers hang on the image, not on what was asked before")
