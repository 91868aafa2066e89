"""One row of numbers per record: what a two-sample test or a report compares sets of records by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import (
    BeatShape,
    beat_correlation,
    beat_shape,
    lag_correlation,
    p_consistency,
    p_wave,
    p_window,
    qrs_edges,
    remove_baseline,
)
from ecgsynth.fidelity.rhythm import ALIKE, oscillation_numbers, rr_numbers

Array = NDArray[np.float64]

#: Frequency bands in Hz whose share of power is a feature.
BANDS = (
    (0.0, 0.5),
    (0.5, 4.0),
    (4.0, 8.0),
    (8.0, 13.0),
    (13.0, 20.0),
    (20.0, 35.0),
    (35.0, 50.0),
    (50.0, 125.0),
)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_RR_NAMES = ("rate", "nrmssd", "rr_cv", "rr_lag1", "rr_lag2", "rr_skew", "alternate_2", "alternate_3")
_SHAPE_NAMES = (
    "p_score",
    "p_height",
    "p_share",
    "p_at_ms",
    "q_depth",
    "r_height",
    "s_depth",
    "qrs_span",
    "qrs_cv",
    "qrs_ms",
    "qrs_steep",
    "st_level",
    "t_height",
    "t_at_ms",
    "qt_ms",
    "likeness",
    "likeness_low",
    "repeat_1",
    "residual_qrs",
    "residual_tp",
    "residual_tp_high",
    "fwave_power",
    "align_rough",
)
_SIGNAL_NAMES = (
    *(f"q{int(100 * q):02d}" for q in QUANTILES),
    *(f"band_{low:g}_{high:g}" for low, high in BANDS),
    "spectral_entropy",
    "skew",
    "kurtosis",
    "diff_rms",
    "diff_kurtosis",
    "diff2_rms",
    "diff2_ratio",
    "flat_share",
    "wander_rms",
    "wander_steep",
    "span",
    "dominant_hz",
    "concentration",
    "quiet",
)
#: Every feature, in the order of :func:`feature_table`'s columns.
FEATURES = (*_SIGNAL_NAMES, *_RR_NAMES, *_SHAPE_NAMES)


def record_features(
    signal: NDArray[np.floating], fs: float, r_peaks: NDArray[np.int64] | None = None
) -> dict[str, float]:
    """Features of one lead.

    Parameters
    ----------
    signal : array [samples]
        In mV, finite, at least one second.
    fs : float
        In Hz. Compare only records of one fs: steepness and bands depend on it.
    r_peaks : int64 array [beats] or None
        Sample indices of R peaks; None runs the detector.

    Returns
    -------
    dict of str to float
        Keys are `FEATURES`: amplitudes in mV, times in ms, powers as log10 shares. NaN where a feature
        cannot be measured, such as those of a beat in fibrillation.
    """
    level = np.asarray(signal, dtype=np.float64)
    if r_peaks is None:
        from ecgsynth.rpeaks import detect_r_peaks

        r_peaks = np.asarray(detect_r_peaks(level, fs), dtype=np.int64)
    clean = remove_baseline(level, fs)
    values = dict.fromkeys(FEATURES, float("nan"))
    values.update(_signal_features(level, clean, fs))
    values.update(_rr_features(r_peaks, fs))
    shape = beat_shape(clean, fs, r_peaks)
    if shape is not None:
        values.update(_shape_features(shape))
    return values


def feature_table(signals: Sequence[NDArray[np.floating]], fs: float) -> Array:
    """Features [records, len(FEATURES)] of one-lead records [samples] in mV, all at ``fs`` Hz."""
    table = np.empty((len(signals), len(FEATURES)))
    for row, signal in zip(table, signals, strict=True):
        values = record_features(signal, fs)
        row[:] = [values[name] for name in FEATURES]
    return table


@lru_cache(maxsize=16)
def _spectrum_plan(n: int, fs: float) -> tuple[Array, NDArray[np.int64]]:
    """Hann window [n] and the first bin of each band, for ``np.add.reduceat``."""
    frequency = np.fft.rfftfreq(n, 1 / fs)
    starts = np.minimum(np.searchsorted(frequency, [low for low, _ in BANDS]), len(frequency) - 1)
    return np.hanning(n), starts


def _signal_features(level: Array, clean: Array, fs: float) -> dict[str, float]:
    n = len(level)
    window, starts = _spectrum_plan(n, fs)
    power = np.abs(np.fft.rfft((level - level.mean()) * window)) ** 2 + 1e-12
    total = float(power.sum())
    shares = np.add.reduceat(power, starts) / total
    inside = power[starts[1] : starts[6]] / power[starts[1] : starts[6]].sum()
    ordered = np.sort(clean)
    values = {f"q{int(100 * q):02d}": float(ordered[int(q * (n - 1))]) for q in QUANTILES}
    values |= {
        f"band_{low:g}_{high:g}": float(np.log10(max(share, 1e-9)))
        for (low, high), share in zip(BANDS, shares, strict=True)
    }
    first, second = np.diff(clean), np.diff(clean, 2)
    wander = level - clean
    steep = float(np.sqrt(np.mean(first**2)))
    bend = float(np.sqrt(np.mean(second**2)))
    skew, kurtosis = _moments(clean)
    oscillation = oscillation_numbers(clean, fs)
    return values | {
        "spectral_entropy": float(-(inside * np.log(inside)).sum() / np.log(len(inside))),
        "skew": skew,
        "kurtosis": kurtosis,
        "diff_rms": steep,
        "diff_kurtosis": _moments(first)[1],
        "diff2_rms": bend,
        "diff2_ratio": bend / max(steep, 1e-9),
        "flat_share": float((np.abs(np.diff(level)) < 0.0005).mean()),
        "wander_rms": float(wander.std()),
        "wander_steep": float(np.abs(np.diff(wander)).mean()) * fs,
        "span": float(ordered[-1] - ordered[0]),
        "dominant_hz": oscillation["dominant_hz"],
        "concentration": oscillation["concentration"],
        "quiet": oscillation["quiet"],
    }


def _moments(values: Array) -> tuple[float, float]:
    """Skewness and kurtosis (3 for a Gaussian)."""
    level = values - values.mean()
    square = level * level
    variance = max(float(square.mean()), 1e-12)
    return float((square * level).mean()) / variance**1.5, float((square * square).mean()) / variance**2


def _rr_features(peaks: NDArray[np.int64], fs: float) -> dict[str, float]:
    rr = np.diff(peaks) / fs
    known = rr_numbers(peaks, fs)
    values: dict[str, float] = {
        name: known[name] for name in ("rate", "nrmssd", "alternate_2", "alternate_3") if name in known
    }
    if len(rr) >= 4:
        level = rr - rr.mean()
        variance = max(float(np.mean(level**2)), 1e-8)
        values["rr_cv"] = float(rr.std() / rr.mean())
        values["rr_skew"] = float(np.mean(level**3)) / variance**1.5
        values["rr_lag1"] = float(np.mean(level[1:] * level[:-1])) / variance
        values["rr_lag2"] = float(np.mean(level[2:] * level[:-2])) / variance
    return values


def _shape_features(shape: BeatShape) -> dict[str, float]:
    score, height = p_wave(shape)
    onset, offset = qrs_edges(shape)
    alike = beat_correlation(shape)
    values = {
        "p_score": score,
        "p_height": height,
        "p_share": p_consistency(shape, alike > ALIKE),
        "qrs_ms": 1000.0 * (offset - onset),
        "likeness": float(np.median(alike)),
        "likeness_low": float(alike.min()),
        "repeat_1": lag_correlation(shape, 1),
    }
    return values | _wave_features(shape, offset) | _residual_features(shape)


def _wave_features(shape: BeatShape, qrs_end: float) -> dict[str, float]:
    """P, Q, R, S, ST and T on the median beat, against its level just before the QRS."""
    fs, median = shape.fs, shape.median
    base = shape.window(-0.08, -0.05)
    level = median - median[base].mean()
    qrs = shape.window(-0.05, 0.08)
    top = qrs.start + int(level[qrs].argmax())
    spans = np.ptp(shape.beats[:, qrs], axis=1)
    values = {
        "r_height": float(level[top]),
        "q_depth": float(level[qrs.start : top + 1].min()),
        "s_depth": float(level[top : qrs.stop].min()),
        "qrs_span": float(np.ptp(level[qrs])),
        "qrs_cv": float(spans.std() / max(spans.mean(), 1e-6)),
        "qrs_steep": float(np.abs(np.diff(median[qrs])).max()) * fs,
    }
    p = p_window(shape)
    if p.stop - p.start >= 3:
        values["p_at_ms"] = 1000.0 * (p.start + int(level[p].argmax()) - shape.centre) / fs
    start = min(max(qrs_end, 0.04), 0.2)
    t = shape.window(start + 0.06, min(0.48, 0.7 * shape.rr))
    if t.stop - t.start >= 0.06 * fs:
        wave = level[t]
        peak = int(np.abs(wave - np.median(wave)).argmax())
        ends = np.abs(np.diff(wave[peak:]))
        falling = int(ends.argmax()) if len(ends) else 0
        values["st_level"] = float(level[shape.window(start + 0.02, start + 0.05)].mean())
        values["t_height"] = float(wave[peak])
        values["t_at_ms"] = 1000.0 * (t.start + peak - shape.centre) / fs
        values["qt_ms"] = 1000.0 * (t.start + peak + 2 * falling - shape.centre) / fs + 40.0
    return values


def _residual_features(shape: BeatShape) -> dict[str, float]:
    """What is left of the beats when their median is taken away (log10 of mV or mV^2)."""
    rest = shape.beats - shape.median
    fs = shape.fs
    qrs, quiet = shape.window(-0.05, 0.08), shape.window(-min(0.32, 0.45 * shape.rr), -0.05)
    tail = rest[:, quiet]
    rough = np.diff(tail, 2) if tail.shape[1] > 4 else tail
    power = np.abs(np.fft.rfft(rest * np.hanning(rest.shape[1]))) ** 2
    frequency = np.fft.rfftfreq(rest.shape[1], 1 / fs)
    inside = (frequency >= 4.0) & (frequency <= 9.0)
    return {
        "residual_qrs": _log(float(rest[:, qrs].std())),
        "residual_tp": _log(float(tail.std())),
        "residual_tp_high": _log(float(rough.std())),
        "fwave_power": _log(float(power[:, inside].mean()) / rest.shape[1]),
        "align_rough": _log(float(np.diff(shape.median[quiet], 2).std()))
        if len(shape.median[quiet]) > 4
        else -9.0,
    }


def _log(value: float) -> float:
    return float(np.log10(max(value, 1e-9)))
