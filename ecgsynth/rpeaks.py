"""Finding R peaks where a source has no beat labels.

The search is `sleepecg`'s (a C implementation of Pan & Tompkins, IEEE Trans Biomed Eng 32:230-236,
1985). Its marks fall anywhere on the QRS, so each is moved to the main deflection: generators take the
phase within a beat from these samples, and a mark that jumps between Q, R and S would smear them.
"""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.filters import moving_mean

#: How far a mark may move to reach the main deflection, in seconds.
REFINE_S = 0.06
#: Width of the moving average, run twice and taken away, that removes wander and most of the T wave, in
#: seconds. As a high-pass it is without phase shift and has its -3 dB point near 0.32 / width = 2.7 Hz.
WANDER_S = 0.12
#: Two peaks closer than this are one beat, in seconds (absolute refractory period of the ventricles).
REFRACTORY_S = 0.18
#: Shortest signal worth searching, in seconds: the detector's own filters need this much to settle.
SHORTEST_S = 1.0
_C_MODULE = "sleepecg._heartbeat_detection"
#: Band of sleepecg's filter, in Hz, and samples by which `sosfiltfilt` continues a signal for it.
_PASSED_HZ = (5.0, 30.0)
_EDGE = 15
#: Its C code has room for an RR interval every 0.2 s, counts from 2, and writes past the end where beats come
#: as fast as that. What it gets is this many seconds longer, without anything to find in it.
_TAIL_S = 0.8
#: Longer traces, in samples, are filtered by sleepecg itself, in less memory than a transform takes.
_LONG = 1 << 17


def detect_r_peaks(signal: NDArray[np.floating[Any]], fs: float) -> NDArray[np.int64]:
    """R peaks (main QRS deflections) of one recording.

    Parameters
    ----------
    signal : float array [samples] or [leads, samples]
        In mV, at least 1 s long; shorter, flat or all-NaN signals have no peaks. Several leads are
        joined into their first principal component. NaN gaps are bridged and get no peaks.
    fs : float
        Sampling rate in Hz.

    Returns
    -------
    int64 array [beats]
        Samples, strictly increasing. All on the same side (all upward or all downward), whichever the
        record's larger deflections are on, so the marks are consistent from beat to beat.
    """
    leads = np.atleast_2d(np.asarray(signal, dtype=np.float64))
    if leads.shape[1] < SHORTEST_S * fs:
        return np.empty(0, dtype=np.int64)
    gap = np.asarray((~np.isfinite(leads)).all(axis=0))
    leads = bridge_gaps(leads)
    filtered = _high_passed(leads, fs)
    weights = _main_direction(filtered)
    trace = weights @ filtered
    if not np.ptp(trace) > 1e-6:
        return np.empty(0, dtype=np.int64)
    peaks = _refine(trace, _detect(weights @ leads, fs), fs)
    return peaks[~gap[peaks]]


