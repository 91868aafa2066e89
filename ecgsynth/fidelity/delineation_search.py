"""The search: QRS, then T, then P, first in the median beat of each kind, then in each beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.delineation_beats import (
    BEFORE,
    COLUMNS,
    FS,
    WIDTH,
    Array,
    Beats,
    Ints,
    cut,
    filtered,
    gather_beats,
    levelled,
    median_per_kind,
    without_qrs,
)
from ecgsynth.fidelity.delineation_waves import (
    P_REACH,
    T_REACH,
    at,
    between,
    find_qrs,
    largest,
    left_edges,
    qrs_peak,
    right_edges,
    wave_peak,
)
from ecgsynth.fidelity.delineation_windows import (
    Place,
    Wave,
    Window,
    hoped_peak,
    p_hope,
    p_window,
    t_hope,
    t_window,
)

#: Share of a beat's own signal; the rest is the median of its kind, which has less noise.
OWN = 0.5
#: How far the T and P peaks of a beat may be from those of the median beat, in seconds.
T_NEAR, P_NEAR = 0.08, 0.05
#: How far a lead's edges may lie from the median of the leads, in seconds.
LEADS_APART = {"qrs": 0.040, "p": 0.050, "t": 0.070}

Weights = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Rows:
    """One row per lead and beat, all [leads, beats, WIDTH]; the filters are those of `filtered`."""

    wave: Array
    slope: Array
    p: Array
    t: Array

    def all(self) -> tuple[Array, Array, Array, Array]:
        """The four arrays in order."""
        return self.wave, self.slope, self.p, self.t


def _wave(
    name: str, weights: Weights, peak: Array, before: Array, after: Array, anchors: tuple[Array, Array],
    height: Array, inside: NDArray[np.bool_],
) -> Wave:  # fmt: skip
    """Blend the candidates into edges and hold the leads together."""
    low, high = (np.asarray(weights[f"{name}_{side}"]) for side in ("on", "off"))
    onset = anchors[0] - np.maximum(low[0] + before @ low[1:], 1.0)
    offset = anchors[1] + np.maximum(high[0] + after @ high[1:], 1.0)
    if len(peak) > 2:
        reach = LEADS_APART[name] * FS
        onset, offset = (
            np.clip(edge, np.median(edge, 0) - reach, np.median(edge, 0) + reach) for edge in (onset, offset)
        )
    onset, offset = np.minimum(onset, peak - 1), np.maximum(offset, peak + 1)
    return Wave(onset, peak, offset, before, after, *anchors, height, inside)


def search_qrs(trace: Array, slope: Array, place: Place, weights: Weights) -> Wave:
    """QRS complexes of rows [leads, beats, WIDTH]."""
    leads, n = trace.shape[:2]
    low = np.clip(np.maximum(BEFORE - np.round(0.45 * place.rr_before), place.first), 0, BEFORE - 1)
    high = np.clip(np.minimum(BEFORE + np.round(0.5 * place.rr_after), place.last), BEFORE + 1, WIDTH - 1)
    low, high = (np.tile(v.astype(np.int64), leads) for v in (low, high))
    found = find_qrs(slope.reshape(-1, WIDTH), low, high)
    shape = (leads, n)
    before = (found.first[:, None] - found.onsets).reshape(*shape, -1)
    after = (found.offsets - found.last[:, None]).reshape(*shape, -1)
    anchors = (found.first.reshape(shape).astype(float), found.last.reshape(shape).astype(float))
    at_r = np.full(shape, float(BEFORE))
    wave = _wave("qrs", weights, at_r, before, after, anchors, at_r, np.ones(shape, dtype=bool))
    onset, offset = (
        np.clip(np.rint(edge), 0, WIDTH - 1).astype(np.int64).ravel() for edge in (wave.onset, wave.offset)
    )
    flat = trace.reshape(-1, WIDTH)
    peak = qrs_peak(flat, onset, offset)
    height = np.abs(at(flat, peak) - at(flat, onset))
    return replace(wave, peak=peak.reshape(shape).astype(float), height=height.reshape(shape))


def search_t(
    rows: Rows, place: Place, qrs: Wave, window: Window, centre: Ints, sign: Array, weights: Weights
) -> Wave:
    """T waves near ``centre`` and with the given sign, both [leads, rows]."""
    leads, n = qrs.peak.shape
    wave, slope, hat = (a.reshape(-1, WIDTH) for a in (rows.wave, rows.slope, rows.t))
    peak = _near_peak(wave, hat, window, centre, sign, round(T_NEAR * FS), 8)
    end = np.clip(np.minimum(BEFORE + np.round(0.8 * place.rr_after), place.last), 0, WIDTH - 1)
    limit = np.maximum(np.tile(end.astype(np.int64), leads), peak)
    begin = np.minimum(np.rint(qrs.offset).astype(np.int64).ravel() + 2, peak)
    before = left_edges(wave, slope, hat, peak, begin, T_REACH).reshape(leads, n, -1)
    after = right_edges(wave, slope, hat, peak, limit, T_REACH).reshape(leads, n, -1)
    column = peak.reshape(leads, n).astype(float)
    height = np.abs(at(hat, peak)).reshape(leads, n)
    inside = window.inside & (column + 0.06 * FS < place.last)
    return _wave("t", weights, column, before, after, (column, column), height, inside)


def search_p(
    rows: Rows, place: Place, qrs: Wave, window: Window, centre: Ints, sign: Array, weights: Weights
) -> Wave:
    """P waves, should there be any, near ``centre`` and with the given sign, both [leads, rows]."""
    leads, n = qrs.peak.shape
    wave, slope, hat = (a.reshape(-1, WIDTH) for a in (rows.wave, rows.slope, rows.p))
    peak = _near_peak(wave, hat, window, centre, sign, round(P_NEAR * FS), 6)
    first = np.tile(place.first, leads)
    begin = np.clip(np.maximum(window.low.ravel() - 10, first), 0, peak)
    end = np.maximum(np.rint(qrs.onset).astype(np.int64).ravel(), peak)
    before = left_edges(wave, slope, hat, peak, begin, P_REACH).reshape(leads, n, -1)
    after = right_edges(wave, slope, hat, peak, end, P_REACH).reshape(leads, n, -1)
    column = peak.reshape(leads, n).astype(float)
    height = np.abs(at(hat, peak)).reshape(leads, n)
    inside = window.inside & (column - place.first >= 10)
    return _wave("p", weights, column, before, after, (column, column), height, inside)


def _near_peak(
    wave: Array, hat: Array, window: Window, centre: Ints, sign: Array, near: int, reach: int
) -> Ints:
    """Column [leads * rows] of the filter's largest answer near ``centre``, moved to the wave's extremum."""
    low, high, at_centre, way = window.low.ravel(), window.high.ravel(), centre.ravel(), sign.ravel()
    mask = between(np.maximum(low, at_centre - near), np.minimum(high, at_centre + near))
    start = largest(way[:, None] * hat, mask, np.clip(at_centre, low, high))
    return wave_peak(wave, start, way, low, high, reach)


@dataclass(frozen=True)
class Search:
    """All that was found in some records of equal length.

    Attributes
    ----------
    beats : Beats
    main : int64 array [records]
        The kind that most beats of each record are of; -1 without beats.
    waves, medians : dict of str to Wave
        ``qrs``, ``t`` and ``p``, of each beat [leads, beats] and of the median beat of each kind [leads,
        kinds].
    height, noise : float64 array [leads, kinds]
        Answer of the P filter in the median beat of each kind, in mV, 0 or more, and the rms of what single
        beats answer beside it.
    answer : float64 array [leads, beats]
        What each beat answers for itself near the P wave of its record's main median beat and in its
        direction, in mV.
    """

    beats: Beats
    main: Ints
    waves: dict[str, Wave]
    medians: dict[str, Wave]
    height: Array
    noise: Array
    answer: Array


def search(leads: Array, peaks: Sequence[Ints], weights: Weights) -> Search:
    """Look for all waves in leads [leads, records, samples] at `FS`, beats at ``peaks`` (samples per record).

    At least one record must have a beat.
    """
    leads = levelled(leads)
    trace, steep = filtered(leads, "trace", "qrs_slope")
    beats = gather_beats(trace, steep, peaks)
    kind, size = beats.kind, beats.size
    place = Place(beats.rr_before, beats.rr_after, beats.first, beats.last)
    usual = _usual_place(place, beats)
    own = [cut(a, beats.record, beats.peak) for a in (trace, steep)]
    middle = [median_per_kind(a, kind, size) for a in own]
    mixed = _mixed(own, middle, kind)
    qrs = search_qrs(mixed[0], mixed[1], place, weights)
    qrs_median = search_qrs(middle[0], middle[1], usual, weights)
    blanked = filtered(without_qrs(trace, beats, qrs.onset, qrs.offset), "wave", "wave_slope", "p", "t")
    single = Rows(*(cut(a, beats.record, beats.peak) for a in blanked))
    median = Rows(*(median_per_kind(a, kind, size) for a in single.all()))
    rows = Rows(*_mixed(single.all(), median.all(), kind))

    window = t_window(usual, qrs_median)
    centre, sign = hoped_peak(median.t, t_hope(usual), window.mask)
    t_median = search_t(median, usual, qrs_median, window, centre, sign, weights)
    t = search_t(rows, place, qrs, t_window(place, qrs), centre[:, kind], sign[:, kind], weights)

    window = p_window(place, qrs, _t_end_before(t, beats))
    middle_window = _usual_window(window, beats)
    centre, sign = hoped_peak(median.p, p_hope(qrs_median), middle_window.mask)
    p_median = search_p(median, usual, qrs_median, middle_window, centre, sign, weights)
    p = search_p(rows, place, qrs, window, centre[:, kind], sign[:, kind], weights)

    height = np.abs(np.take_along_axis(median.p, centre[..., None], -1)[..., 0])
    main = _main_kinds(beats, len(peaks))
    ours = main[beats.record]
    near = np.abs(COLUMNS - centre[:, ours, None]) <= round(P_NEAR * FS)
    answer = np.where(near & window.mask, sign[:, ours, None] * single.p, -np.inf).max(-1)
    return Search(
        beats, main, {"qrs": qrs, "t": t, "p": p}, {"qrs": qrs_median, "t": t_median, "p": p_median},
        height, _p_noise(single.p, median.p, beats, centre), answer,
    )  # fmt: skip


def _mixed(single: Sequence[Array], median: Sequence[Array], kind: Ints) -> list[Array]:
    """`OWN` of each beat and the rest of the median of its kind."""
    return [OWN * a + (1 - OWN) * m[:, kind] for a, m in zip(single, median, strict=True)]


def _usual_place(place: Place, beats: Beats) -> Place:
    """The median of the places of each kind's beats."""
    rows = np.stack([place.rr_before, place.rr_after, place.first, place.last])[..., None]
    before, after, first, last = median_per_kind(rows, beats.kind, beats.size)[..., 0]
    return Place(before, after, first.astype(np.int64), last.astype(np.int64))


