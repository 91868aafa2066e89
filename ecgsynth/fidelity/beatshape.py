"""The shape of a record's beats: aligned beats, their median, and P, QRS and T measured on it.

Shared by the gate and the feature table. Everything is measured on one lead in mV, vectorised over
beats, and cheap enough for thousands of records (about 0.5 ms per ten-second record).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Seconds kept before and after each R peak.
BEFORE, AFTER = 0.32, 0.56
#: Largest shift tried when a beat is aligned to the median beat, in seconds.
MAX_SHIFT = 0.024
#: Fewest beats a median beat is worth measuring on.
MIN_BEATS = 4
#: Rows up to this length are sorted to find their median, longer ones partitioned.
SHORT_ROW = 48


@dataclass(frozen=True)
class BeatShape:
    """What the median beat of a record looks like.

    Attributes
    ----------
    beats : float64 array [beats, samples]
        Aligned beats in mV, baseline removed, the R peak at column ``centre``.
    median : float64 array [samples]
    centre : int
    fs : float
        In Hz.
    rr : float
        Median RR interval in seconds.
    """

    beats: Array
    median: Array
    centre: int
    fs: float
    rr: float

    @cached_property
    def qrs(self) -> tuple[float, float]:
        """QRS onset and offset of the median beat, see :func:`qrs_edges`; found once."""
        return _follow_edges(self)

    @cached_property
    def p(self) -> tuple[float, float]:
        """P-wave score and amplitude, see :func:`p_wave`; found once."""
        return _p_score(self)

    @cached_property
    def levelled(self) -> tuple[Array, float]:
        """The median beat less its level just before the QRS, and its QRS height in mV; found once."""
        level = self.median - float(middle(self.median[self.window(-0.1, -0.05)]))
        return level, max(float(np.ptp(level[self.window(-0.08, 0.08)])), 1e-3)

    @cached_property
    def unit_beats(self) -> Array:
        """QRS-T of the beats, without their mean and of length 1, from 120 ms before R on."""
        beats = self.beats[:, self.window(-0.12, min(0.3, 0.6 * self.rr))]
        beats = beats - beats.mean(axis=1, keepdims=True)
        return beats / np.maximum(np.sqrt(np.einsum("ij,ij->i", beats, beats)), 1e-9)[:, None]

    def window(self, start: float, stop: float) -> slice:
        """Columns from ``start`` to ``stop`` seconds after the R peak, clipped to what is kept."""
        first = max(0, self.centre + round(start * self.fs))
        last = min(len(self.median), self.centre + round(stop * self.fs))
        return slice(min(first, last), last)


def middle(values: NDArray[Any], axis: int = -1) -> Any:
    """Median along an axis of finite values, as ``np.median``, which takes far longer on short rows."""
    n = values.shape[axis]
    if n < SHORT_ROW:
        ordered = np.sort(values, axis=axis)
    else:
        ordered = np.partition(values, ((n - 1) // 2, n // 2), axis=axis)
    if values.ndim == 1:
        return 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
    return 0.5 * (ordered.take((n - 1) // 2, axis) + ordered.take(n // 2, axis))


@lru_cache(maxsize=32)
def hann(n: int, fs: float) -> tuple[Array, Array]:
    """Hann window [n] and the frequencies of its transform in Hz."""
    return np.hanning(n), np.asarray(np.fft.rfftfreq(n, 1 / fs), dtype=np.float64)


@lru_cache(maxsize=512)
def ramp(n: int, first: float = 0.0) -> Array:
    """``n`` numbers evenly from ``first`` to 1, made once."""
    return np.linspace(first, 1.0, n)


def remove_baseline(signal: Array, fs: float, cutoff: float = 0.5) -> Array:
    """Signal [..., samples] less its content under ``cutoff`` Hz (zero phase, raised-cosine edge).

    A straight line between the ends goes first, so that the circular transform meets no step.
    """
    n = signal.shape[-1]
    edge = max(1, min(n // 10, round(0.3 * fs)))
    start, stop = signal[..., :edge].mean(-1), signal[..., -edge:].mean(-1)
    slope = ((stop - start) / max(1, n - edge))[..., None]
    level = signal - (start[..., None] + slope * (np.arange(n) - (edge - 1) / 2))
    return np.fft.irfft(np.fft.rfft(level) * _high_pass(n, fs, cutoff), n)


@lru_cache(maxsize=16)
def _high_pass(n: int, fs: float, cutoff: float) -> Array:
    """Gain at each frequency of a transform of ``n`` samples."""
    frequency = np.fft.rfftfreq(n, 1 / fs)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip((frequency / cutoff - 0.6) / 0.8, 0, 1)))


def aligned_beats(clean: Array, fs: float, peaks: NDArray[np.int64]) -> tuple[Array, int]:
    """Beats [beats, samples] cut around ``peaks`` and shifted by up to 24 ms to match their median.

    Beats whose window leaves the record are dropped. Returns the beats and the column of the R peak.
    """
    before, after, shift = round(BEFORE * fs), round(AFTER * fs), max(1, round(MAX_SHIFT * fs))
    inside = peaks[(peaks >= before + shift) & (peaks < len(clean) - after - shift)]
    width = before + after
    if len(inside) == 0:
        return np.empty((0, width)), before
    wide = clean[inside[:, None] + np.arange(-before - shift, after + shift)]
    if len(inside) < 2:
        return wide[:, shift : shift + width], before
    lo, hi = before - round(0.1 * fs), before + round(0.1 * fs)
    target = middle(wide[:, shift + lo : shift + hi], 0)
    target = target - target.mean()
    shifts = range(2 * shift + 1)
    scores = np.stack([wide[:, s + lo : s + hi] @ target for s in shifts])
    best = scores.argmax(axis=0)
    return wide[np.arange(len(wide))[:, None], best[:, None] + np.arange(width)], before


def beat_shape(clean: Array, fs: float, peaks: NDArray[np.int64]) -> BeatShape | None:
    """The shape of the beats at ``peaks`` of a baseline-free lead, or None with under 4 whole beats."""
    beats, centre = aligned_beats(clean, fs, peaks)
    if len(beats) < MIN_BEATS:
        return None
    rr = float(middle(np.diff(peaks))) / fs
    return BeatShape(beats, middle(beats, 0), centre, fs, rr)


def p_window(shape: BeatShape) -> slice:
    """Where the P wave should be: 240 to 60 ms before R, starting later when the rate is high."""
    return shape.window(-min(0.24, 0.38 * shape.rr), -0.06)


def p_wave(shape: BeatShape) -> tuple[float, float]:
    """P-wave score and amplitude of the median beat.

    The score is the peak-to-peak of the median beat in the PR window, over the standard deviation of
    single beats about it in the same window, after a straight line through each is removed (the tail of
    the preceding T wave and the foot of the QRS are not a P wave). Sinus rhythm repeats its P wave at
    a fixed distance before the QRS, fibrillation does not.

    Returns
    -------
    tuple of float
        Score (dimensionless) and peak-to-peak in mV; NaN when the window is under 50 ms.
    """
    return shape.p


def _p_score(shape: BeatShape) -> tuple[float, float]:
    window = p_window(shape)
    if window.stop - window.start < 0.05 * shape.fs:
        return float("nan"), float("nan")
    beats = detrend(shape.beats[:, window])
    median = middle(beats, 0)
    height = float(np.ptp(median))
    noise = float(middle(np.std(beats - median, axis=1)))
    return height / max(noise, 1e-3), height


def p_consistency(shape: BeatShape, chosen: NDArray[np.bool_] | None = None) -> float:
    """Share of the variance in the PR window that repeats from beat to beat, -0.3 to 1.

    The mean correlation between different beats, from the variance of their mean:
    ``(n * |mean|^2 - mean |beat|^2) / ((n - 1) * mean |beat|^2)``; 0 in expectation where nothing repeats.
    Only beats ``chosen`` [beats] count; NaN with under 4 of them or a window under 50 ms.
    """
    window = p_window(shape)
    rows = shape.beats[:, window] if chosen is None else shape.beats[chosen, window]
    if rows.shape[1] < 0.05 * shape.fs or len(rows) < MIN_BEATS:
        return float("nan")
    beats = detrend(rows)
    n = len(beats)
    power = float(np.mean(beats**2))
    return (n * float(np.mean(beats.mean(axis=0) ** 2)) - power) / ((n - 1) * max(power, 1e-9))


def detrend(rows: Array) -> Array:
    """Rows [..., samples] less their least-squares straight lines."""
    time = ramp(rows.shape[-1], -1.0)
    level = rows - rows.mean(axis=-1, keepdims=True)
    return np.asarray(level - (level @ time / (time @ time))[..., None] * time)


def qrs_edges(shape: BeatShape) -> tuple[float, float]:
    """QRS onset and offset on the median beat, in seconds from the R peak.

    Steepness (absolute first difference, smoothed over 20 ms) is followed outwards from its largest
    value near R until it stays under 12 % of that value for 16 ms. A slow, wide complex is followed
    further than a narrow one because the threshold scales with its own steepness.
    """
    return shape.qrs


def _follow_edges(shape: BeatShape) -> tuple[float, float]:
    steep = np.abs(np.diff(shape.median))
    half = max(1, round(0.010 * shape.fs))
    steep = np.convolve(steep, np.ones(2 * half) / (2 * half), "same")
    near = shape.window(-0.1, 0.1)
    top = near.start + int(steep[near].argmax())
    quiet = steep < 0.12 * steep[top]
    hold = max(2, round(0.016 * shape.fs))
    calm = np.convolve(quiet, np.ones(hold), "valid") >= hold - 0.5
    after = np.flatnonzero(calm[top:])
    before = np.flatnonzero(calm[: max(0, top - hold + 1)])
    offset = top + int(after[0]) if len(after) else len(steep) - 1
    onset = int(before[-1]) + hold if len(before) else 0
    return (onset - shape.centre) / shape.fs, (offset - shape.centre) / shape.fs


def beat_correlation(shape: BeatShape) -> Array:
    """Correlation [beats] of each beat with the median beat, from 100 ms before to 300 ms after R."""
    window = shape.window(-0.1, min(0.3, 0.6 * shape.rr))
    beats = shape.beats[:, window]
    beats = beats - beats.mean(axis=1, keepdims=True)
    median = shape.median[window] - shape.median[window].mean()
    scale = np.sqrt(np.einsum("ij,ij->i", beats, beats) * float(median @ median))
    return beats @ median / np.maximum(scale, 1e-9)


def lag_correlation(shape: BeatShape, lag: int) -> float:
    """Mean correlation between the QRS-T of beats ``lag`` apart; NaN with fewer than two such pairs."""
    if len(shape.beats) < lag + 2:
        return float("nan")
    beats = shape.unit_beats
    return float(np.vdot(beats[lag:], beats[:-lag])) / (len(beats) - lag)
