"""Network parts that the cVAE and the cGAN share: frame-rate blocks, the decoder, the noise transform.

Shapes are written ``[B, F, D]``: batch, frames of `PATCH` samples, channels. Everything between the patch
embedding and the patch head runs at frame rate, which costs a CPU five to ten times less than a decoder
that convolves at the sampling rate.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgsynth.generators.conditions import HOP_FRAMES, N_COARSE, N_FINE, PATCH
from ecgsynth.generators.templates import BeatAverage, BeatTemplates
from ecgsynth.rhythms import RHYTHMS

HOP = HOP_FRAMES * PATCH
DILATIONS = (1, 2, 4, 8, 1, 2, 4, 1)
#: From this dilation on, torch convolves three times as fast without one: see `Block._mixed`.
_WIDE = 4
#: Frames on either side that can reach a frame through the decoder's blocks (kernel 7), embedding and head.
CONTEXT = 3 * sum(DILATIONS) + 3
#: Numbers in a demographics vector: age in units of 20 years around 60, age known, male, female.
N_DEMOGRAPHICS = 4
#: Numbers of the noise's colour: its log amplitude at 3 to 12, 40 to 70 and above 70 Hz, over 12 to 40 Hz.
N_COLOURS = 3
#: Coefficients of the noise transform, below 12.5 Hz, whose noise differs between P wave, T wave and rest.
SLOW_BINS = 4


class Block(nn.Module):
    """ConvNeXt-like block: depthwise convolution over frames, FiLM, then a pointwise MLP."""

    def __init__(self, width: int, dilation: int, film: int = 0) -> None:
        super().__init__()
        self.mix = nn.Conv2d(
            width, width, (1, 7), padding=(0, 3 * dilation), dilation=(1, dilation), groups=width
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=film == 0)
        self.film = nn.Linear(film, 2 * width) if film else None
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.normal_(self.down.weight, std=0.02)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """``[B, F, D]`` and, for FiLM, ``[B, film]`` to ``[B, F, D]``."""
        # A permuted [B, F, D] is channels-last memory, for which depthwise convolution is fastest on CPUs.
        wide = self.mix.dilation[1] >= _WIDE
        y = self._mixed(x) if wide else self.mix(x.permute(0, 2, 1).unsqueeze(2)).squeeze(2).permute(0, 2, 1)
        y = self.norm(y)
        if self.film is not None:
            scale, shift = self.film(condition).unsqueeze(1).chunk(2, dim=-1)
            y = torch.addcmul(shift, y, 1 + scale)
        return x + self.down(F.gelu(self.up(y)))

    def _mixed(self, x: Tensor) -> Tensor:
        """The same convolution with each dilation's phase in a column of its own, as one without dilation."""
        step = self.mix.dilation[1]
        columns = F.pad(x, (0, 0, 0, -x.shape[1] % step)).unflatten(1, (-1, step)).permute(0, 3, 1, 2)
        weight = self.mix.weight.transpose(2, 3)
        y = F.conv2d(columns, weight, self.mix.bias, padding=(3, 0), groups=self.mix.groups)
        return y.permute(0, 2, 3, 1).flatten(1, 2)[:, : x.shape[1]]


class StripEmbedding(nn.Module):
    """Signals at the sampling rate and per-frame channels, to one vector per frame."""

    def __init__(self, fine: int, width: int) -> None:
        super().__init__()
        self.fine = nn.Conv1d(fine, width, 3 * PATCH, stride=PATCH, padding=PATCH)
        self.coarse = nn.Linear(N_COARSE, width)
        self.rhythm = nn.Embedding(len(RHYTHMS), width)

    def forward(self, fine: Tensor, coarse: Tensor, rhythm: Tensor) -> Tensor:
        """``[B, fine, T]``, ``[B, N_COARSE, F]`` and ``[B, F]`` to ``[B, F, D]``."""
        # As a product of matrices, the channels of a frame lie together, and blocks keep them so: they take
        # three quarters of the time.
        patches = F.pad(fine, (PATCH, PATCH)).unfold(-1, 3 * PATCH, PATCH).permute(0, 2, 1, 3).flatten(2)
        x = F.linear(patches, self.fine.weight.flatten(1), self.fine.bias)
        return x + self.coarse(coarse.transpose(1, 2)) + self.rhythm(rhythm)


