"""Conditional variational autoencoder: ``p(strip | beats, rhythm, lead, source, latent)``.

The latent is one vector per record. It is read from another part of the same recording than the part
that is reconstructed, so it can only hold what lasts: who, and which device. The observation noise is
Gaussian with a spectrum that the decoder estimates every 160 ms, in an orthonormal lapped transform, so
that the loss weighs every frequency by how well it can be known, and sampling gives the noise back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ecgsynth.generators.conditions import BEAT_CLASSES
from ecgsynth.generators.learned import Learned
from ecgsynth.generators.strip_net import StripNet


class CVAE(Learned):
    """Conditional VAE; see the module."""

    name = "cvae"


def encode(net: StripNet, batch: dict[str, Tensor], prefix: str = "seen_") -> tuple[Tensor, Tensor]:
    """Mean and log variance ``[B, latent]`` of the posterior, from the part of the record with `prefix`."""
    record = net.encoder.record(batch["lead"], batch["source"], batch["demographics"], batch["gain"][:, None])
    scaled = batch[prefix + "signal"] / batch["gain"].exp()[:, None, None]
    return net.encoder(
        scaled, batch[prefix + "fine"], batch[prefix + "coarse"], batch[prefix + "rhythm"], record
    )


def record_vector(net: StripNet, batch: dict[str, Tensor], latent: Tensor) -> Tensor:
    """FiLM vector ``[B, film]`` of a batch with the latent ``[B, latent]``."""
    full = torch.cat([latent, batch["gain"][:, None]], dim=1)
    return net.decoder.record(batch["lead"], batch["source"], batch["demographics"], full)


def reconstruction(net: StripNet, batch: dict[str, Tensor], latent: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood and error of the mean, each per record ``[B]`` and summed over samples.

    The likelihood, in nats and up to a constant, is ``0.5 * sum(r^2 / v + log v)`` over the coefficients r of
    the residual and their variances v; its slope reaches the variances only. Left to it, the mean would never
    be learned: where the mean is wrong the variance grows and hides the error. The mean has a loss of its
    own, ``0.5 * sum(r^2 / sqrt(v))`` with v held (Seitzer M et al. ICLR 2022, eq. 5, beta = 0.5), and the
    absolute error of samples and of first differences, which keeps the QRS steep.
    """
    mean, spread = net.decoder(
        batch["fine"],
        batch["coarse"],
        batch["rhythm"],
        record_vector(net, batch, latent),
        batch["level"],
        batch["colour"],
    )
    error = batch["signal"] / batch["gain"].exp()[:, None, None] - mean
    rest = net.lapped(error)
    likelihood = 0.5 * (rest.detach().square() * torch.exp(-spread) + spread).flatten(1).sum(1)
    return likelihood, error_of_mean(error, rest, spread, batch["fine"])


def error_of_mean(error: Tensor, rest: Tensor, spread: Tensor, fine: Tensor) -> Tensor:
    """The mean's own loss ``[B]``: its error, weighed by the variances, which are held, and as it is."""
    weighed = 0.5 * (rest.square() * torch.exp(-spread.detach() / 2)).flatten(1).sum(1)
    return weighed + absolute_error(error, fine)


def absolute_error(error: Tensor, fine: Tensor) -> Tensor:
    """Weighted sum ``[B]`` of the absolute error ``[B, channels, T]`` and of its first difference.

    The difference keeps the QRS steep. Where a P wave may be, the error counts three times: it is a tenth of
    the QRS in height, and first of all what a reader looks for.
    """
    to_next = fine[:, len(BEAT_CLASSES) + 1 : len(BEAT_CLASSES) + 2]
    weight = 1 + 2 * torch.exp(-0.5 * ((to_next - 0.16) / 0.05) ** 2)
    total = (weight * error.abs()).flatten(1).sum(1)
    return total + 4 * (weight[..., 1:] * error.diff(dim=-1).abs()).flatten(1).sum(1)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence ``[B, latent]`` of the posterior from N(0, 1), per latent, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
