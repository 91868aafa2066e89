"""Where in a beat P and T may be: windows, and how likely each place in them is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.delineation_beats import BEFORE, COLUMNS, FS, WIDTH, Array, Ints

#: These numbers were chosen on the tuning half of LUDB and QTDB (`delineation_marks.tuning_half`).
#: T peak: expected after R by this many seconds per square root of RR in seconds (after Bazett), +- one SD.
T_EXPECTED, T_SPREAD = 0.30, 0.13
#: T peak: from QRS offset by this at least, from R by this share of RR and this time at most, in seconds.
T_AFTER, T_SHARE, T_LATEST = 0.06, 0.62, 0.56
#: P peak: expected before QRS onset by this, +- one SD; at least and at most this far, in seconds.
P_EXPECTED, P_SPREAD, P_NEAREST, P_FURTHEST = 0.14, 0.10, 0.04, 0.40


@dataclass(frozen=True)
class Place:
    """What bounds the search, all [beats]: RR intervals in samples, columns of the record's ends."""

    rr_before: Array
    rr_after: Array
    first: Ints
    last: Ints


@dataclass(frozen=True)
class Wave:
    """One kind of wave in each lead and beat.

    Attributes
    ----------
    onset, peak, offset : float64 array [leads, beats]
        Columns.
    before, after : float64 array [leads, beats, rules]
        Candidates for the edges: distance from ``anchor_before`` back and from ``anchor_after`` on, in
        samples.
    anchor_before, anchor_after : float64 array [leads, beats]
        Columns.
    height : float64 array [leads, beats]
        Answer of the wave's matched filter at its peak, in mV, 0 or more; of a QRS, its deflection.
    inside : bool array [leads, beats]
        Whether all of the search window lay within the record.
    """

    onset: Array
    peak: Array
    offset: Array
    before: Array
    after: Array
    anchor_before: Array
    anchor_after: Array
    height: Array
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class Window:
    """Columns [leads, rows] between which a peak may lie, and whether that is enough to look in."""

    low: Ints
    high: Ints
    inside: NDArray[np.bool_]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """[leads, rows, WIDTH]."""
        return np.asarray((self.low[..., None] <= COLUMNS) & (self.high[..., None] >= COLUMNS))


def hoped_peak(answers: Array, hope: Array, window: NDArray[np.bool_]) -> tuple[Ints, Array]:
    """Column and sign [leads, rows] of the largest answer of a matched filter, weighed by ``hope``.

    With more than two leads, two thirds of the say is with all leads together: a wave that is flat in one is
    looked for where the others have it.
    """
    size = np.abs(answers) * hope * window
    if len(size) > 2:
        size = size / (size.max(-1, keepdims=True) + 1e-9)
        size = size + 2.0 * np.sqrt(np.mean(size**2, axis=0, keepdims=True))
    column = np.where(window, size, -1.0).argmax(-1)
    return column, np.sign(np.take_along_axis(answers, column[..., None], -1)[..., 0])


def t_window(place: Place, qrs: Wave) -> Window:
    """Window for the T peak: after the QRS, and where a T wave may be at this RR interval."""
    low = np.minimum(np.rint(qrs.offset) + round(T_AFTER * FS), WIDTH - 14).astype(np.int64)
    latest = np.minimum(BEFORE + np.minimum(T_SHARE * place.rr_after, T_LATEST * FS), place.last - 4)
    high = np.clip(latest, low + 1, WIDTH - 12).astype(np.int64)
    return Window(low, high, latest - low >= 5)


def t_hope(place: Place) -> Array:
    """How likely a T peak is at each column [rows, WIDTH], at most 1."""
    expected = T_EXPECTED * np.sqrt(np.minimum(place.rr_after, 300.0) / FS)
    return np.asarray(np.exp(-0.5 * (((COLUMNS - BEFORE) / FS - expected[:, None]) / T_SPREAD) ** 2))


def p_window(place: Place, qrs: Wave, t_end_before: Array) -> Window:
    """Window for the P peak: after column ``t_end_before`` [leads, rows] and before the QRS."""
    low = np.maximum(t_end_before, BEFORE - P_FURTHEST * FS)
    low = np.maximum(np.maximum(low, BEFORE - 0.6 * place.rr_before), 0)
    high = np.rint(qrs.onset) - round(P_NEAREST * FS)
    inside = (high - np.maximum(low, place.first + 10) >= 3) & (high >= 3)
    high = np.clip(high, 3, WIDTH - 2).astype(np.int64)
    low = np.clip(np.where(high - low >= 3, low, high - 3), 0, WIDTH - 1).astype(np.int64)
    return Window(low, high, inside)


def p_hope(qrs: Wave) -> Array:
    """How likely a P peak is at each column [leads, rows, WIDTH], at most 1."""
    distance = (qrs.onset[..., None] - COLUMNS) / FS
    return np.asarray(np.exp(-0.5 * ((distance - P_EXPECTED) / P_SPREAD) ** 2))