def bridge_gaps(leads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leads [leads, samples] with NaN runs replaced by straight lines (zeros where a lead is all NaN)."""
    bad = ~np.isfinite(leads)
    if not bad.any():
        return leads
    out = leads.copy()
    at = np.arange(leads.shape[1])
    for row, missing in zip(out, bad, strict=True):
        row[missing] = 0.0 if missing.all() else np.interp(at[missing], at[~missing], row[~missing])
    return out


def _detect(trace: NDArray[np.float64], fs: float) -> NDArray[np.int64]:
    """As `sleepecg.detect_heartbeats`, by its own C functions: see `_own_functions`."""
    moves = np.flatnonzero(trace != trace[0])
    if not len(moves):
        return np.empty(0, dtype=np.int64)
    # A flat beginning would spoil the thresholds.
    first = int(moves[0]) if trace[1] == trace[0] else 0
    part = trace[first:]
    if len(part) <= _EDGE:
        return np.empty(0, dtype=np.int64)
    tail = round(_TAIL_S * fs)
    if len(part) > _LONG or fs <= 2 * _PASSED_HZ[1] or (own := _own_functions()) is None:
        from sleepecg.heartbeats import detect_heartbeats

        marks = np.asarray(detect_heartbeats(np.pad(part, (0, tail), "edge"), fs), dtype=np.int64)
        return marks[marks < len(part)] + first
    squared_average, threshold = own
    filtered = _band_passed(part, fs)
    slope = np.correlate(filtered, np.array([-1, -2, 0, 2, 1]), mode="same")
    energy = squared_average(slope, int(0.15 * fs))
    found = threshold(np.pad(filtered, (0, tail)), np.pad(energy, (0, tail)), fs)[: len(part)]
    if np.count_nonzero(found) + 2 < len(part) // int(0.2 * fs):
        # It looks behind the last beat, too, where there is room: without a tail where that is safe.
        found = threshold(filtered, energy, fs)
    return np.flatnonzero(found).astype(np.int64) + first


@cache
def _own_functions() -> tuple[Any, Any] | None:
    """The C functions of sleepecg, without what the package loads beside them (scipy.signal, .stats: 1 s)."""
    package = find_spec("sleepecg")
    places = None if package is None else package.submodule_search_locations
    spec = PathFinder.find_spec(_C_MODULE, places)
    if spec is None or spec.loader is None:
        return None
    if _C_MODULE not in sys.modules:
        made = module_from_spec(spec)
        spec.loader.exec_module(made)
        sys.modules[_C_MODULE] = made
    module = sys.modules[_C_MODULE]
    return module._squared_moving_integration, module._thresholding


def _band_passed(trace: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    """Trace [samples] through sleepecg's filter: Butterworth, second order, 5 to 30 Hz, there and back.

    The same numbers as ``scipy.signal.sosfiltfilt`` to rounding: in its steady state a band-pass has
    forgotten the value that a signal had before it began, so that it starts from rest without that value.
    """
    ends = 2 * trace[0] - trace[_EDGE:0:-1], 2 * trace[-1] - trace[-2 : -_EDGE - 2 : -1]
    longer = np.concatenate([ends[0], trace, ends[1]])
    # Its response has died away to rounding after 2 s.
    n = 1 << int(len(longer) + 2 * fs).bit_length()
    for _ in range(2):
        spectrum = np.fft.rfft(longer - longer[0], n) * _response(n, fs)
        longer = np.fft.irfft(spectrum, n)[: len(longer)][::-1]
    return np.ascontiguousarray(longer[_EDGE:-_EDGE])


@lru_cache(maxsize=8)
def _response(n: int, fs: float) -> NDArray[np.complex128]:
    """Response of that filter, once, at the frequencies of a transform of `n` samples: bilinear transform."""
    at = 2j * np.tan(np.pi * np.fft.rfftfreq(n))
    low, high = (2 * np.tan(np.pi * hz / fs) for hz in _PASSED_HZ)
    band, rest = (high - low) * at, at**2 + low * high
    response = band**2 / (band**2 + np.sqrt(2) * band * rest + rest**2)
    response[-1] = 0.0  # at half of an even rate the tangent is infinite
    return np.asarray(response)


def _high_passed(leads: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    width = max(3, round(WANDER_S * fs) | 1)
    return np.asarray(leads - moving_mean(moving_mean(leads, width), width))


def _main_direction(filtered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit weights [leads] of the first principal component, signed so the largest weight is positive."""
    if len(filtered) == 1:
        return np.ones(1)
    direction = np.linalg.eigh(filtered @ filtered.T)[1][:, -1]
    return np.asarray(direction * np.sign(direction[np.argmax(np.abs(direction))]))


def _refine(trace: NDArray[np.float64], marks: NDArray[np.int64], fs: float) -> NDArray[np.int64]:
    """Move each mark to the largest deflection on the record's main side within +-60 ms."""
    if not len(marks):
        return marks
    reach = max(1, round(REFINE_S * fs))
    near = np.clip(marks[:, None] + np.arange(-reach, reach + 1), 0, len(trace) - 1)
    around = trace[near]
    high, low = np.sort(around.max(axis=1)), np.sort(-around.min(axis=1))
    ends = slice((len(high) - 1) // 2, len(high) // 2 + 1)
    side = 1.0 if high[ends].mean() >= low[ends].mean() else -1.0
    peaks = np.unique(near[np.arange(len(marks)), np.argmax(side * around, axis=1)])
    return _without_doubles(peaks, side * trace[peaks], REFRACTORY_S * fs)


def _without_doubles(
    peaks: NDArray[np.int64], height: NDArray[np.float64], apart: float
) -> NDArray[np.int64]:
    """Of peaks closer than ``apart`` samples keep the higher one."""
    if not (np.diff(peaks) < apart).any():
        return peaks.astype(np.int64)
    keep: list[int] = []
    for i in range(len(peaks)):
        if keep and peaks[i] - peaks[keep[-1]] < apart:
            if height[i] > height[keep[-1]]:
                keep[-1] = i
            continue
        keep.append(i)
    return peaks[keep].astype(np.int64)
