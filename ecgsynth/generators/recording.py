"""What a recording lays over the heart that a decoder draws, and the corrections of both that were fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.conditions import BEAT_CLASSES, PATCH, RHYTHM_INDEX, Conditions
from ecgsynth.generators.hiss import PROFILE_S, WINDOW, WINDOW_HZ
from ecgsynth.generators.noise_sway import draw_bursts
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.generators.wander import draw_drift, draw_wander
from ecgsynth.rhythms import RHYTHMS

#: Whether a rhythm has no P waves, by `RHYTHM_INDEX`.
_WITHOUT_P = np.array([RHYTHMS[name].p_wave == "forbidden" for name in RHYTHM_INDEX])


def kind_of(rhythm: NDArray[np.int64]) -> int:
    """Row of a fitted table for a strip: 1 where most frames are of a rhythm without P waves, else 0."""
    return int(_WITHOUT_P[rhythm].mean() > 0.5)


def lively_noise(
    net: StripNet,
    noise: NDArray[np.float32],
    conditions: Sequence[Conditions],
    sources: Sequence[int],
    rngs: Sequence[np.random.Generator],
) -> NDArray[np.float32]:
    """`noise` ``[rows, outputs, samples]`` without wander, over 12 Hz louder near beats and in bursts."""
    n = noise.shape[-1]
    spectrum = np.fft.rfft(noise)
    hz = np.fft.rfftfreq(n, 1 / PLAN_FS)
    # The lowest band of the noise reaches down to 0 Hz, where the wander is drawn on its own.
    steady = np.fft.irfft(spectrum * (np.clip((hz - 0.4) / 0.2, 0, 1) * np.clip((14 - hz) / 4, 0, 1)), n)
    middle = np.fft.irfft(spectrum * (np.clip((hz - 10) / 4, 0, 1) * np.clip((46 - hz) / 12, 0, 1)), n)
    high = np.fft.irfft(spectrum * np.clip((hz - 34) / 12, 0, 1), n)
    last, ahead = len(BEAT_CLASSES), len(BEAT_CLASSES) + 1
    for row, made, source, rng in zip(range(len(noise)), conditions, sources, rngs, strict=True):
        offset = np.where(made.fine[ahead] <= made.fine[last], -made.fine[ahead], made.fine[last])[:n]
        near = np.exp(_near_beats(offset, made.rhythm, net.noise_profile[source].numpy()))
        bursts = draw_bursts(n, net.noise_bursts[source, kind_of(made.rhythm)].numpy(), rng)
        steady[row] += near * (bursts[0] * middle[row] + bursts[1] * high[row])
    return steady.astype(np.float32)


def slow_parts(
    net: StripNet,
    n: int,
    channels: int,
    sources: Sequence[int],
    rngs: Sequence[np.random.Generator],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Wander and drift ``[rows, channels, n]`` of SD near 1."""
    wander, drift = [], []
    for source, rng in zip(sources, rngs, strict=True):
        wander.append(draw_wander(n, channels, net.wander_power[source].numpy(), rng))
        power, sway = net.drift_power[source].numpy(), net.drift_sway[source].numpy()
        drift.append(draw_drift(n, channels, power, sway, rng))
    return np.stack(wander), np.stack(drift)


def _near_beats(
    offset: NDArray[np.floating], rhythm: NDArray[np.int64], profiles: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Log of how much louder noise is ``[samples]`` at `offset` s from an R peak, with P waves or without.

    `rhythm` is that of each frame, `profiles` ``[2, knots]`` are those at `PROFILE_S`.
    """
    without = _WITHOUT_P[rhythm]
    if without.all() or not without.any():
        return np.interp(offset, PROFILE_S, profiles[int(without.all())])
    conducted, alone = (np.interp(offset, PROFILE_S, profile) for profile in profiles)
    return np.where(np.repeat(without, PATCH)[: len(offset)], alone, conducted)


def heart_factor(mean: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """Factor ``[rows, 1, 1]`` on `mean` that gives it and `noise` ``[rows, outputs, samples]`` an RMS of 1.

    That is what the record's gain stands for. A mean learned by absolute error is smaller than what it is
    the mean of; so only the mean is scaled.
    """
    left = np.maximum(1 - np.square(noise).mean((1, 2)), 0.1)
    factor = np.sqrt(left / np.maximum(np.square(mean).mean((1, 2)), 1e-6)).clip(0.7, 2.0)
    return np.asarray(factor[:, None, None])


def without_floor(drift: NDArray[np.float32], trim: NDArray[np.float32]) -> NDArray[np.float32]:
    """Drift to draw ``[rows, 1, 1]`` so that `drift` ``[rows]`` is measured.

    What is measured of drift d is ``sqrt((a d)^2 + f^2)``, with a and f in `trim` ``[rows, 2]``: beats that
    differ leave something even where nothing drifts.
    """
    square = np.maximum(np.square(drift) - np.square(trim[:, 1]), 0.04 * np.square(drift))
    return np.asarray(np.sqrt(square) / trim[:, 0])[:, None, None]


def filtered(mean: NDArray[np.float32], log_gain: NDArray[np.float32]) -> NDArray[np.float32]:
    """`mean` ``[rows, outputs, samples]`` through a filter without phase shift, `log_gain` at `WINDOW_HZ`."""
    n = mean.shape[-1]
    # Two windows of silence behind it, so that the end does not reach round to the start.
    length = n + 2 * WINDOW
    hz = np.fft.rfftfreq(length, 1 / PLAN_FS)
    gain = np.stack([np.exp(np.interp(hz, WINDOW_HZ, row)) for row in log_gain])[:, None]
    filtered = np.fft.irfft(np.fft.rfft(mean, length) * gain, length)[..., :n]
    return filtered.astype(np.float32)
