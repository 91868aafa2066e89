"""Transforms of time, all leads alike: shift, crop, and a small smooth warp."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ecgsynth.augment.transform import Setting, Transform, uniform
from ecgsynth.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class TimeShift(Transform):
    """Move a strip in time; what comes in from outside holds the value at the edge.

    Nothing is wrapped around, which would splice the end of a recording to its beginning. Where recordings
    are longer than strips, cropping at random (`RandomCrop`) shifts without an edge.

    Attributes
    ----------
    seconds : float
        Largest shift to either side.
    """

    seconds: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.seconds <= 3600:
            raise OptionError(f"TimeShift: seconds is {self.seconds}; allowed are 0 to 3600.")

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Shift each record by a whole number of samples."""
        samples = signal.shape[-1]
        most = min(round(self.seconds * setting.fs), samples - 1)
        by = torch.randint(-most, most + 1, (len(signal), 1, 1), generator=rng, device=signal.device)
        at = (torch.arange(samples, device=signal.device) + by).clamp(0, samples - 1)
        return signal.gather(2, at.expand_as(signal))


@dataclass(frozen=True, kw_only=True)
class RandomCrop(Transform):
    """Cut strips of a fixed length from anywhere within longer ones; always applied (`p` is 1).

    Attributes
    ----------
    seconds : float
        Length of what is kept.
    """

    seconds: float
    p: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p != 1 or not self.seconds > 0:
            raise OptionError(f"RandomCrop: seconds {self.seconds}, p {self.p}; allowed: over 0 s, p of 1.")

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Cut each record at its own random start."""
        length, samples = round(self.seconds * setting.fs), signal.shape[-1]
        if not 1 <= length <= samples:
            raise OptionError(
                f"RandomCrop: {self.seconds:g} s are {length} samples at {setting.fs:g} Hz; strips have "
                f"{samples}."
            )
        start = torch.randint(samples - length + 1, (len(signal), 1, 1), generator=rng, device=signal.device)
        at = start + torch.arange(length, device=signal.device)
        return signal.gather(2, at.expand(-1, signal.shape[1], -1))


@dataclass(frozen=True, kw_only=True)
class TimeWarp(Transform):
    """Let time run a little faster here and slower there, smoothly and with both ends fixed.

    Sample t shows what was at ``t + d(t)``, ``d`` a sum of half sine waves over the strip, scaled so that the
    speed ``1 + d'(t)`` nowhere differs from 1 by more than the drawn amount. RR intervals and QRS widths
    change by no more than that. Values between samples come from Catmull-Rom cubics, which lose 5 % of
    amplitude at a fifth of the sampling rate.

    Attributes
    ----------
    speed : float
        Largest change of speed, over 0 and below 0.5: 0.05 is 5 %.
    waves : int
        Half waves of ``d`` over the strip.
    """

    speed: float = 0.05
    waves: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.speed < 0.5 or self.waves < 1:
            raise OptionError(
                f"TimeWarp: speed {self.speed}, waves {self.waves}; allowed: over 0 and below 0.5, 1 or more."
            )

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Warp each record."""
        rows, samples = len(signal), signal.shape[-1]
        if samples < 4:
            raise OptionError(f"TimeWarp: strips of {samples} samples; at least 4 are needed.")
        share = torch.linspace(0, 1, samples, dtype=signal.dtype, device=signal.device)
        order = torch.arange(1, self.waves + 1, dtype=signal.dtype, device=signal.device)
        angle = torch.pi * order[:, None] * share
        weights = torch.randn((rows, self.waves), generator=rng, dtype=signal.dtype, device=signal.device)
        weights = weights / order
        slope = (weights * order) @ angle.cos() * (torch.pi / (samples - 1))
        most = uniform(signal, (rows, 1), 0.0, self.speed, rng)
        factor = most / slope.abs().amax(dim=1, keepdim=True).clamp(min=1e-12)
        moved = factor * (weights @ angle.sin())
        place = torch.arange(samples, dtype=signal.dtype, device=signal.device) + moved
        return _between_samples(signal, place)


def _between_samples(signal: Tensor, place: Tensor) -> Tensor:
    """Values [B, L, N] at fractional samples [B, N] by Catmull-Rom cubics; the edge value beyond the ends."""
    rows, leads, samples = signal.shape
    left = place.floor().clamp(0, samples - 1)
    f = (place - left).clamp(0, 1)
    weights = torch.stack(
        (
            ((2 - f) * f - 1) * f / 2,
            (f * f * (3 * f - 5) + 2) / 2,
            ((4 - 3 * f) * f + 1) * f / 2,
            (f - 1) * f * f / 2,
        ),
        dim=-1,
    )
    four = torch.arange(-1, 3, device=signal.device)
    at = (left.long()[:, :, None] + four).clamp(0, samples - 1)
    at = at + samples * torch.arange(rows, device=signal.device)[:, None, None]
    # A weighted sum of four rows for each row of the result, in one pass over memory: an embedding bag.
    table = signal.transpose(1, 2).reshape(rows * samples, leads)
    mixed = torch.nn.functional.embedding_bag(
        at.view(-1, 4), table, mode="sum", per_sample_weights=weights.view(-1, 4)
    )
    return mixed.view(rows, -1, leads).transpose(1, 2).contiguous()