def _t_end_before(t: Wave, beats: Beats) -> Array:
    """Column [leads, beats] where the T wave of the beat before ends; far left where there is none."""
    before = beats.before
    moved = t.offset[:, before] + (beats.peak[before] - beats.peak)
    return np.where((before >= 0) & t.inside[:, before], moved, -1e6)


def _usual_window(window: Window, beats: Beats) -> Window:
    """The median window [leads, kinds] of each kind's beats; inside where half of them are."""
    low, high, inside = (
        median_per_kind(v[..., None].astype(float), beats.kind, beats.size)[..., 0]
        for v in (window.low, window.high, window.inside)
    )
    return Window(low.astype(np.int64), high.astype(np.int64), inside >= 0.5)


def _main_kinds(beats: Beats, records: int) -> Ints:
    main = np.full(records, -1, np.int64)
    record = np.empty(len(beats.size), np.int64)
    record[beats.kind] = beats.record
    for k in np.argsort(beats.size, kind="stable"):
        main[record[k]] = k
    return main


def _p_noise(single: Array, median: Array, beats: Beats, centre: Ints) -> Array:
    """Median over beats of the rms [leads, kinds] of their answers less the median's, near its peak."""
    near = np.abs(COLUMNS - centre[..., None]) <= 12
    rest = np.where(near[:, beats.kind], (single - median[:, beats.kind]) ** 2, 0.0).sum(-1)
    rest = np.sqrt(rest / near.sum(-1)[:, beats.kind])
    return median_per_kind(rest[..., None], beats.kind, beats.size)[..., 0]
