"""Where waves begin and end: QRS by its slope, edges by blends of classical rules.

All functions work on rows [n, WIDTH] of :mod:`ecgsynth.fidelity.delineation_beats`, one beat of one lead
each, and return columns. An edge is found by several rules of the literature at once; what is reported
is a weighted sum of their answers, with weights fitted to human marks (``delineation.json``, written by
``scripts/fit_delineation.py``):

* slope thresholds: Laguna, Jane & Caminal, Comput Biomed Res 27:45-60, 1994; Martinez et al., IEEE Trans
  Biomed Eng 51:570-581, 2004 (the slope is that of a smoothed signal, as in their wavelet);
* tangent at the steepest point: Lepeschkin & Surawicz, Circulation 6:378-388, 1952;
* largest trapezium area: Vazquez-Seisdedos et al., Biomed Eng Online 10:77, 2011, after the area
  indicator of Zhang et al., Comput Biol Med 36:1-14, 2006;
* foot: the largest curvature after the steepest point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.delineation_beats import BEFORE, COLUMNS, FS, WIDTH, Array, Ints
from ecgsynth.filters import moving_max

#: QRS: slopes over this share of the steepest are part of it, unless parted by a gap this long in seconds.
QRS_PART, QRS_GAP = 0.25, 0.040
#: QRS onset and offset candidates: the slope stays under these shares of the steepest for `QRS_HOLD` seconds.
QRS_QUIET, QRS_HOLD = (0.04, 0.08, 0.16, 0.30), 0.012
#: ... or under this many times the median slope before the QRS, whichever is larger.
QRS_NOISE = 1.5
#: Furthest QRS onset and offset from R, in samples.
QRS_REACH = (45, 60)
#: P and T edges: shares of the steepest slope.
EDGE_SLOPES = (0.5, 0.25, 0.10)


@dataclass(frozen=True)
class EdgeReach:
    """How far a wave's edge is looked for, in seconds.

    Attributes
    ----------
    slope : float
        From the peak to the steepest point at most.
    foot : float
        From the steepest point to the foot and the end of the trapezium at most.
    """

    slope: float
    foot: float


P_REACH = EdgeReach(0.08, 0.08)
T_REACH = EdgeReach(0.18, 0.14)


def at(rows: Array, columns: Ints) -> Array:
    """Value of each row at its column; columns are clipped to the row."""
    return np.asarray(rows[np.arange(len(rows)), np.clip(columns, 0, WIDTH - 1)])


def between(low: NDArray[np.number], high: NDArray[np.number]) -> NDArray[np.bool_]:
    """Mask [n, WIDTH] of the columns from ``low`` to ``high`` [n], both included."""
    return np.asarray((low[:, None] <= COLUMNS) & (high[:, None] >= COLUMNS))


def last_true(mask: NDArray[np.bool_], upto: Ints) -> Ints:
    """Last True at or before ``upto`` in each row, -1 where there is none."""
    mask = mask & (upto[:, None] >= COLUMNS)
    return np.where(mask.any(1), WIDTH - 1 - mask[:, ::-1].argmax(1), -1)


def first_true(mask: NDArray[np.bool_], start: Ints) -> Ints:
    """First True at or after ``start`` in each row, WIDTH where there is none."""
    mask = mask & (start[:, None] <= COLUMNS)
    return np.where(mask.any(1), mask.argmax(1), WIDTH)


def largest(rows: Array, mask: NDArray[np.bool_], otherwise: Ints) -> Ints:
    """Column of the largest value within the mask; ``otherwise`` where the mask is empty."""
    found = np.where(mask, rows, -np.inf).argmax(1)
    return np.where(mask.any(1), found, otherwise)


@dataclass(frozen=True)
class QRS:
    """Of each row: columns where the steep part begins and ends, and edge candidates [n, rules]."""

    first: Ints
    last: Ints
    onsets: Array
    offsets: Array


def find_qrs(slope: Array, low: Ints, high: Ints) -> QRS:
    """The QRS complex at column BEFORE of rows of slopes, looked for between columns ``low`` and ``high``."""
    steep = np.abs(slope)
    allowed = between(low, high)
    near = allowed & (np.abs(COLUMNS - BEFORE) <= 22)
    top = largest(steep, near, np.full(len(slope), BEFORE))
    height = at(steep, top)
    part = allowed & (steep > QRS_PART * height[:, None]) & (np.abs(COLUMNS - BEFORE - 6) < 44)
    joined = moving_max(part, round(QRS_GAP * FS) | 1)
    first = first_true(part, last_true(~joined, top) + 1)
    last = last_true(part, first_true(~joined, top) - 1)
    first, last = np.minimum(first, top), np.maximum(last, top)
    noise = _quiet_level(steep, allowed & (COLUMNS < BEFORE - 25) & (COLUMNS > BEFORE - 100))
    hold = max(2, round(QRS_HOLD * FS))
    padded = np.pad(steep, ((0, 0), (hold - 1, hold - 1)), mode="edge")
    loudest = np.lib.stride_tricks.sliding_window_view(padded, hold, axis=1).max(-1)
    onsets, offsets = [], []
    for share in QRS_QUIET:
        bound = np.maximum(share * height, QRS_NOISE * noise)[:, None]
        onset = last_true(loudest[:, :WIDTH] < bound, first)
        offset = first_true(loudest[:, hold - 1 :] < bound, last)
        onsets.append(np.maximum(onset, np.maximum(BEFORE - QRS_REACH[0], low)))
        offsets.append(np.minimum(offset, np.minimum(BEFORE + QRS_REACH[1], high)))
    return QRS(first, last, np.stack(onsets, 1).astype(float), np.stack(offsets, 1).astype(float))


def _quiet_level(rows: Array, mask: NDArray[np.bool_]) -> Array:
    """Median of each row within the mask, 0 where it is empty."""
    ordered = np.sort(np.where(mask, rows, np.inf), axis=1)
    count = mask.sum(1)
    return np.where(count > 0, ordered[np.arange(len(rows)), np.maximum(count - 1, 0) // 2], 0.0)


def qrs_peak(trace: Array, onset: Ints, offset: Ints) -> Ints:
    """Column of the largest deflection from the level at the onset."""
    size = np.abs(trace - at(trace, onset)[:, None])
    return largest(size, between(onset, offset), onset)


def wave_peak(wave: Array, start: Ints, sign: Array, low: Ints, high: Ints, reach: int) -> Ints:
    """The extremum of the smoothed wave nearest by: within ``reach`` samples of ``start``."""
    mask = between(np.maximum(start - reach, low), np.minimum(start + reach, high))
    return largest(sign[:, None] * wave, mask, start)


def right_edges(wave: Array, slope: Array, hat: Array, peak: Ints, limit: Ints, reach: EdgeReach) -> Array:
    """Candidates [n, 7] for the end of a wave, in samples after its peak.

    Parameters
    ----------
    wave, slope, hat : float64 array [n, WIDTH]
        Smoothed rows, their first derivative per second, and their matched filter.
    peak, limit : int64 array [n]
        Column of the peak, and the last one that may belong to the wave.
    reach : EdgeReach

    Returns
    -------
    float64 array [n, 7]
        Steepest point, tangent, foot, three slope thresholds, trapezium, in samples after the peak.
    """
    width = round((reach.slope + reach.foot) * FS) + 1
    near = np.clip(peak[:, None] + np.arange(width), 0, WIDTH - 1)
    own = np.arange(len(peak))[:, None]
    sign = np.sign(at(hat, peak))[:, None]
    level, fall, bulge = sign * wave[own, near], -sign * slope[own, near], sign * hat[own, near]
    step, row = np.arange(width), own[:, 0]
    far = np.clip(limit - peak, 1, width - 1)
    turned = np.where((bulge < 0).any(1), (bulge < 0).argmax(1), width)
    turned = np.minimum(turned, np.minimum(round(reach.slope * FS), far))
    stop = np.minimum(turned + round(reach.foot * FS), far)
    foot = np.where((step >= turned[:, None]) & (step <= stop[:, None]), -bulge, -np.inf).argmax(1)
    inner = (step > 0) & (step <= np.maximum(foot, 1)[:, None])
    steepest = np.where(inner, fall, -np.inf).argmax(1)
    rate = np.maximum(fall[row, steepest], 1e-6)
    drop = np.maximum(level[row, steepest] - level[row, foot], 0.0)
    tangent = steepest + np.minimum(FS * drop / rate, (far - steepest).astype(float))
    beyond = step >= steepest[:, None]
    quiet = []
    for share in EDGE_SLOPES:
        slow = beyond & (fall < share * rate[:, None])
        quiet.append(np.minimum(np.where(slow.any(1), slow.argmax(1), width), far))
    stop = np.minimum(steepest + round(reach.foot * FS), np.maximum(limit - peak, 1))
    stop = np.minimum(stop, width - 1)
    area = (level[row, steepest][:, None] - level) * (2 * stop[:, None] - step - steepest[:, None])
    trapezium = np.where(beyond & (step <= stop[:, None]), area, -np.inf).argmax(1)
    return np.stack([steepest, tangent, foot, *quiet, trapezium], 1).astype(float)


def left_edges(wave: Array, slope: Array, hat: Array, peak: Ints, limit: Ints, reach: EdgeReach) -> Array:
    """As `right_edges`, for the beginning of a wave: candidates in samples before its peak."""
    end = WIDTH - 1
    return right_edges(wave[:, ::-1], -slope[:, ::-1], hat[:, ::-1], end - peak, end - limit, reach)
