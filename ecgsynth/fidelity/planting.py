"""What each planted fault does to a record; the table of faults is in :mod:`ecgsynth.fidelity.faults`.

All take the record, a random generator, the strength and another person's record, and return a new record, or
None where they would change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ecgsynth.fidelity.beatshape import remove_baseline
from ecgsynth.fidelity.integrity import LEAD_ALGEBRA
from ecgsynth.records import INDEPENDENT_LEADS, Beats, Episode, Record

Rng = np.random.Generator

#: A P wave that can be taken away is at least this high on the median beat of some lead, in mV ...
P_HEIGHT = 0.05
#: ... and this many times the standard error of that median beat in the PR window.
P_CLEAR = 4.0
#: Where a P wave is looked for before R, in seconds; the end closest to R starts earlier than any QRS.
P_FROM, P_TO = -0.26, -0.06
#: Narrowest and widest part of a beat that a widened QRS is taken from, in seconds before and after R.
QRS_HALF = 0.05


def missing(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """``strength`` samples of one lead are NaN."""
    signal = record.signal.copy()
    row, at = int(rng.integers(len(signal))), int(rng.integers(record.n_samples - 1))
    signal[row, at : at + int(strength)] = np.nan
    return replace(record, signal=signal)


def flat(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """One lead stays at its value for ``strength`` seconds."""
    signal = record.signal.copy()
    n = min(round(strength * record.fs), record.n_samples - 1)
    row, at = int(rng.integers(len(signal))), int(rng.integers(record.n_samples - n))
    signal[row, at : at + n] = signal[row, at]
    return replace(record, signal=signal)


def clipped(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """All leads saturate at ``strength`` of their largest distance from the median."""
    middle = np.median(record.signal, axis=1, keepdims=True)
    limit = strength * np.abs(record.signal - middle).max(axis=1, keepdims=True)
    return replace(record, signal=np.clip(record.signal, middle - limit, middle + limit))


def gain(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """All leads times ``strength``: a wrong ADC gain or unit."""
    return replace(record, signal=record.signal * np.float32(strength))


def sampling_rate(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """The header states ``strength`` times the true sampling rate; the samples are as they were."""
    return replace(record, fs=record.fs * strength)


def inverted(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """All leads upside down."""
    return replace(record, signal=-record.signal)


def reversed_in_time(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """Last sample first, beats and episodes mirrored."""
    n, beats = record.n_samples, record.beats
    if beats is not None:
        beats = Beats((n - 1 - beats.samples)[::-1].copy(), beats.symbols[::-1], beats.source)
    episodes = tuple(Episode(n - e.stop, n - e.start, e.rhythm) for e in reversed(record.episodes))
    return replace(record, signal=record.signal[:, ::-1].copy(), beats=beats, episodes=episodes)


def no_p_wave(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record | None:
    """The median P wave of every lead is subtracted from every conducted beat; None where none is clear."""
    return _move_p(record, lambda k, n: None)


def drifting_pr(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record | None:
    """P waves move towards or away from their QRS, by ``strength`` seconds in all from first to last beat."""
    sign = float(rng.choice((-1.0, 1.0)))
    return _move_p(record, lambda k, n: sign * strength * (k / max(1, n - 1) - 0.5))


def _move_p(record: Record, shift: Callable[[int, int], float | None]) -> Record | None:
    """P waves of beat k of n shifted by ``shift(k, n)`` seconds, or taken away where it is None."""
    if record.beats is None:
        return None
    fs, at = record.fs, record.beats.samples
    room = round(0.4 * fs)
    at = at[(at >= room) & (at < record.n_samples - round(0.1 * fs))]
    rr = float(np.median(np.diff(record.beats.samples))) / fs if len(at) > 5 else 0.0
    if rr < 0.45:
        return None
    window = np.arange(round(max(P_FROM, -0.4 * rr) * fs), round(P_TO * fs))
    taper = np.minimum(
        1.0, np.minimum(np.arange(len(window)) + 1, len(window) - np.arange(len(window))) / (0.03 * fs)
    )
    signal = record.signal.astype(np.float64)
    clear = False
    for row in signal:
        pieces = remove_baseline(row, fs)[at[:, None] + window]
        line = np.linspace(0.0, 1.0, len(window))
        level = pieces - pieces[:, :3].mean(1, keepdims=True)
        level = level - line * level[:, -3:].mean(1, keepdims=True)
        wave = np.median(level, axis=0)
        error = 1.25 * float(np.std(level - wave)) / np.sqrt(len(at))
        clear |= float(np.ptp(wave)) > max(P_HEIGHT, P_CLEAR * error)
        wave = wave * taper
        for k, sample in enumerate(at.tolist()):
            row[sample + window] -= wave
            move = shift(k, len(at))
            if move is not None:
                place = sample + window + round(move * fs)
                inside = (place >= 0) & (place < len(row))
                row[place[inside]] += wave[inside]
    return replace(record, signal=signal.astype(np.float32)) if clear else None


def wide_qrs(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record | None:
    """50 ms on both sides of each R peak stretched ``strength`` times, what lies around it compressed."""
    if record.beats is None:
        return None
    fs, n = record.fs, record.n_samples
    at = record.beats.samples.astype(np.float64)
    rr = np.diff(at)
    before = np.r_[0.25 * fs, np.minimum(0.25 * fs, 0.45 * rr)]
    after = np.r_[np.minimum(0.45 * fs, 0.5 * rr), 0.45 * fs]
    half = QRS_HALF * fs
    new = np.stack([at - before, at - half * strength, at + half * strength, at + after], axis=1).ravel()
    old = np.stack([at - before, at - half, at + half, at + after], axis=1).ravel()
    if np.any(np.diff(new) <= 0):
        return None
    where = np.interp(np.arange(n), np.r_[-1.0, new, n], np.r_[-1.0, old, n])
    signal = np.stack([np.interp(where, np.arange(n), row) for row in record.signal])
    return replace(record, signal=signal.astype(np.float32))


def tiled(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """One stretch again and again, ends joined by a ramp: ``strength`` beats, or seconds without beats."""
    fs, n = record.fs, record.n_samples
    beats = record.beats.samples if record.beats is not None else np.empty(0, np.int64)
    if len(beats) >= strength + 3:
        k = int(rng.integers(1, len(beats) - int(strength) - 1))
        lead_in = round(0.35 * float(beats[k] - beats[k - 1]))
        first, length = int(beats[k]) - lead_in, int(beats[k + int(strength)] - beats[k])
    else:
        length = round(strength * fs)
        first, lead_in = int(rng.integers(0, max(1, n - length))), 0
    piece = record.signal[:, first : first + length].astype(np.float64)
    piece = piece - np.linspace(0.0, 1.0, length) * (piece[:, -1:] - piece[:, :1])
    signal = np.tile(piece, -(-n // length))[:, :n].astype(np.float32)
    marks = None
    if record.beats is not None and len(beats):
        own = np.flatnonzero((beats >= first) & (beats < first + length))
        copies = [beats[own] - first + c * length for c in range(-(-n // length))]
        samples = np.concatenate(copies)
        symbols = [record.beats.symbols[i] for i in own] * len(copies)
        inside = samples < n
        kept = tuple(s for s, ok in zip(symbols, inside, strict=True) if ok)
        marks = Beats(samples[inside].astype(np.int64), kept, record.beats.source)
    return replace(record, signal=signal, beats=marks)


def low_pass(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """Nothing left above ``strength`` Hz: zero-phase, 24 dB per octave."""
    n = record.n_samples
    padded = np.concatenate([record.signal[:, ::-1], record.signal, record.signal[:, ::-1]], axis=1)
    frequency = np.fft.rfftfreq(padded.shape[1], 1 / record.fs)
    response = 1.0 / (1.0 + (frequency / strength) ** 8)
    signal = np.fft.irfft(np.fft.rfft(padded) * response, padded.shape[1])[:, n : 2 * n]
    return replace(record, signal=signal.astype(np.float32))


def einthoven(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record | None:
    """One derived limb lead gets a smooth error of ``strength`` uV (RMS)."""
    rows = [i for i, lead in enumerate(record.leads) if lead in LEAD_ALGEBRA]
    if not rows or not {"I", "II"} <= set(record.leads):
        return None
    signal = record.signal.copy()
    noise = np.convolve(rng.standard_normal(record.n_samples + 8), np.ones(9), "valid")
    smooth = 0.001 * strength * noise / np.sqrt(np.mean(noise**2))
    signal[int(rng.choice(rows))] += smooth.astype(np.float32)
    return replace(record, signal=signal)


def swapped_arms(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """Electrodes of the right and left arm exchanged: I upside down, II and III exchanged."""
    one, two = (record.signal[record.leads.index(lead)] for lead in ("I", "II"))
    return _with_leads(record, {"I": -one, "II": two - one})


def permuted_leads(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record:
    """The eight independent leads under each other's names; the derived ones follow from the new I and II."""
    rows = np.array([record.leads.index(lead) for lead in INDEPENDENT_LEADS])
    order = rng.permutation(8)
    while np.sum(order == np.arange(8)) > 2:
        order = rng.permutation(8)
    return _with_leads(
        record, {lead: record.signal[rows[k]] for lead, k in zip(INDEPENDENT_LEADS, order, strict=True)}
    )


