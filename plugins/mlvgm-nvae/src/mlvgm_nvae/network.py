"""The NVAE network (arXiv 2007.03898): one class for the original, its public variants and the light one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.decoder import Decoder
from mlvgm_nvae.encoder import Encoder
from mlvgm_nvae.likelihood import Bernoulli, LogisticMixture


@dataclass(frozen=True)
class Forward:
    """One pass through encoder and decoder.

    Args:
        parameters: pixel parameters, (B, ·, H, W).
        kl: KL of each latent in nats, (B, latents); with flows log q − log p at the sample, which can be negative.
        kl_channels: for each latent the KL by channel, (B, channels).
        log_q: sum over latents of the posterior's log density at the sample, (B,).
        log_p: the same of the prior's, after the flows.
    """

    parameters: Tensor
    kl: Tensor
    kl_channels: tuple[Tensor, ...]
    log_q: Tensor
    log_p: Tensor


class NVAE(nn.Module):
    """A hierarchical variational auto-encoder with residual posteriors.

    Example:
        >>> import torch
        >>> from mlvgm_nvae.architecture import light
        >>> model = build(light(), seed=0)
        >>> noise = [torch.zeros(2, *shape) for shape in model.architecture.latent_shapes]
        >>> model(torch.rand(2, 1, 32, 32), noise).kl.shape
        torch.Size([2, 8])
    """

    name = "nvae"

    def __init__(self, architecture: NVAEArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = Encoder(architecture)
        self.decoder = Decoder(architecture)
        if not architecture.weight_norm:
            self._start_near_the_prior()

    def _start_near_the_prior(self) -> None:
        # Without normalisation, fresh priors and posteriors are far apart and narrow: a KL of 1e7 nats to begin with.
        for group in self.decoder.groups:
            emitters = [group.posterior_parameters.parameters_of, *(group.prior_parameters or ())]
            for emitter in emitters:
                if isinstance(emitter, nn.Conv2d):
                    emitter.weight.data.mul_(0.1)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Encoder features of images in [0, 1], one for each latent, coarse → fine."""
        result: tuple[Tensor, ...] = self.encoder(2 * images - 1)
        return result

    def pixels(self, parameters: Tensor) -> LogisticMixture | Bernoulli:
        """The pixel distribution that the decoder's output describes."""
        a = self.architecture
        if a.likelihood == "bernoulli":
            return Bernoulli(parameters)
        return LogisticMixture.of(parameters, channels=a.image[0], mixtures=a.mixtures, bits=a.bits)

    def forward(self, images: Tensor, noise: list[Tensor] | None = None) -> Forward:
        """Posterior sample, KL and pixel parameters of ``images``.

        Args:
            images: (B, C, H, W) in [0, 1].
            noise: standard-normal numbers of each latent's shape; None takes every latent at its posterior mean.
        """
        features = self.encode(images)
        state = self.decoder.start(len(images))
        kls: list[Tensor] = []
        log_q, log_p = images.new_zeros(len(images)), images.new_zeros(len(images))
        for i, group in enumerate(self.decoder.groups):
            state = group.cells(state)
            raw = group.prior(state)
            prior = group.normal(raw)
            posterior = group.normal(group.posterior(features[i], state, raw))
            sample = posterior.mean if noise is None else posterior.at(noise[i])
            latent = group.flow(sample)
            density_q, density_p = posterior.log_density(sample), prior.log_density(latent)
            log_q, log_p = log_q + density_q.sum((1, 2, 3)), log_p + density_p.sum((1, 2, 3))
            # No closed form exists behind a flow.
            kl = density_q - density_p if len(group.flow) else posterior.kl(prior)
            kls.append(kl.sum((2, 3)))
            state = group.merge(state, latent)
        total = torch.stack([kl.sum(1) for kl in kls], 1)
        return Forward(self.decoder.finish(state), total, tuple(kls), log_q, log_p)


def build(architecture: NVAEArchitecture, *, seed: int) -> NVAE:
    """A network with fresh parameters from ``seed``; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NVAE(architecture).to(memory_format=torch.channels_last)
