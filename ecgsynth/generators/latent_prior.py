"""Who the next synthetic person is: a conditional flow over record latents.

The aggregate of a VAE's posteriors is not the standard normal it was pulled towards. A small flow, fitted
to the latents of training people after the VAE, draws latents as they are distributed, given rhythm, lead,
source, heart rate, age and sex (flow matching: Lipman Y et al. ICLR 2023, optimal-transport path, eq. 22).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecgsynth.generators.blocks import N_COLOURS, N_DEMOGRAPHICS
from ecgsynth.rhythms import RHYTHMS

#: Record numbers beside the latent: log gain, log wander (both of mV), asinh of the offset over 0.1 mV,
#: log drift over gain, log noise over gain, and the noise's colour.
N_EXTRAS = 5 + N_COLOURS
_TIME_FREQUENCIES = 8


class LatentFlow(nn.Module):
    """Velocity field ``v(x, t, condition)`` over standardised latents.

    Parameters
    ----------
    latent : int
        Numbers in the record latent; the flow adds `N_EXTRAS`.
    leads, sources : int
        Sizes of the lead and source tables.
    width : int
        Hidden channels.
    """

    shift: Tensor
    scale: Tensor
    frequencies: Tensor

    def __init__(self, latent: int, leads: int, sources: int, width: int) -> None:
        super().__init__()
        self.size = latent + N_EXTRAS
        self.rhythm = nn.Embedding(len(RHYTHMS), width)
        self.lead = nn.Embedding(leads, width)
        self.source = nn.Embedding(sources, width)
        self.rest = nn.Linear(self.size + N_DEMOGRAPHICS + 2 + 2 * _TIME_FREQUENCIES, width)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, width),
                nn.SiLU(),
                nn.Dropout(0.1),
                nn.Linear(width, width),
            )
            for _ in range(3)
        )
        self.out = nn.Linear(width, self.size)
        # Of each source: the numbers of one source's noise would be lost in the differences between sources.
        self.register_buffer("shift", torch.zeros(sources, self.size))
        self.register_buffer("scale", torch.ones(sources, self.size))
        self.register_buffer("frequencies", torch.pi * 2.0 ** torch.arange(_TIME_FREQUENCIES).float() / 2)

    def condition(self, rhythm: Tensor, lead: Tensor, source: Tensor) -> Tensor:
        """Embedding ``[B, width]`` of what is categorical."""
        return self.rhythm(rhythm) + self.lead(lead) + self.source(source)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor, numbers: Tensor) -> Tensor:
        """Velocity ``[B, size]`` at ``x`` ``[B, size]`` and time ``t`` ``[B]``.

        `numbers` ``[B, N_DEMOGRAPHICS + 2]`` are demographics, mean log RR, and whether there are beats.
        """
        angle = t[:, None] * self.frequencies
        h = condition + self.rest(torch.cat([x, numbers, angle.cos(), angle.sin()], dim=1))
        for layer in self.layers:
            h = h + layer(h)
        return self.out(h)

    def loss(
        self,
        latents: Tensor,
        place: tuple[Tensor, Tensor, Tensor],
        numbers: Tensor,
        noise: Tensor,
        t: Tensor,
    ) -> Tensor:
        """Flow-matching loss of rows of latents ``[B, size]`` (not standardised), per row ``[B]``.

        `place` holds rhythm, lead and source ``[B]``.
        """
        source = place[2]
        target = (latents - self.shift[source]) / self.scale[source]
        x = t[:, None] * target + (1 - t[:, None]) * noise
        return (self(x, t, self.condition(*place), numbers) - (target - noise)).square().mean(1)

    @torch.no_grad()
    def sample(
        self, noise: Tensor, place: tuple[Tensor, Tensor, Tensor], numbers: Tensor, steps: int = 12
    ) -> Tensor:
        """Latents ``[B, size]`` from standard normal `noise` ``[B, size]``: Heun's method, `steps` steps."""
        x, condition = noise, self.condition(*place)
        for i in range(steps):
            t = torch.full((len(x),), i / steps)
            first = self(x, t, condition, numbers)
            second = self(x + first / steps, t + 1 / steps, condition, numbers)
            x = x + (first + second) / (2 * steps)
        return x * self.scale[place[2]] + self.shift[place[2]]