def _with_leads(record: Record, changed: Mapping[str, Any]) -> Record:
    signal = record.signal.copy()
    for lead, row in changed.items():
        signal[record.leads.index(lead)] = row
    one, two = (signal[record.leads.index(lead)] for lead in ("I", "II"))
    for lead, (from_one, from_two) in LEAD_ALGEBRA.items():
        if lead in record.leads:
            signal[record.leads.index(lead)] = from_one * one + from_two * two
    return replace(record, signal=signal)


def spliced(record: Record, rng: Rng, strength: float, partner: Record | None) -> Record | None:
    """The first ``strength`` of this person, the rest of another, joined in mid-diastole without a step."""
    if partner is None or partner.fs != record.fs:
        return None
    shared = tuple(lead for lead in record.leads if lead in partner.leads)
    if not shared:
        return None
    one, two = record.pick(shared), partner.pick(shared)
    n = min(one.n_samples, two.n_samples)
    cut = _diastole(one, round(strength * n))
    start = _diastole(two, round(strength * n))
    stop = min(two.n_samples, start + n - cut)
    second = two.signal[:, start:stop]
    step = second[:, :1] - one.signal[:, cut - 1 : cut]
    signal = np.concatenate([one.signal[:, :cut], second - step], axis=1)
    beats = None
    if one.beats is not None and two.beats is not None:
        first, last = one.beats.samples < cut, (two.beats.samples >= start) & (two.beats.samples < stop)
        samples = np.r_[one.beats.samples[first], two.beats.samples[last] - start + cut]
        symbols = [s for s, ok in zip(one.beats.symbols, first, strict=True) if ok]
        symbols += [s for s, ok in zip(two.beats.symbols, last, strict=True) if ok]
        beats = Beats(samples.astype(np.int64), tuple(symbols), one.beats.source)
    episode = Episode(0, signal.shape[1], next(e.rhythm for e in one.episodes if e.rhythm))
    return replace(one, signal=signal, beats=beats, episodes=(episode,))


def _diastole(record: Record, near: int) -> int:
    """Sample 35 % of an RR interval before the beat that follows ``near``; ``near`` without beats."""
    if record.beats is None:
        return near
    samples = record.beats.samples
    k = int(np.searchsorted(samples, near))
    if not 0 < k < len(samples):
        return near
    return max(1, int(samples[k] - 0.35 * (samples[k] - samples[k - 1])))
