"""Baseline wander, kept apart from the waveform: a network of five-second crops cannot learn 0.1 Hz.

Strips are split at 0.5 Hz by a filter without phase shift (AHA 2007 recommendations, Kligfield P et al.,
accept 0.67 Hz for such filters). The slow part of a generated strip is Gaussian noise with the spectrum of
its source, at a level that the latent prior draws together with everything else about the record.

Between the wander and the noise lies drift, 0.5 to 3 Hz: an electrode that moves, a hand that shakes. It is
as fast as the waves of a beat, so it is told from them by taking the beats away, and so slow that the lapped
transform of the noise (3 Hz per coefficient) would smear it over the f waves; so it has a spectrum, a
level and a coming and going of its own.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.rr_basics import autoregressive

CUTOFF_HZ = 0.5
#: Frequencies in Hz at which a source's wander spectrum is stored.
WANDER_HZ = np.arange(1, 6) / 10.24
#: Frequencies in Hz at which a source's drift spectrum is stored.
DRIFT_HZ = np.array([0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0])
#: Samples over which the level of wander counts: those of a training window.
_LEVEL_SAMPLES = round(10.24 * PLAN_FS)
#: Seconds between the knots of drift's coming and going.
DRIFT_STEP_S = 0.5


def split_wander(signal: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fast and slow part of strips ``[..., samples]`` at `PLAN_FS`, which add up to the strip."""
    n = signal.shape[-1]
    # The line between the levels of both ends goes first: mirrored about a sample that happens to lie on a
    # QRS, a strip would bend by its height.
    end = max(1, min(n // 4, PLAN_FS))
    start, stop = (np.median(part, -1, keepdims=True) for part in (signal[..., :end], signal[..., -end:]))
    line = start + (stop - start) * ((np.arange(n) - end / 2) / max(n - end, 1)).clip(0, 1)
    pad = min(n - 1, 2 * PLAN_FS)
    padded = np.pad(signal - line, [(0, 0)] * (signal.ndim - 1) + [(pad, pad)], mode="reflect")
    hz = np.fft.rfftfreq(padded.shape[-1], 1 / PLAN_FS)
    # Raised cosine from 0.4 to 0.6 Hz.
    keep = 0.5 + 0.5 * np.cos(np.pi * np.clip((hz - 0.4) / 0.2, 0, 1))
    rest = np.fft.irfft(np.fft.rfft(padded) * keep, padded.shape[-1])[..., pad : pad + n]
    slow = (line + rest).astype(np.float32)
    return signal - slow, slow


def wander_level(slow: NDArray[np.float32]) -> NDArray[np.float64]:
    """SD ``[strips]`` of wander ``[strips, channels, samples]``; the tenth at either end counts less."""
    weight = _level_weight(slow.shape[-1])
    mean = slow @ weight
    return np.asarray(np.sqrt((np.square(slow - mean[..., None]) @ weight).mean(1)))


@lru_cache(maxsize=8)
def _level_weight(n: int) -> NDArray[np.float64]:
    """Weights ``[n]`` of sum 1. A narrower window would not see what takes longer than a strip."""
    weight = np.clip(10 * np.minimum(np.arange(n) + 1, np.arange(n)[::-1] + 1) / n, 0, 1)
    return np.asarray(weight / weight.sum())


def _levelled(wander: NDArray[np.floating]) -> NDArray[np.float32]:
    """`wander` ``[channels, samples]`` scaled to a mean square of 1 of `wander_level` over its windows."""
    whole = wander.shape[-1] // _LEVEL_SAMPLES
    windows = wander[:, : whole * _LEVEL_SAMPLES].reshape(len(wander), whole, _LEVEL_SAMPLES).swapaxes(0, 1)
    level = np.sqrt(np.square(wander_level(windows)).mean())
    return np.asarray(wander / max(float(level), 1e-9), np.float32)


def wander_spectrum(slow: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean power ``[5]`` at `WANDER_HZ` of strips ``[strips, samples]`` of 10.24 s, each scaled to RMS 1."""
    strips = slow - slow.mean(-1, keepdims=True)
    strips = strips / np.maximum(strips.std(-1, keepdims=True), 1e-4)
    power = np.abs(np.fft.rfft(strips * np.hanning(strips.shape[-1]))) ** 2
    return power[:, 1 : 1 + len(WANDER_HZ)].mean(0) / power[:, 1 : 1 + len(WANDER_HZ)].mean(0).sum()


def above_drift(hz: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the amplitude at `hz` that counts as noise, not drift: a raised cosine from 2.5 to 3.5 Hz."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(hz - 2.5, 0, 1)))


def split_drift(
    rest: NDArray[np.floating],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Noise and drift of what is left of strips ``[leads, samples]`` at `PLAN_FS` without their beats."""
    spectrum = np.fft.rfft(rest)
    hz = np.fft.rfftfreq(rest.shape[-1], 1 / PLAN_FS)
    fast = np.fft.irfft(spectrum * above_drift(hz), rest.shape[-1])
    drift = np.fft.irfft(spectrum * (1 - above_drift(hz)) * (hz > 0.45), rest.shape[-1])
    return fast.astype(np.float32), drift.astype(np.float32)


def drift_spectrum(drift: NDArray[np.float32]) -> NDArray[np.float64]:
    """Power ``[8]`` around each of `DRIFT_HZ` of drift ``[leads, samples]``, each lead scaled to RMS 1."""
    scaled = drift / np.maximum(drift.std(-1, keepdims=True), 1e-5)
    hz = np.fft.rfftfreq(drift.shape[-1], 1 / PLAN_FS)
    power = (np.abs(np.fft.rfft(scaled * np.hanning(drift.shape[-1]))) ** 2).mean(0)
    middle = (DRIFT_HZ[1:] + DRIFT_HZ[:-1]) / 2
    edges = np.concatenate([[0.5], middle, [3.4]])
    found = [power[(hz >= a) & (hz < b)].mean() for a, b in pairwise(edges)]
    return np.asarray(found) / (np.sum(found) + 1e-12)


@lru_cache(maxsize=8)
def _frequencies(length: int) -> NDArray[np.float64]:
    return np.asarray(np.fft.rfftfreq(length, 1 / PLAN_FS), dtype=np.float64)


def _typical_size(values: NDArray[np.floating]) -> float:
    """Median of the absolute values, as `np.median` in half the time."""
    size = np.abs(values).ravel()
    middle = ((len(size) - 1) // 2, len(size) // 2)
    low, high = np.partition(size, middle)[list(middle)]
    return 0.5 * (float(low) + float(high))


def draw_drift(
    n: int,
    channels: int,
    power: NDArray[np.floating],
    sway: NDArray[np.floating],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Drift ``[channels, n]``: Gaussian, of spectrum `power` at `DRIFT_HZ`, coming and going.

    Scaled as drift is measured: its median absolute value is that of a Gaussian of SD 1.
    `sway` holds the SD of its log power and the correlation of that over `DRIFT_STEP_S`.
    """
    length = max(n, 10 * PLAN_FS)
    hz = _frequencies(length)
    first, last = np.searchsorted(hz, (0.45, 3.4))
    density = np.interp(hz[first:last], DRIFT_HZ, power, right=0.0)
    gauss = rng.standard_normal((channels, last - first, 2), dtype=np.float32)
    spectrum = np.zeros((channels, len(hz)), np.complex64)
    spectrum[:, first:last] = (gauss[..., 0] + 1j * gauss[..., 1]) * np.sqrt(density)
    drift = np.fft.irfft(spectrum, length)[:, :n]
    knots = int(length / PLAN_FS / DRIFT_STEP_S) + 2
    log_power = np.clip(float(sway[0]) * autoregressive(knots, float(sway[1]), rng), -3, 3)
    drift *= np.interp(np.arange(n) / PLAN_FS / DRIFT_STEP_S, np.arange(knots), np.exp(log_power / 2))
    return (0.6745 * drift / max(_typical_size(drift), 1e-9)).astype(np.float32)


def draw_wander(
    n: int, channels: int, power: NDArray[np.floating], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Wander ``[channels, n]`` of a `wander_level` of 1 over ten seconds and spectrum `power`."""
    # Drawn on a grid of at least 20 s, so that a short strip is a part of a slower movement.
    length = max(n, 20 * PLAN_FS)
    hz = _frequencies(length)
    used = int(np.searchsorted(hz, 0.6))
    density = np.interp(hz[:used], WANDER_HZ, power) * (hz[:used] > 0.03)
    # Slower than a strip is long it goes on as drift does, with the inverse square of the frequency.
    density *= np.square(WANDER_HZ[0] / np.clip(hz[:used], 0.03, WANDER_HZ[0]))
    gauss = rng.standard_normal((channels, used, 2), dtype=np.float32)
    spectrum = np.zeros((channels, len(hz)), np.complex64)
    spectrum[:, :used] = (gauss[..., 0] + 1j * gauss[..., 1]) * np.sqrt(density)
    return _levelled(np.fft.irfft(spectrum, length)[:, : max(n, _LEVEL_SAMPLES)])[:, :n]
