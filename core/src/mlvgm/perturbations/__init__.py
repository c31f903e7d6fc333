"""Perturbations: functions Noise → Noise that change the latents they address and leave the others.

Channels of mutual information, positive views and purification change latents in the same few ways: draw them again
(:class:`~mlvgm.perturbations.resample.Resample`), correlate them with what they were
(:class:`~mlvgm.perturbations.correlate.Correlate`), add truncated Gaussian noise
(:class:`~mlvgm.perturbations.shift.Shift`), or move them along a learned path
(:class:`~mlvgm.perturbations.walk.Walk`). One is called with a batch of noise and the keys of its randomness, and is
differentiable in the noise and in its parameters.

The rule for everything that is no latent: condition and nuisances are carried along, the same before and after. Of tied
noise, addressed latents that read one draw read one new draw afterwards; the others keep the old one.

Example:
    >>> import mlvgm
    >>> from mlvgm.perturbations.resample import Resample
    >>> generator = mlvgm.load("generators/nvae")
    >>> keys = mlvgm.Keys.of(seed=0, purpose="views", samples=range(4))
    >>> noise = generator.draw_noise(keys)
    >>> fine = mlvgm.select_latents(generator.latents, "4:8")
    >>> anchor, positive = noise, Resample(fine)(noise, keys.derive("positive"))
"""
