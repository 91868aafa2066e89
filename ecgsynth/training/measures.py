"""What a strip shows of its noise, drift and beats: the same measures of real strips and of drawn ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgsynth.batches import Strips
from ecgsynth.generators.blocks import HOP
from ecgsynth.generators.hiss import (
    WINDOW,
    WINDOW_HZ,
    beat_profile,
    burstiness,
    flank_power,
    hiss_spectrum,
    nearest_beats,
    noise_power,
)
from ecgsynth.generators.noise_sway import SWAY_FROM, band_means
from ecgsynth.generators.oscillation import beat_bend_sd, beat_height_sd, middle_beat, noise_of
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.templates import P_WINDOW
from ecgsynth.generators.wander import split_drift, split_wander
from ecgsynth.rhythms import RHYTHMS

#: Seconds before an R peak between which a strip shows drift rather than how its waves differ.
_APART_S = (0.05, 0.32)
#: First bin of a window's power in each band of `SWAY_FROM`.
SWAY_BINS = np.searchsorted(WINDOW_HZ, np.array(SWAY_FROM) * PLAN_FS / 2 / HOP).tolist()


@dataclass(frozen=True)
class Measures:
    """What a strip shows.

    Log power ``[bins]`` of noise far from beats, its profile, the power before beats; drift over gain, as RMS
    before beats and as `Strips` has it; power of the middle QRS and the middle P wave; `flank_power` and
    `burstiness`; variance of the log power of noise; SD over beats of
    their heights and of how blunt they are; whether its rhythm has no P waves.
    """

    hiss: NDArray[np.float64]
    profile: NDArray[np.float64]
    before: NDArray[np.float64]
    drift: float
    drift_all: float
    beat: NDArray[np.float64]
    p: NDArray[np.float64]
    flanks: NDArray[np.float64]
    bursts: NDArray[np.float64]
    sway: NDArray[np.float64]
    height_sd: float
    bend_sd: float
    no_p: bool


def measured(
    strips: Strips, rows: NDArray[np.int64], made: list[NDArray[np.float32]]
) -> list[tuple[Measures, Measures]]:
    """Measures of real strips and of what was made of them again, where both can be measured."""
    pairs = []
    for row, again in zip(rows, made, strict=True):
        real = strips.fast[row, :, : strips.usable[row]]
        first, second = (_measure(strips, int(row), x) for x in (real, split_wander(again)[0]))
        if first is not None and second is not None:
            pairs.append((first, second))
    return pairs


def _measure(strips: Strips, row: int, signal: NDArray[np.float32]) -> Measures | None:
    name, (times, classes) = list(RHYTHMS)[strips.rhythm[row]], strips.beats[row]
    rest, known = noise_of(signal, times, classes, name, PLAN_FS)
    power, quiet, fast = noise_power(signal, times, classes, name, (rest, known))
    if not quiet.any() or known.sum() <= PLAN_FS:
        return None
    slow = np.abs(split_drift(rest * known)[1])
    ahead, since = nearest_beats(np.arange(signal.shape[1]) / PLAN_FS, times)
    apart = known & (ahead > _APART_S[0]) & (ahead < _APART_S[1]) & (since > _APART_S[1])
    seen = slow[:, apart if apart.sum() > PLAN_FS else known]
    gain = float(np.exp(strips.gain[row]))
    drift = float(np.sqrt(np.square(seen).mean()) + 1e-4) / gain
    drift_all = float(np.median(slow[:, known]) / 0.6745 + 1e-4) / gain
    profile = beat_profile(fast, times, known)
    no_p = RHYTHMS[name].p_wave == "forbidden"
    p = np.empty(0) if no_p else _middle_p(signal, times[classes == 0])
    beat = _beat_power(signal, times, classes)
    far, before = hiss_spectrum(power, quiet).mean(0), _before_beats(rest, times)
    flanks, bursts = flank_power(signal, times), burstiness(fast, quiet)
    swaying = _sway(power, quiet)
    height = beat_height_sd(signal, times, classes, PLAN_FS)
    bend = beat_bend_sd(signal, times, classes, PLAN_FS)
    return Measures(
        far, profile, before, drift, drift_all, beat, p, flanks, bursts, swaying, height, bend, no_p
    )


def _sway(power: NDArray[np.float64], quiet: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Variance ``[bands]`` over quiet windows of the log power of noise in each band of `SWAY_FROM`."""
    if quiet.sum() < 4:
        return np.full(len(SWAY_FROM), np.nan)
    return np.asarray(band_means(np.log(power[:, quiet] + 1e-9), SWAY_BINS).var(1))


def _before_beats(rest: NDArray[np.float32], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log power ``[bins]`` of `rest` ``[leads, samples]`` in windows that end 60 ms before R peaks.

    NaN where fewer than four are whole.
    """
    stop = P_WINDOW[1]
    at = np.rint(times * PLAN_FS).astype(np.int64)
    at = at[(at >= WINDOW + stop) & (at < rest.shape[1])]
    if len(at) < 4:
        return np.full(len(WINDOW_HZ), np.nan)
    parts = rest[:, at[:, None] + np.arange(-WINDOW - stop, -stop)].astype(np.float64)
    parts = (parts - parts.mean(2, keepdims=True)) * np.hanning(WINDOW)
    return np.asarray(np.log((np.abs(np.fft.rfft(parts)) ** 2).mean((0, 1)) + 1e-8))


def _beat_power(
    signal: NDArray[np.float32], times: NDArray[np.float64], classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Power ``[bins]`` of the middle QRS of the commonest kind of beat, NaN if there are fewer than four."""
    reach = WINDOW // 2
    at = np.rint(times * PLAN_FS).astype(np.int64)
    inside = (at >= reach) & (at < signal.shape[1] - reach)
    kinds, counts = np.unique(classes[inside], return_counts=True)
    if not len(kinds) or counts.max() < 4:
        return np.full(len(WINDOW_HZ), np.nan)
    mine = at[inside & (classes == kinds[counts.argmax()])]
    beat = middle_beat(signal[:, mine[:, None] + np.arange(-reach, reach)].astype(np.float64))
    return np.asarray((np.abs(np.fft.rfft(beat * np.hanning(WINDOW))) ** 2).mean(0))


def _middle_p(signal: NDArray[np.float32], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """What stands out of the line between the ends of the P window in the middle beat ``[leads * samples]``.

    In mV; empty where fewer than four beats are whole.
    """
    first, last = P_WINDOW
    at = np.rint(times * PLAN_FS).astype(np.int64)
    at = at[(at >= first) & (at < signal.shape[1])]
    if len(at) < 4:
        return np.empty(0)
    part = middle_beat(signal[:, at[:, None] + np.arange(-first, -last)].astype(np.float64))
    ends = part[:, :3].mean(1, keepdims=True), part[:, -3:].mean(1, keepdims=True)
    return np.asarray(part - ends[0] - (ends[1] - ends[0]) * np.linspace(0, 1, first - last)).ravel()
