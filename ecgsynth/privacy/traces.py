"""Recordings as the copy search sees them: one lead at a time, slow, without wander or mains hum."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.filters import fast_length
from ecgsynth.records import Record
from ecgsynth.rpeaks import bridge_gaps

#: Sampling rate of the copy search in Hz. What tells one person's strip from another's lies under 25 Hz.
SLOW_HZ: Final = 64.0
#: Band kept, in Hz: raised-cosine edges from the first to the second and from the third to the fourth.
BAND: Final = (0.5, 1.0, 22.0, 28.0)
#: Length of the strips that are searched for, in samples at `SLOW_HZ` (10.24 s).
STRIP: Final = 655
#: Shortest strip that is worth searching for, in seconds: five beats at 75/min.
SHORTEST_S: Final = 4.0
#: Seconds that a signal is continued at either end before it is filtered.
_SPARE_S = 2.0
#: Standard deviation in mV below which a strip holds nothing to compare.
FLAT_MV: Final = 0.003


@dataclass(frozen=True)
class Trace:
    """One lead of one recording at `SLOW_HZ`.

    Attributes
    ----------
    record, subject, source, lead : str
    signal : float32 array [samples]
        In mV, band-limited to `BAND`.
    spans : tuple of (float, float, str)
        From and to in seconds, and the rhythm there.
    """

    record: str
    subject: str
    source: str
    lead: str
    signal: NDArray[np.float32]
    spans: tuple[tuple[float, float, str], ...] = ()


@dataclass(frozen=True)
class Strip:
    """A stretch of a trace that is looked for among the traces of other people.

    Attributes
    ----------
    record, subject, lead : str
    rhythm : str
        Canonical name, or ``"unknown"``.
    at : float
        Where it begins in its record, in seconds.
    signal : float32 array [samples]
        At `SLOW_HZ`, at most `STRIP` samples.
    """

    record: str
    subject: str
    lead: str
    rhythm: str
    at: float
    signal: NDArray[np.float32]


def slow_signal(signal: NDArray[np.floating[Any]], fs: float) -> NDArray[np.float32]:
    """Leads [leads, samples] in mV at fs Hz, as [leads, samples at `SLOW_HZ`] band-limited to `BAND`.

    One pass through the Fourier domain filters and resamples from any rate. The signal is continued by its
    point reflection at both ends, so that a strip cut from a recording looks there as it does inside it, and
    a straight line between the new ends goes first; NaN gaps are bridged.
    """
    level = bridge_gaps(np.asarray(signal, dtype=np.float64))
    samples = level.shape[1]
    spare = min(samples - 1, round(_SPARE_S * fs))
    before = 2 * level[:, :1] - level[:, spare:0:-1]
    after = 2 * level[:, -1:] - level[:, -2 : -spare - 2 : -1]
    level = np.concatenate([before, level, after], axis=1)
    n = level.shape[1]
    edge = max(1, min(n // 10, round(0.3 * fs)))
    first, last = level[:, :edge].mean(1), level[:, -edge:].mean(1)
    slope = ((last - first) / max(1, n - edge))[:, None]
    level = level - (first[:, None] + slope * (np.arange(n) - (edge - 1) / 2))
    # A transform of j * p samples at fs has j * q at 64 Hz where fs / 64 = p / q: no rounding, no drift.
    ratio = Fraction(fs / SLOW_HZ).limit_denominator(64)
    periods = fast_length(-(-n // ratio.numerator))
    length, slow = periods * ratio.numerator, periods * ratio.denominator
    spectrum = np.fft.rfft(level, length, axis=1)
    spectrum *= _band_gain(length, fs)
    kept = slow // 2 + 1
    padded = np.zeros((len(level), kept), dtype=np.complex128)
    shared = min(kept, spectrum.shape[1])
    padded[:, :shared] = spectrum[:, :shared]
    result = np.fft.irfft(padded, slow, axis=1) * (slow / length)
    first_kept = round(spare * SLOW_HZ / fs)
    return np.asarray(result[:, first_kept : first_kept + round(samples * SLOW_HZ / fs)], dtype=np.float32)


@lru_cache(maxsize=8)
def _band_gain(length: int, fs: float) -> NDArray[np.float64]:
    """What `BAND` leaves of each frequency of a transform of so many samples."""
    frequency = np.fft.rfftfreq(length, 1 / fs)
    low = np.clip((frequency - BAND[0]) / (BAND[1] - BAND[0]), 0, 1)
    high = np.clip((frequency - BAND[2]) / (BAND[3] - BAND[2]), 0, 1)
    return np.asarray((0.5 - 0.5 * np.cos(np.pi * low)) * (0.5 + 0.5 * np.cos(np.pi * high)))


def traces_of(record: Record) -> list[Trace]:
    """The leads of a record that hold a signal, as traces."""
    if record.n_samples < SHORTEST_S * record.fs:
        return []
    spans = tuple((e.start / record.fs, e.stop / record.fs, e.rhythm) for e in record.episodes if e.rhythm)
    slow = slow_signal(record.signal, record.fs)
    return [
        Trace(record.name, record.subject, record.source, lead, row, spans)
        for lead, row, raw in zip(record.leads, slow, record.signal, strict=True)
        if np.isfinite(raw).any() and float(row.std()) > FLAT_MV
    ]


def strips_of(trace: Trace, most: int = 3) -> list[Strip]:
    """At most ``most`` strips of each rhythm of a trace, evenly spread, that do not overlap.

    A rhythm that lasts shorter than a strip gives one strip if it lasts `SHORTEST_S`. A trace without rhythms
    gives strips of the rhythm ``"unknown"``.
    """
    spans = trace.spans or ((0.0, len(trace.signal) / SLOW_HZ, "unknown"),)
    places: dict[str, list[tuple[int, int]]] = {}
    for start_s, stop_s, rhythm in spans:
        start, stop = round(start_s * SLOW_HZ), min(round(stop_s * SLOW_HZ), len(trace.signal))
        count = (stop - start) // STRIP
        if count == 0 and stop - start >= SHORTEST_S * SLOW_HZ:
            places.setdefault(rhythm, []).append((start, stop))
        spare = (stop - start - count * STRIP) // 2
        for k in range(count):
            places.setdefault(rhythm, []).append((start + spare + k * STRIP, start + spare + (k + 1) * STRIP))
    chosen = []
    for rhythm, found in places.items():
        step = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
        chosen += [(*found[i], rhythm) for i in dict.fromkeys(step.tolist())]
    strips = (
        Strip(trace.record, trace.subject, trace.lead, rhythm, start / SLOW_HZ, trace.signal[start:stop])
        for start, stop, rhythm in chosen
    )
    return [strip for strip in strips if float(strip.signal.std()) > FLAT_MV]
