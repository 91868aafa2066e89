"""Conditional GAN: a generator of strips against a critic that sees the same conditions.

The generator has the cVAE's decoder and starts from its weights; its latents are drawn from the prior
over people. The critic looks at patches through wide dilations and at the whole strip, so that it
sees whether the beats of one record match. Losses: relativistic pairing (Jolicoeur-Martineau A,
ICLR 2019) with zero-centred gradient penalties on real and on fake strips (Huang N et al. "The GAN is
dead; long live the GAN", NeurIPS 2024, eq. 2 and 4).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgsynth.generators.blocks import Block, RecordEmbedding, StripEmbedding
from ecgsynth.generators.conditions import N_FINE
from ecgsynth.generators.learned import Learned
from ecgsynth.generators.strip_net import LearnedConfig

_CRITIC_DILATIONS = (1, 2, 4, 8, 1)


class CGAN(Learned):
    """Conditional GAN; see the module."""

    name = "cgan"


class Critic(nn.Module):
    """Logits of a strip under its conditions: one per frame and one for the whole."""

    def __init__(self, config: LearnedConfig, width: int = 96) -> None:
        super().__init__()
        channels = len(config.outputs)
        self.embed = StripEmbedding(N_FINE + 3 * channels, width)
        self.record = RecordEmbedding(len(config.leads), len(config.sources), 1, width)
        self.blocks = nn.ModuleList(Block(width, dilation, width) for dilation in _CRITIC_DILATIONS)
        self.norm = nn.LayerNorm(width)
        self.local = nn.Linear(width, 1)
        self.whole = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, signal: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """``[B, F + F / 4]``: a logit per frame, and the whole strip's logit repeated to weigh a fifth."""
        record = self.record(batch["lead"], batch["source"], batch["demographics"], batch["gain"][:, None])
        scaled = signal / batch["gain"].exp()[:, None, None]
        slope = F.pad(scaled.diff(dim=-1), (1, 0))
        bend = F.pad(slope.diff(dim=-1), (0, 1))
        x = torch.cat([batch["fine"], torch.asinh(2 * scaled), 4 * slope, 12 * bend], dim=1)
        x = self.embed(x, batch["coarse"], batch["rhythm"])
        for block in self.blocks:
            x = block(x, record)
        x = self.norm(x)
        centred = x - x.mean(1, keepdim=True)
        # The spread over the strip says whether its beats are alike; eps keeps the root's gradient finite.
        spread = (centred.square().mean(1) + 1e-4).sqrt()
        whole = self.whole(torch.cat([x.mean(1), spread], dim=1))
        return torch.cat([self.local(x).squeeze(2), whole.expand(-1, x.shape[1] // 4)], dim=1)


def relativistic_loss(better: Tensor, worse: Tensor) -> Tensor:
    """``softplus(worse - better)``, averaged over the logits of paired strips."""
    return F.softplus(worse - better).mean()


def gradient_penalty(critic: Critic, signal: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Mean squared gradient norm of a logit of the critic at `signal` ``[B, channels, T]``.

    In units of the gain. Taken of the sum of all logits over the root of their number: what one logit's
    would be if they were independent of each other.
    """
    gain = batch["gain"].exp()[:, None, None]
    scaled = (signal.detach() / gain).requires_grad_(True)
    logits = critic(scaled * gain, batch)
    total = logits.sum() / logits.shape[1] ** 0.5
    (slope,) = torch.autograd.grad(total, scaled, create_graph=True)
    return slope.square().flatten(1).sum(1).mean()
