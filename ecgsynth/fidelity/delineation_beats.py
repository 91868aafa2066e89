"""Rows for the delineator: filtered leads, beats cut from them, kinds of beats and their medians.

Everything works at `FS` on arrays of many records at once: leads ``[leads, records, samples]``, beats
``[leads, beats, WIDTH]``, where the beats of all records lie one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Rate that all work is done at, in Hz: 4 ms steps are under the 6 to 12 ms by which two readers differ on
#: QRS onset and P edges (CSE Working Party, Eur Heart J 6:815-825, 1985).
FS = 250.0
#: Samples kept before and after each R peak: the longest PR interval (0.4 s and the P wave's onset before it)
#: and the longest QT interval.
BEFORE, AFTER = 130, 210
WIDTH = BEFORE + AFTER
#: Columns of a cut beat; the R peak is at column BEFORE.
COLUMNS = np.arange(WIDTH)
#: Beats that correlate at least this well around the QRS, over all leads, are of one kind.
ALIKE = 0.85
#: A kind needs this many beats before its median says more than its beats.
FEW = 3
#: Largest move of an R peak, in samples, to where the beat fits the median of its kind best.
SHIFT = 6
#: Up to so many rows a median is taken by comparing whole rows with each other.
_SHORT = 8
#: Standard deviations in seconds of the Gaussians that signals are smoothed with: for the slope of the QRS,
#: for the shape and slope of P and T, and the widths that the P and the T filter are matched to.
SMOOTH_QRS, SMOOTH_WAVE, WIDTH_P, WIDTH_T = 0.006, 0.010, 0.022, 0.042


@lru_cache(maxsize=16)
def _gains(n: int) -> dict[str, NDArray[np.complex128]]:
    """Transfer functions for leads of n samples.

    ``trace`` passes 0.5 to 35 Hz; ``*_slope`` are first derivatives of Gaussian-smoothed signals, which is
    what Martinez 2004's quadratic-spline wavelet approximates; ``p`` and ``t`` negated second derivatives
    (Mexican hats), scaled so that a Gaussian wave of the matched width answers with its own height.
    """
    frequency = np.fft.rfftfreq(n, 1 / FS)
    omega = 2 * np.pi * frequency
    high_pass = 0.5 - 0.5 * np.cos(np.pi * np.clip((frequency / 0.5 - 0.6) / 0.8, 0, 1))
    low_pass = 0.5 + 0.5 * np.cos(np.pi * np.clip((frequency - 35) / 15, 0, 1))

    def smooth(sd: float) -> Array:
        return np.asarray(high_pass * np.exp(-((omega * sd) ** 2) / 2))

    def hat(sd: float) -> Array:
        return np.asarray(2**1.5 * (omega * sd) ** 2 * smooth(sd))

    return {
        "trace": (high_pass * low_pass).astype(np.complex128),
        "qrs_slope": 1j * omega * smooth(SMOOTH_QRS),
        "wave": smooth(SMOOTH_WAVE).astype(np.complex128),
        "wave_slope": 1j * omega * smooth(SMOOTH_WAVE),
        "p": hat(WIDTH_P).astype(np.complex128),
        "t": hat(WIDTH_T).astype(np.complex128),
    }


def filtered(leads: Array, *names: str) -> list[Array]:
    """Leads [..., samples] through each of the named filters of `_gains`, zero phase."""
    n = leads.shape[-1]
    spectrum = np.fft.rfft(leads)
    return [np.fft.irfft(spectrum * _gains(n)[name], n) for name in names]


def levelled(leads: Array) -> Array:
    """Leads less the straight line between their ends, so that circular filters meet no step."""
    n = leads.shape[-1]
    edge = max(1, min(n // 10, round(0.3 * FS)))
    start, stop = leads[..., :edge].mean(-1), leads[..., -edge:].mean(-1)
    slope = ((stop - start) / max(1, n - edge))[..., None]
    return np.asarray(leads - (start[..., None] + slope * (np.arange(n) - (edge - 1) / 2)))


@dataclass(frozen=True)
class Beats:
    """The beats of some records of equal length.

    Attributes
    ----------
    record, peak : int64 array [beats]
        Index of the record and sample of the R peak in it.
    rr_before, rr_after : float64 array [beats]
        Samples to the beat before and after, 0.2 to 2 s; the record's median where there is none.
    first, last : int64 array [beats]
        Columns of the record's first and last sample; outside of 0 to WIDTH where those are further off.
    kind : int64 array [beats]
        Number of the beat's kind; kinds are numbered over all records.
    size : int64 array [kinds]
    """

    record: Ints
    peak: Ints
    rr_before: Array
    rr_after: Array
    first: Ints
    last: Ints
    kind: Ints
    size: Ints

    @property
    def before(self) -> Ints:
        """Index of the beat before in the same record, -1 where there is none."""
        index = np.arange(len(self.record)) - 1
        return np.where((index >= 0) & (self.record[index] == self.record), index, -1)


def gather_beats(trace: Array, slope: Array, peaks: Sequence[Ints]) -> Beats:
    """Beats of the records whose ``trace`` and QRS ``slope`` are given [leads, records, samples]."""
    n = trace.shape[-1]
    record = np.repeat(np.arange(len(peaks)), [len(p) for p in peaks])
    peak = np.concatenate([*peaks, np.empty(0, np.int64)]).astype(np.int64)
    kind, size = _kinds(trace, record, peak, len(peaks))
    peak = _aligned(slope, record, peak, kind, size)
    gap = np.diff(peak).astype(np.float64)
    same = np.diff(record) == 0
    usual = np.array([np.median(np.diff(p)) if len(p) > 1 else 0.8 * FS for p in peaks])[record]
    before, after = usual.copy(), usual.copy()
    before[1:][same], after[:-1][same] = gap[same], gap[same]
    low, high = 0.2 * FS, 2.0 * FS
    return Beats(
        record, peak, np.clip(before, low, high), np.clip(after, low, high),
        BEFORE - peak, BEFORE + n - 1 - peak, kind, size,
    )  # fmt: skip


def cut(leads: Array, record: Ints, peak: Ints) -> Array:
    """Beats [leads, beats, WIDTH] of leads [leads, records, samples]; beyond the ends the end is repeated."""
    index = np.clip(peak[:, None] + (COLUMNS - BEFORE), 0, leads.shape[-1] - 1)
    return leads[:, record[:, None], index]


def _kinds(trace: Array, record: Ints, peak: Ints, records: int) -> tuple[Ints, Ints]:
    """Kind of each beat and beats per kind.

    The beat that most others are like leads the first kind, of the rest the same the second. In long records
    64 beats, evenly spread, stand for all as leaders.
    """
    kind = np.zeros(len(peak), np.int64)
    sizes: list[int] = []
    near = np.clip(peak[:, None] + np.arange(-20, 26), 0, trace.shape[-1] - 1)
    shape = trace[:, record[:, None], near].transpose(1, 0, 2)
    shape = (shape - shape.mean(-1, keepdims=True)).reshape(len(peak), -1)
    shape /= np.linalg.norm(shape, axis=1, keepdims=True) + 1e-9
    bounds = np.searchsorted(record, np.arange(records + 1))
    for start, stop in pairwise(bounds):
        left = np.arange(start, stop)
        while len(left):
            leaders = left[np.linspace(0, len(left) - 1, min(64, len(left))).astype(int)]
            alike = shape[left] @ shape[leaders].T > ALIKE
            leader = int(alike.sum(0).argmax())
            mine = alike[:, leader] | (left == leaders[leader])
            kind[left[mine]] = len(sizes)
            sizes.append(int(mine.sum()))
            left = left[~mine]
    return kind, np.array(sizes, np.int64)


def _aligned(slope: Array, record: Ints, peak: Ints, kind: Ints, size: Ints) -> Ints:
    """R peaks moved by up to `SHIFT` samples to the best fit of slopes with the median of their kind."""
    n = slope.shape[-1]
    wide = np.arange(-15 - SHIFT, 16 + SHIFT)
    rows = slope[:, record[:, None], np.clip(peak[:, None] + wide, 0, n - 1)]
    middle = median_per_kind(rows[:, :, SHIFT:-SHIFT], kind, size)[:, kind]
    fit = np.stack(
        [np.einsum("lbw,lbw->b", rows[:, :, s : s + 31], middle) for s in range(2 * SHIFT + 1)], axis=1
    )
    shift = fit.argmax(1) - SHIFT
    shift -= np.rint(median_per_kind(shift[None, :, None].astype(float), kind, size)[0, kind, 0]).astype(int)
    moved = np.where((size[kind] >= FEW) & (peak + shift >= 0) & (peak + shift < n), peak + shift, peak)
    later = (np.diff(moved) > 0) | (np.diff(record) != 0)
    return moved if bool(later.all()) else peak


def median_per_kind(rows: Array, kind: Ints, size: Ints) -> Array:
    """Median [leads, kinds, columns] of the rows [leads, beats, columns] of each kind."""
    order = np.argsort(kind, kind="stable")
    starts = np.cumsum(size) - size
    out = np.empty((rows.shape[0], len(size), rows.shape[2]))
    for n in np.unique(size):
        kinds = np.flatnonzero(size == n)
        mine = rows[:, order[starts[kinds][:, None] + np.arange(n)]]
        out[:, kinds] = _median([mine[:, :, k] for k in range(n)]) if n <= _SHORT else np.median(mine, axis=2)
    return out


def _median(values: list[Array]) -> Array:
    """Median of a few arrays, element by element, by sorting them against each other: `np.median` is slow."""
    n = len(values)
    for turn in range(n):
        for k in range(turn % 2, n - 1, 2):
            lower, upper = values[k], values[k + 1]
            values[k], values[k + 1] = np.minimum(lower, upper), np.maximum(lower, upper)
    return values[n // 2] if n % 2 else np.asarray(0.5 * (values[n // 2 - 1] + values[n // 2]))


def without_qrs(trace: Array, beats: Beats, onset: Array, offset: Array) -> Array:
    """Leads with a straight line in place of each QRS, columns ``onset`` to ``offset`` [leads, beats]."""
    out = trace.copy()
    n = trace.shape[-1]
    for lead in range(len(trace)):
        starts = np.clip(np.rint(beats.peak - BEFORE + onset[lead]).astype(int), 0, n - 1)
        stops = np.clip(np.rint(beats.peak - BEFORE + offset[lead]).astype(int), 0, n - 1)
        for row, start, stop in zip(beats.record, starts, stops, strict=True):
            if stop > start:
                ends = trace[lead, row, start], trace[lead, row, stop]
                out[lead, row, start : stop + 1] = np.linspace(*ends, stop - start + 1)
    return out
