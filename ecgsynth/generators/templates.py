"""The beat of a record: one waveform per kind of beat, made from the record vector, laid under every beat.

Beats of one person in one record are far more alike than a network that works frame by frame makes them
(correlation with the median beat 0.99). So most of a strip is a template of the record, placed at the
beats to a fraction of a sample; the frame-rate blocks add what differs from beat to beat (T waves that move
with the RR interval, P waves that come and go, f waves, noise).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgsynth.generators.conditions import BEAT_CLASSES
from ecgsynth.generators.plan import PLAN_FS

#: Classes that share a template: a record's supraventricular beats by conduction (N, L, R), premature
#: atrial ones, ventricular ones with fusions, paced ones.
GROUPS = (("N", "L", "R"), ("S",), ("V", "F"), ("/",))
#: Samples of a template before and after the R peak: 0.28 and 0.52 s.
BEFORE, AFTER = round(0.28 * PLAN_FS), round(0.52 * PLAN_FS)
LENGTH = BEFORE + AFTER
_TAPER = 20
#: Samples before the R peak between which a P wave lies: 0.26 to 0.06 s.
P_WINDOW = (round(0.26 * PLAN_FS), round(0.06 * PLAN_FS))
#: Sum of the samples of a bump of one sample's SD and peak 1.
_BUMP_SUM = 2.5066


def _group_matrix() -> Tensor:
    return torch.tensor([[float(kind in group) for kind in BEAT_CLASSES] for group in GROUPS])


class BeatTemplates(nn.Module):
    """Templates from the record vector, laid under the beats.

    Parameters
    ----------
    channels : int
        Leads.
    film : int
        Channels of the record vector.
    rank : int
        Shapes that all templates are mixed from.
    """

    groups: Tensor
    has_p: Tensor
    taper: Tensor

    def __init__(self, channels: int, film: int, rank: int = 64) -> None:
        super().__init__()
        self.channels = channels
        self.mix = nn.Sequential(nn.Linear(film, rank), nn.GELU(), nn.Linear(rank, rank))
        self.shapes = nn.Linear(rank, channels * len(GROUPS) * LENGTH)
        nn.init.normal_(self.shapes.weight, std=0.02)
        nn.init.zeros_(self.shapes.bias)
        self.register_buffer("groups", _group_matrix(), persistent=False)
        self.register_buffer("has_p", torch.tensor([1.0, 1.0, 0.0, 0.0]), persistent=False)
        at = torch.arange(LENGTH)
        edge = torch.minimum(at, LENGTH - 1 - at).clamp(max=_TAPER) / _TAPER
        self.register_buffer("taper", torch.sin(edge * torch.pi / 2) ** 2, persistent=False)

    def forward(
        self, fine: Tensor, record: Tensor, no_p: Tensor | None = None, p_gain: Tensor | None = None
    ) -> Tensor:
        """``[B, N_FINE, T]`` conditions and ``[B, film]`` to ``[B, channels, T]``.

        Beats come without the share `no_p` ``[B, T]`` of what their template holds of a P wave; `p_gain`
        ``[B]`` is the height of that of the others.
        """
        rows, samples = len(fine), fine.shape[-1]
        kernel = self.shapes(self.mix(record)).view(rows, self.channels, len(GROUPS), LENGTH) * self.taper
        bumps = self.groups @ fine[:, : len(BEAT_CLASSES)] / _BUMP_SUM
        if p_gain is not None:
            kernel = kernel + (p_gain - 1).view(-1, 1, 1, 1) * _p_part(kernel) * self.has_p.view(1, 1, -1, 1)
        # A kernel of 200 samples per record is convolved ten times faster as a product of spectra.
        length = -(-(samples + LENGTH) // 256) * 256
        spectrum = torch.fft.rfft(kernel, length) * torch.fft.rfft(bumps, length).unsqueeze(1)
        if no_p is not None and bool(no_p.any()):
            without = torch.fft.rfft(bumps * no_p.unsqueeze(1), length).unsqueeze(1)
            spectrum = spectrum - torch.fft.rfft(_p_part(kernel), length) * without
        return torch.fft.irfft(spectrum.sum(2), length)[..., BEFORE : BEFORE + samples]


def _p_part(kernel: Tensor) -> Tensor:
    """What stands out of the line between the ends of the P window, in templates ``[..., LENGTH]``."""
    first, last = BEFORE - P_WINDOW[0], BEFORE - P_WINDOW[1]
    part = kernel[..., first:last]
    before = part[..., :3].mean(-1, keepdim=True)
    after = part[..., -3:].mean(-1, keepdim=True)
    line = before + (after - before) * torch.linspace(0, 1, last - first)
    return F.pad(part - line, (first, LENGTH - last))


class BeatAverage(nn.Module):
    """What the average beat of each kind in a real strip says about its record.

    Parameters
    ----------
    channels, width : int
        Leads, and hidden channels.
    out : int
        Numbers that come out.
    """

    groups: Tensor

    def __init__(self, channels: int, width: int, out: int) -> None:
        super().__init__()
        self.lead = nn.Linear(len(GROUPS) * (LENGTH // 2), width)
        self.out = nn.Sequential(
            nn.Linear(channels * width + len(GROUPS), 2 * width), nn.GELU(), nn.Linear(2 * width, out)
        )
        self.register_buffer("groups", _group_matrix(), persistent=False)

    def forward(self, signal: Tensor, fine: Tensor) -> Tensor:
        """``[B, channels, T]`` and ``[B, N_FINE, T]`` to ``[B, out]``."""
        rows, channels, samples = signal.shape
        bumps = self.groups @ fine[:, : len(BEAT_CLASSES)]
        # Windows that start at every second lag: 125 Hz is enough to tell whose beat it is.
        lags = F.pad(signal, (BEFORE, AFTER)).unfold(-1, samples, 2)[:, :, : LENGTH // 2]
        total = lags.flatten(1, 2) @ bumps.transpose(1, 2)
        count = bumps.sum(-1)
        mean = total / count[:, None].clamp(min=_BUMP_SUM)
        beats = mean.view(rows, channels, -1)
        seen = (count > _BUMP_SUM / 2).float()
        return self.out(torch.cat([F.gelu(self.lead(beats)).flatten(1), seen], dim=1))
