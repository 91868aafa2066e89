"""Delineation: onset, peak and offset of P, QRS and T in every beat and in the median beat, or their absence.

Rule-based and vectorised: the beats of many records are cut into one array and all rules run on it at once.
The QRS is found by its slope and blanked; T and then P are looked for with filters matched to their widths,
first in the median beat of each kind of beat, then near that place in each beat; edges are blends of
classical rules (:mod:`~ecgsynth.fidelity.delineation_waves`). Whether there are P waves at all is decided
for the record (:func:`~ecgsynth.fidelity.delineation_presence.p_present`): a P wave repeats before every
QRS, the waves of fibrillation do not. What it measures against human marks is in
``docs/results/delineation.md``.

Not attempted: P waves that no QRS follows (blocked or dissociated ones), U waves, the several peaks of
biphasic T waves. Flutter waves at a fixed distance before each QRS pass for P waves, and a pacing spike for
the QRS onset. Memory is about 0.3 GB per hour and lead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OptionError
from ecgsynth.fidelity.delineation_beats import BEFORE, FS, Array, Ints
from ecgsynth.fidelity.delineation_points import (
    POINTS,
    heights_of,
    intervals_ms,
    outside_gaps,
    over_leads,
    points_of,
)
from ecgsynth.fidelity.delineation_presence import p_log_odds, p_present, pooled_odds
from ecgsynth.fidelity.delineation_search import Search, Weights, search
from ecgsynth.rpeaks import bridge_gaps, detect_r_peaks

__all__ = ["POINTS", "Delineation", "delineate", "delineate_many", "fitted", "intervals_ms"]

#: Sampling rates that are taken, in Hz: at less than 100 the QRS is too coarse, over 1000 nothing is gained.
LOWEST_FS, HIGHEST_FS = 100.0, 1000.0
#: Most lead-samples that are worked on at once; about 200 MB.
CHUNK = 400_000


@dataclass(frozen=True)
class Delineation:
    """The waves of one recording. Times are in samples at ``fs``, with fractions; NaN says absent.

    Attributes
    ----------
    fs : float
        In Hz.
    r_peaks : int64 array [beats]
        As given or detected.
    points : float64 array [leads, beats, 9]
        The `POINTS` of each beat in each lead.
    combined : float64 array [beats, 9]
        Over all leads: a quantile near the earliest onset and the latest offset, and the median peak.
    median : float64 array [leads, 9]
        The points of the median beat of the kind that most beats are of, from its R peak.
    median_combined : float64 array [9]
        As ``combined``, for the median beat.
    kinds : int64 array [beats]
        Which kind of QRS each beat has, 0 for the kind of most beats.
    p_log_odds : float64 array [leads]
        Natural log-odds that the median beat has a P wave, -inf with under three alike beats; there is one
        where the mean of the better half of the leads is over 0.
    """

    fs: float
    r_peaks: Ints
    points: Array
    combined: Array
    median: Array
    median_combined: Array
    kinds: Ints
    p_log_odds: Array


def delineate(signal: NDArray[np.floating[Any]], fs: float, r_peaks: Ints | None = None) -> Delineation:
    """Delineate one recording.

    Parameters
    ----------
    signal : float array [samples] or [leads, samples]
        In mV, 1 to 12 leads of the same moment. NaN marks gaps; what touches a gap is absent.
    fs : float
        Sampling rate, 100 to 1000 Hz. Work is done at 250 Hz.
    r_peaks : int64 array [beats], optional
        Samples, increasing; else :func:`ecgsynth.rpeaks.detect_r_peaks` looks for them.

    Raises
    ------
    OptionError
        If fs, the shape or the R peaks are not as above.
    """
    return delineate_many([signal], fs, None if r_peaks is None else [r_peaks])[0]


def delineate_many(
    signals: Sequence[NDArray[np.floating[Any]]], fs: float, r_peaks: Sequence[Ints] | None = None
) -> list[Delineation]:
    """Delineate many recordings of one sampling rate; the same as one by one, but faster.

    Parameters
    ----------
    signals : sequence of float arrays [samples] or [leads, samples]
        As in `delineate`. Those of equal shape are worked on together.
    fs : float
        Sampling rate of all, 100 to 1000 Hz.
    r_peaks : sequence of int64 arrays [beats], optional
        One per recording.

    Raises
    ------
    OptionError
        As `delineate`; also if there are not as many sets of R peaks as signals.
    """
    if not LOWEST_FS <= fs <= HIGHEST_FS:
        raise OptionError(
            f"delineate: fs is {fs} Hz; allowed is {LOWEST_FS:g} to {HIGHEST_FS:g}; resample it first."
        )
    if r_peaks is not None and len(r_peaks) != len(signals):
        raise OptionError(
            f"delineate: {len(r_peaks)} sets of R peaks for {len(signals)} signals; give one each."
        )
    leads = [_checked(np.asarray(signal)) for signal in signals]
    given = (
        [None] * len(leads)
        if r_peaks is None
        else [_checked_peaks(p, a) for p, a in zip(r_peaks, leads, strict=True)]
    )
    out: list[Delineation | None] = [None] * len(leads)
    for group in _groups(leads):
        done = _delineate_group([leads[i] for i in group], fs, [given[i] for i in group])
        for i, one in zip(group, done, strict=True):
            out[i] = one
    return [one for one in out if one is not None]


def _checked(signal: NDArray[np.floating[Any]]) -> Array:
    leads = np.atleast_2d(signal).astype(np.float64)
    if leads.ndim != 2 or not 1 <= len(leads) <= 12:
        raise OptionError(
            f"delineate: signal of shape {signal.shape}; allowed is [samples] or [1 to 12 leads, samples]."
        )
    return leads


def _checked_peaks(r_peaks: Ints, leads: Array) -> Ints:
    peaks = np.asarray(r_peaks, dtype=np.int64)
    n = leads.shape[1]
    if peaks.ndim != 1 or (len(peaks) and (peaks[0] < 0 or peaks[-1] >= n or np.any(np.diff(peaks) <= 0))):
        raise OptionError(
            f"delineate: r_peaks must be increasing samples from 0 to {n - 1}; sort and clip them."
        )
    return peaks


def _groups(leads: Sequence[Array]) -> list[list[int]]:
    """Indices of recordings to work on together: of one shape, and not too much at once."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i, signal in enumerate(leads):
        shapes.setdefault(signal.shape, []).append(i)
    groups = []
    for shape, members in shapes.items():
        step = max(1, CHUNK // max(1, shape[0] * shape[1]))
        groups += [members[i : i + step] for i in range(0, len(members), step)]
    return groups


@lru_cache(maxsize=1)
def fitted() -> tuple[Weights, tuple[float, ...]]:
    """What ``scripts/fit_delineation.py`` fitted.

    Returns
    -------
    weights : mapping of str to sequence of float
        Of the edge rules, by ``p_on``, ``p_off`` and so on: a constant in samples, and one weight per rule.
    odds : tuple of float
        Of a P wave, see :func:`~ecgsynth.fidelity.delineation_presence.p_log_odds`.
    """
    content = json.loads((files("ecgsynth.fidelity") / "delineation.json").read_text(encoding="utf-8"))
    return content["weights"], tuple(content["p_odds"])


def _delineate_group(signals: Sequence[Array], fs: float, given: Sequence[Ints | None]) -> list[Delineation]:
    """Recordings of one shape."""
    leads = _at_work_rate(np.stack([bridge_gaps(signal) for signal in signals], axis=1), fs)
    found = [
        _peaks(leads[:, i], signal, fs, own)
        for i, (signal, own) in enumerate(zip(signals, given, strict=True))
    ]
    peaks = [np.minimum(np.rint(own * FS / fs).astype(np.int64), leads.shape[-1] - 1) for own in found]
    if not any(len(own) for own in peaks):
        return [_empty(len(leads), fs) for _ in signals]
    weights, p_odds = fitted()
    result = search(leads, peaks, weights)
    odds = p_log_odds(result, p_odds)
    has_p = np.zeros(len(result.beats.size), dtype=bool)
    has_p[result.main[result.main >= 0]] = pooled_odds(odds)[result.main >= 0] > 0
    points = points_of(result.waves, result.beats.peak - BEFORE, p_present(result, odds)) * (fs / FS)
    medians = points_of(result.medians, np.full(len(has_p), -BEFORE), has_p) * (fs / FS)
    heights, median_heights = heights_of(result.waves), heights_of(result.medians)
    bounds = np.searchsorted(result.beats.record, np.arange(len(signals) + 1))
    out = []
    for i, signal in enumerate(signals):
        mine, main = slice(bounds[i], bounds[i + 1]), slice(result.main[i], result.main[i] + 1)
        if mine.start == mine.stop:
            out.append(_empty(len(leads), fs))
            continue
        beats = outside_gaps(np.clip(points[:, mine], 0, signal.shape[1] - 1), signal)
        median = medians[:, main]
        combined = over_leads(beats, heights[:, mine]), over_leads(median, median_heights[:, main])[0]
        kinds = _ranked(result, mine)
        out.append(
            Delineation(fs, found[i], beats, combined[0], median[:, 0], combined[1], kinds, odds[:, i])
        )
    return out


def _peaks(lead: Array, signal: Array, fs: float, given: Ints | None) -> Ints:
    """R peaks in samples at fs: those given, or those found in ``lead`` [leads, samples] at `FS`."""
    if given is not None:
        return given
    n = signal.shape[1]
    found = np.minimum(np.rint(detect_r_peaks(lead, FS) * fs / FS).astype(np.int64), n - 1)
    return np.asarray(found[np.isfinite(signal[:, found]).any(0)])


def _at_work_rate(leads: Array, fs: float) -> Array:
    if fs == FS:
        return leads
    from scipy.signal import resample_poly

    ratio = Fraction(FS / fs).limit_denominator(2000)
    return np.asarray(resample_poly(leads, ratio.numerator, ratio.denominator, axis=-1, padtype="line"))


def _empty(leads: int, fs: float) -> Delineation:
    none, nothing = np.empty(0, np.int64), np.full((leads, 9), np.nan)
    points = np.empty((leads, 0, 9))
    return Delineation(fs, none, points, points[0], nothing, nothing[0], none, np.full(leads, -np.inf))


def _ranked(found: Search, mine: slice) -> Ints:
    """Kinds of one record's beats, numbered from the most frequent on."""
    kinds = found.beats.kind[mine]
    order = sorted(
        set(kinds.tolist()),
        key=lambda k: (k != found.main[found.beats.record[mine.start]], -found.beats.size[k], k),
    )
    return np.array([order.index(k) for k in kinds.tolist()], dtype=np.int64)