class RecordEmbedding(nn.Module):
    """What holds for a whole record: lead, source, demographics, latent."""

    def __init__(self, leads: int, sources: int, latent: int, width: int) -> None:
        super().__init__()
        self.lead = nn.Embedding(leads, width)
        self.source = nn.Embedding(sources, width)
        self.rest = nn.Linear(N_DEMOGRAPHICS + latent, width)
        self.out = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU())

    def forward(self, lead: Tensor, source: Tensor, demographics: Tensor, latent: Tensor) -> Tensor:
        """``[B]``, ``[B]``, ``[B, 4]`` and ``[B, latent]`` to ``[B, width]``."""
        rest = self.rest(torch.cat([demographics, latent], dim=1))
        return self.out(self.lead(lead) + self.source(source) + rest)


class LappedTransform(nn.Module):
    """Orthonormal MDCT with a sine window and hop `HOP` (160 ms at 250 Hz, 3.125 Hz per coefficient).

    Princen JP, Bradley AB. IEEE Trans ASSP 34:1153-1161, 1986. Orthonormal, so that a Gaussian with
    independent coefficients is a proper density of the samples: the cVAE's observation noise.
    """

    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        n = torch.arange(2 * HOP, dtype=torch.float64)[:, None]
        k = torch.arange(HOP, dtype=torch.float64)[None]
        window = torch.sin(math.pi * (n + 0.5) / (2 * HOP))
        basis = math.sqrt(2 / HOP) * window * torch.cos(math.pi / HOP * (n + 0.5 + HOP / 2) * (k + 0.5))
        self.register_buffer("basis", basis.float(), persistent=False)

    def forward(self, signal: Tensor) -> Tensor:
        """``[..., T]`` to ``[..., T / HOP + 1, HOP]``; T is a multiple of HOP."""
        return F.pad(signal, (HOP, HOP)).unfold(-1, 2 * HOP, HOP) @ self.basis

    def inverse(self, coefficients: Tensor) -> Tensor:
        """``[..., M + 1, HOP]`` to ``[..., M * HOP]``, by overlapping and adding."""
        frames = coefficients @ self.basis.T
        lapped = frames[..., :-1, HOP:] + frames[..., 1:, :HOP]
        return lapped.flatten(-2)


