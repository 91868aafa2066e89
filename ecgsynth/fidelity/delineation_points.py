"""From what was found to points of beats: absent ones, leads together, intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.delineation_beats import Array, Ints
from ecgsynth.fidelity.delineation_windows import Wave

#: The nine points of a beat, in the order of the last axis of every array of points.
POINTS: Final = (
    "p_on", "p_peak", "p_off", "qrs_on", "qrs_peak", "qrs_off", "t_on", "t_peak", "t_off",
)  # fmt: skip
#: Onset and offset over leads: these quantiles, which for 12 leads are the third earliest and the third
#: latest. The earliest and latest of all would be those of the noisiest lead.
EARLY, LATE = 0.2, 0.8
#: A lead has no say where its wave is under this share of the highest lead's.
WEAK = 0.35


def intervals_ms(points: Array, fs: float) -> dict[str, Array]:
    """Intervals [...] in ms of points [..., 9]: ``p_ms``, ``pr_ms``, ``qrs_ms`` and ``qt_ms``.

    NaN where a wave is absent. PR and QT begin at the onset of P and of QRS, and end at the onset of QRS and
    the end of T.
    """
    p_on, p_off, qrs_on, qrs_off, t_off = (points[..., k] for k in (0, 2, 3, 5, 8))
    ends = {
        "p_ms": (p_on, p_off),
        "pr_ms": (p_on, qrs_on),
        "qrs_ms": (qrs_on, qrs_off),
        "qt_ms": (qrs_on, t_off),
    }
    return {name: np.asarray((stop - start) * (1000.0 / fs)) for name, (start, stop) in ends.items()}


def points_of(waves: Mapping[str, Wave], start: Ints, has_p: NDArray[np.bool_]) -> Array:
    """Points [leads, rows, 9] at `FS`, for rows whose column 0 is sample ``start`` [rows]."""
    columns = []
    for name in ("p", "qrs", "t"):
        wave = waves[name]
        there = wave.inside & has_p if name == "p" else wave.inside
        columns += [np.where(there, point, np.nan) for point in (wave.onset, wave.peak, wave.offset)]
    return _in_order(np.stack(columns, axis=-1) + start[:, None])


def _in_order(points: Array) -> Array:
    """Points with the end of P moved before the QRS and the beginning of T after it, where they overlap."""
    p_peak, p_off, qrs_on, qrs_off, t_on, t_peak = (points[..., k] for k in (1, 2, 3, 5, 6, 7))
    points[..., 2] = np.where(p_off > qrs_on, np.maximum(qrs_on, p_peak), p_off)
    points[..., 6] = np.where(t_on < qrs_off, np.minimum(qrs_off, t_peak), t_on)
    return points


def heights_of(waves: Mapping[str, Wave]) -> Array:
    """Height [leads, rows, 3] of P, QRS and T in mV."""
    return np.stack([waves[name].height for name in ("p", "qrs", "t")], axis=-1)


def over_leads(points: Array, heights: Array) -> Array:
    """Points [rows, 9] over the leads of [leads, rows, 9]; leads where a wave is ``WEAK`` are not asked."""
    if len(points) == 1:
        return points[0]
    waves = points.reshape(*points.shape[:2], 3, 3)
    strong = heights >= WEAK * heights.max(0)
    ordered = np.sort(np.where(strong[..., None], waves, np.nan), axis=0)
    count = np.isfinite(ordered).sum(0)
    place = np.array([EARLY, 0.5, LATE]) * np.maximum(count - 1, 0)
    low, high = np.floor(place).astype(int), np.ceil(place).astype(int)
    first, second = (np.take_along_axis(ordered, index[None], 0)[0] for index in (low, high))
    return _in_order((first + (place - low) * (second - first)).reshape(points.shape[1:]))


def outside_gaps(points: Array, signal: Array) -> Array:
    """Points with every wave that touches a gap of its lead set to NaN; ``signal`` [leads, samples]."""
    missing = ~np.isfinite(signal)
    if not missing.any():
        return points
    out = points.copy()
    count = np.concatenate([np.zeros((len(signal), 1), int), np.cumsum(missing, axis=1)], axis=1)
    last = signal.shape[1]
    for lead, waves in enumerate(out.reshape(len(out), -1, 3, 3)):
        known = np.isfinite(waves[..., 1])
        start = np.clip(np.floor(np.where(known, waves[..., 0], 0)), 0, last - 1).astype(int)
        stop = np.clip(np.ceil(np.where(known, waves[..., 2], 0)), 0, last - 1).astype(int) + 1
        waves[known & (count[lead, stop] > count[lead, start])] = np.nan
    return out
