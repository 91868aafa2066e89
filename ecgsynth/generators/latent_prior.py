"""Who the next synthetic person is: a conditional flow over record latents.

The aggregate of a VAE's posteriors is not the standard normal it was pulled towards. A small flow, fitted
to the latents of training people after the VAE, draws latents as they are distributed, given rhythm, lead,
source, heart rate, age and sex (flow matching: Lipman Y et al. ICLR 2023, optimal-transport path, eq. 22).

The record's own numbers (how high, how loud) have edges and tails that a smooth flow blunts: no recording is
quieter than its converter, and a few are much louder than most. So the flow sees each of them in mV and
through the quantiles of its source, as a normal number.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ecgsynth.generators.blocks import N_COLOURS, N_DEMOGRAPHICS
from ecgsynth.rhythms import RHYTHMS

#: Record numbers beside the latent: log gain, log wander (both of mV), asinh of the offset over 0.1 mV,
#: log drift over gain, log noise over gain, and the noise's colour.
N_EXTRAS = 5 + N_COLOURS
_TIME_FREQUENCIES = 8
#: Quantiles by which a record's number becomes a normal one: those of the standard normal at these. Beyond
#: them lie one person in fifty and fewer, who shall not be told: straight on from the last two.
KNOTS = torch.arange(-8, 9) / 4
#: Smallest step between two quantiles: what is finer is the step of a converter.
_STEP = 0.01
#: Normal numbers beyond this are drawn once in ten thousand records.
_MOST = 3.7


def in_millivolts(extras: Tensor) -> Tensor:
    """Record numbers ``[B, N_EXTRAS]`` with drift, noise and its colours in log mV, not over others."""
    gain, wander, offset, drift, level = extras[:, :5].T
    loud = (gain + level)[:, None]
    return torch.cat([torch.stack([gain, wander, offset, gain + drift], 1), loud, loud + extras[:, 5:]], 1)


def over_gain(numbers: Tensor) -> Tensor:
    """The inverse of :func:`in_millivolts`."""
    gain, wander, offset, drift, loud = numbers[:, :5].T
    first = torch.stack([gain, wander, offset, drift - gain, loud - gain], 1)
    return torch.cat([first, numbers[:, 5:] - loud[:, None]], 1)


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
    quantiles: Tensor
    warmth: Tensor
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
        self.register_buffer("shift", torch.zeros(latent))
        self.register_buffer("scale", torch.ones(latent))
        # Of each source: the numbers of one source's noise would be lost in the differences between sources.
        self.register_buffer("quantiles", KNOTS.repeat(sources, N_EXTRAS, 1))
        # A flow kept from learning people by heart draws them too much alike where it saw few: their latents
        # and their numbers start from so many times the SD.
        self.register_buffer("warmth", torch.ones(sources, 2))
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
        target: Tensor,
        place: tuple[Tensor, Tensor, Tensor],
        numbers: Tensor,
        noise: Tensor,
        t: Tensor,
    ) -> Tensor:
        """Flow-matching loss of standardised rows ``[B, size]``, per row ``[B]``.

        `place` holds rhythm, lead and source ``[B]``; see :meth:`standardised`.
        """
        x = t[:, None] * target + (1 - t[:, None]) * noise
        return (self(x, t, self.condition(*place), numbers) - (target - noise)).square().mean(1)

    @torch.no_grad()
    def sample(
        self, noise: Tensor, place: tuple[Tensor, Tensor, Tensor], numbers: Tensor, steps: int = 12
    ) -> Tensor:
        """Latents ``[B, size]`` from standard normal `noise` ``[B, size]``: Heun's method, `steps` steps."""
        sizes = torch.tensor([self.size - N_EXTRAS, N_EXTRAS])
        x = noise * self.warmth[place[2]].repeat_interleave(sizes, 1)
        condition = self.condition(*place)
        for i in range(steps):
            t = torch.full((len(x),), i / steps)
            first = self(x, t, condition, numbers)
            second = self(x + first / steps, t + 1 / steps, condition, numbers)
            x = x + (first + second) / (2 * steps)
        latent, extras = x[:, :-N_EXTRAS], x[:, -N_EXTRAS:]
        extras, step = extras.clamp(-_MOST, _MOST), (KNOTS[1] - KNOTS[0]).item()
        at = ((extras - KNOTS[0]) / step).floor().long().clamp(0, len(KNOTS) - 2)
        low, high = _around(self.quantiles[place[2]], at)
        values = low + (extras - KNOTS[at]) / step * (high - low)
        return torch.cat([latent * self.scale + self.shift, over_gain(values)], 1)

    def standardised(self, latents: Tensor, source: Tensor) -> Tensor:
        """Rows ``[B, size]`` of latents and record numbers as the flow has them: near standard normal."""
        latent, values = latents[:, :-N_EXTRAS], in_millivolts(latents[:, -N_EXTRAS:])
        quantiles = self.quantiles[source]
        at = ((values[..., None] >= quantiles).sum(2) - 1).clamp(0, len(KNOTS) - 2)
        low, high = _around(quantiles, at)
        normal = KNOTS[at] + (values - low) / (high - low) * (KNOTS[1] - KNOTS[0])
        return torch.cat([(latent - self.shift) / self.scale, normal.clamp(-_MOST, _MOST)], 1)

    def set_quantiles(self, source: int, extras: Tensor, weights: Tensor) -> None:
        """Take the quantiles of a source from record numbers ``[B, N_EXTRAS]`` of `weights` ``[B]``."""
        self.quantiles[source] = number_quantiles(in_millivolts(extras), weights)


def _around(quantiles: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """The quantiles ``[B, columns]`` of `quantiles` ``[B, columns, KNOTS]`` below and above places `at`."""
    return quantiles.gather(2, at[..., None])[..., 0], quantiles.gather(2, at[..., None] + 1)[..., 0]


def number_quantiles(values: Tensor, weights: Tensor) -> Tensor:
    """Quantiles ``[columns, KNOTS]`` of `values` ``[B, columns]``, each row counting by `weights` ``[B]``."""
    order = values.argsort(0)
    share = weights[order].cumsum(0) - weights[order] / 2
    wanted = torch.special.ndtr(KNOTS).to(values) * weights.sum()
    found = [
        np.interp(wanted.numpy(), own.numpy(), column[rows].numpy())
        for own, column, rows in zip(share.T, values.T, order.T, strict=True)
    ]
    rising = torch.arange(len(KNOTS)) * _STEP
    table = torch.from_numpy(np.stack(found)).to(values)
    # Steps below the smallest become the smallest, and what lies above them moves up by that.
    return (table - rising).cummax(1).values + rising