class Decoder(nn.Module):
    """Conditions, record vector and noise to a mean strip and the spectrum of what varies around it.

    Parameters
    ----------
    channels : int
        Leads generated at once.
    leads, sources : int
        Sizes of the lead and source tables.
    latent : int
        Numbers in the record latent, its log gain included.
    width, film : int
        Channels per frame and of the record vector.
    """

    forbids_p: Tensor

    def __init__(self, channels: int, leads: int, sources: int, latent: int, width: int, film: int) -> None:
        super().__init__()
        self.channels = channels
        forbids = [float(rhythm.p_wave == "forbidden") for rhythm in RHYTHMS.values()]
        self.register_buffer("forbids_p", torch.tensor(forbids), persistent=False)
        self.embed = StripEmbedding(N_FINE, width)
        self.record = RecordEmbedding(leads, sources, latent, film)
        self.templates = BeatTemplates(channels, film)
        self.blocks = nn.ModuleList(Block(width, dilation, film) for dilation in DILATIONS)
        self.noise_gain = nn.Parameter(torch.zeros(2, width))
        self.norm = nn.LayerNorm(width)
        self.mean = nn.ConvTranspose1d(width, channels, 2 * PATCH, stride=PATCH, padding=PATCH // 2)
        self.spread = nn.Linear(film, 2 * width)
        self.log_variance = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, channels * SLOW_BINS)
        )
        self.hiss = nn.Sequential(
            nn.Linear(film + N_COLOURS, 64), nn.GELU(), nn.Linear(64, channels * (HOP - SLOW_BINS))
        )

    def forward(
        self,
        fine: Tensor,
        coarse: Tensor,
        rhythm: Tensor,
        record: Tensor,
        level: Tensor,
        colour: Tensor,
        noise: Tensor | None = None,
        strict: bool = False,
        p_gain: Tensor | None = None,
        p_lost: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One strip per row.

        Parameters
        ----------
        fine, coarse, rhythm : Tensor
            ``[B, N_FINE, T]``, ``[B, N_COARSE, F]``, ``[B, F]``; F is a multiple of `HOP_FRAMES`.
        record : Tensor
            ``[B, film]``, from `self.record`.
        level : Tensor
            ``[B]``, log RMS of the record's noise over its gain; the network shapes noise around it.
        colour : Tensor
            ``[B, 3]``, the record's noise at 3 to 12, 40 to 70 and above 70 Hz, over that at 12 to 40 Hz (log
            amplitude).
        noise : Tensor or None
            ``[B, F, D]`` standard normal, injected before the last two blocks.
        strict : bool
            Leave out of the templates what they hold of a P wave where the rhythm has none: a latent that is
            drawn, not read from a strip, may be of somebody in sinus rhythm.
        p_gain : Tensor or None
            ``[B]``, factor on the P waves of templates.
        p_lost : Tensor or None
            ``[B, F]``, what the beat in a frame loses of its template's P wave.

        Returns
        -------
        mean : Tensor
            ``[B, channels, T]`` in units of the record's gain.
        log_variance : Tensor
            ``[B, channels, T / HOP + 1, HOP]`` of the coefficients of `LappedTransform`.
        """
        x = self.embed(fine, coarse, rhythm)
        for i, block in enumerate(self.blocks):
            late = i - (len(self.blocks) - 2)
            if noise is not None and late >= 0:
                x = x + self.noise_gain[late] * noise
            x = block(x, record)
        x = self.norm(x)
        no_p = None
        if strict:
            lost = self.forbids_p[rhythm]
            lost = lost if p_lost is None else torch.maximum(lost, p_lost)
            no_p = lost.repeat_interleave(PATCH, 1)
        mean = self._samples(x) + self.templates(fine, record, no_p, p_gain)
        return mean, self._spread(x, record, level, colour)

    def _samples(self, x: Tensor) -> Tensor:
        """``self.mean`` of frames ``[B, F, D]``, as a product of matrices whose patches overlap by half."""
        patches = (x @ self.mean.weight.flatten(1)).unflatten(2, (self.channels, 2 * PATCH))
        first = F.pad(patches[..., :PATCH], (0, 0, 0, 0, 0, 1))
        both = first + F.pad(patches[..., PATCH:], (0, 0, 0, 0, 1, 0))
        edge = PATCH // 2
        samples = both.permute(0, 2, 1, 3).flatten(2)[..., edge:-edge]
        return samples + cast(Tensor, self.mean.bias)[:, None]

    def _spread(self, x: Tensor, record: Tensor, level: Tensor, colour: Tensor) -> Tensor:
        # The blocks learn from the mean alone: the slopes of a likelihood are so much larger where its
        # variance is wrong that they would drown the mean's. The record vector learns from both.
        scale, shift = self.spread(record).unsqueeze(1).chunk(2, dim=-1)
        hops = x.detach().unflatten(1, (-1, HOP_FRAMES)).mean(2) * (1 + scale) + shift
        # Coefficient m covers the hop before it and the hop after it.
        padded = torch.cat([hops[:, :1], hops, hops[:, -1:]], dim=1)
        lapped = (padded[:, 1:] + padded[:, :-1]) / 2
        slow = self.log_variance(lapped).unflatten(2, (self.channels, SLOW_BINS)).transpose(1, 2)
        # Over 12 Hz noise does not know of the beats; it is the recording's.
        hiss = self.hiss(torch.cat([record, colour], 1)).view(-1, self.channels, 1, HOP - SLOW_BINS)
        spread = torch.cat([slow, hiss.expand(-1, -1, slow.shape[2], -1)], 3) + 2 * level[:, None, None, None]
        # Bounded to -17 ... 3: below is finer than the quantisation of any source.
        return 10 * torch.tanh((spread + 7) / 10) - 7


class Encoder(nn.Module):
    """A real strip with its conditions, to mean and log variance of the record latent."""

    def __init__(self, channels: int, leads: int, sources: int, latent: int, width: int, film: int) -> None:
        super().__init__()
        self.embed = StripEmbedding(N_FINE + channels, width)
        self.record = RecordEmbedding(leads, sources, 1, film)
        self.blocks = nn.ModuleList(Block(width, dilation, film) for dilation in (1, 2, 4, 1))
        self.score = nn.Linear(width, 4)
        self.beats = BeatAverage(channels, width, 2 * latent)
        self.out = nn.Sequential(nn.LayerNorm(5 * width), nn.Linear(5 * width, 2 * latent))
        # The beats of a record tell most about it and are learned first (`fit_templates`).
        nn.init.normal_(cast(nn.Linear, self.out[1]).weight, std=0.01)

    def forward(
        self, signal: Tensor, fine: Tensor, coarse: Tensor, rhythm: Tensor, record: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``[B, channels, T]`` and conditions to ``[B, latent]`` twice."""
        x = self.embed(torch.cat([fine, signal], dim=1), coarse, rhythm)
        for block in self.blocks:
            x = block(x, record)
        # Attention pooling: a few learned queries find the frames that tell most (QRS, P, T, noise).
        weights = self.score(x).softmax(dim=1)
        pooled = torch.cat([(weights.transpose(1, 2) @ x).flatten(1), x.mean(1)], dim=1)
        return self.split(self.out(pooled) + self.beats(signal, fine))

    @staticmethod
    def split(numbers: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 2 * latent]`` to mean and bounded log variance."""
        mean, log_variance = numbers.chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 2)
