"""Leaks to plant: strips of training people, changed as a copy might be. Used by leaks.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.samples import chosen_leads
from ecgsynth.privacy.traces import SLOW_HZ, strips_of, traces_of
from ecgsynth.records import Episode, Record
from ecgsynth.windows import resample

FS = 250.0
#: Length of a leak, in s, and the shortest strip that is leaked whole (many databases hold 10 s).
SECONDS, SHORTEST = 10.24, 9.5
#: Recordings at least this long are cut: the last third is set aside and never searched.
LONG_S = 60.0

Signal = NDArray[np.float32]
Change = Callable[[Signal, "Source", list["Source"], np.random.Generator], Signal]


@dataclass(frozen=True)
class Source:
    """A place in a training recording, on one lead at 250 Hz, with room on both sides.

    Attributes
    ----------
    subject, rhythm, lead, record : str
    signal : float32 array [samples]
        The recording, or 40 s of it.
    start : int
        Where the strip begins in it.
    at : float
        Where it begins in the recording, in s.
    whole : Record
        All leads of the recording.
    """

    subject: str
    rhythm: str
    lead: str
    signal: Signal
    start: int
    record: str
    at: float
    whole: Record

    @property
    def strip(self) -> Signal:
        """`SECONDS` from ``start`` on, or what there is."""
        return self.signal[self.start : self.start + round(SECONDS * FS)]


def set_aside(records: list[Record]) -> tuple[list[Record], list[Record]]:
    """Recordings to search, and recordings of the same people that are not searched.

    Of people with several recordings the last is set aside; of long recordings the last third.
    """
    several: dict[str, list[Record]] = {}
    for record in records:
        several.setdefault(record.subject, []).append(record)
    kept, spare = [], []
    for own in several.values():
        if len(own) > 1:
            spare.append(own[-1])
            own = own[:-1]
        for record in own:
            if record.seconds >= LONG_S:
                cut = round(record.n_samples * 2 / 3)
                kept.append(record.slice(0, cut))
                spare.append(replace(record.slice(cut, record.n_samples), name=f"{record.name}_late"))
            else:
                kept.append(record)
    return kept, spare


def sources_of(records: list[Record]) -> list[Source]:
    """Strips of every rhythm that can be leaked, at most two per lead and rhythm."""
    found = []
    for record in records:
        for trace in chosen_leads(traces_of(record)):
            for strip in strips_of(trace, 2):
                if len(strip.signal) < SHORTEST * SLOW_HZ:
                    continue
                first = max(0, round((strip.at - 15) * record.fs))
                part = record.pick((trace.lead,)).slice(first, round((strip.at + 25) * record.fs))
                signal = resample(part, FS).signal[0]
                start = min(round((strip.at - first / record.fs) * FS), len(signal) - round(SECONDS * FS))
                start = max(0, start)
                if np.isfinite(signal).all():
                    found.append(
                        Source(
                            record.subject,
                            strip.rhythm,
                            trace.lead,
                            signal,
                            start,
                            record.name,
                            strip.at,
                            record,
                        )
                    )
    return found


def as_record(signal: Signal, source: Source, name: str) -> Record:
    """A synthetic record with this signal [samples] and the rhythm and lead of its source."""
    episode = Episode(0, len(signal), source.rhythm)
    return Record(name, signal[None].astype(np.float32), FS, (source.lead,), name, "leak", (episode,))


def with_all_leads(source: Source, name: str) -> Record:
    """A synthetic record of the strip of a source, in all leads of its recording."""
    start = round(source.at * source.whole.fs)
    part = source.whole.slice(start, min(source.whole.n_samples, start + round(SECONDS * source.whole.fs)))
    leads = [lead for lead, row in zip(part.leads, part.signal, strict=True) if np.isfinite(row).all()]
    part = resample(part.pick(tuple(leads)), FS)
    record = as_record(part.signal[0], source, name)
    return replace(record, signal=part.signal.astype(np.float32), leads=part.leads)


def _shift(signal: Signal, source: Source, others: list[Source], rng: np.random.Generator) -> Signal:
    room = len(source.signal) - len(signal)
    if room < FS:  # the recording is no longer than the strip: what leaves at one end comes in at the other
        return np.roll(signal, int(rng.integers(FS, len(signal) - FS)))
    start = int(rng.integers(0, room + 1))
    return source.signal[start : start + len(signal)]


def _crop_shift(signal: Signal, source: Source, others: list[Source], rng: np.random.Generator) -> Signal:
    # Of a recording no longer than the strip there is nothing outside it to shift to: it is cropped.
    whole = len(source.signal) - len(signal) < FS
    moved = signal if whole else _shift(signal, source, others, rng)
    length = int(rng.uniform(0.55, 0.8) * len(moved))
    start = int(rng.integers(0, len(moved) - length))
    return moved[start : start + length]


def _noise(size: float) -> Change:
    def change(signal: Signal, source: Source, others: list[Source], rng: np.random.Generator) -> Signal:
        return signal + rng.normal(0, size, len(signal)).astype(np.float32)

    return change


def _gain(signal: Signal, source: Source, others: list[Source], rng: np.random.Generator) -> Signal:
    return signal * np.float32(rng.choice([0.7, 1.3]))


def _warp(signal: Signal, source: Source, others: list[Source], rng: np.random.Generator) -> Signal:
    factor = 1 + rng.choice([-1, 1]) * rng.uniform(0.03, 0.06)
    at = np.arange(0, len(signal) - 1, factor)
    return np.interp(at, np.arange(len(signal)), signal).astype(np.float32)


def _bend(signal: Signal, source: Source, others: list[Source], rng: np.random.Generator) -> Signal:
    return bent(signal, FS, rng)


def bent(signal: Signal, fs: float, rng: np.random.Generator) -> Signal:
    """A strip at `fs` Hz whose rate swings by 3 to 6 % over 5 to 15 s."""
    period, size = rng.uniform(5, 15) * fs, rng.uniform(0.03, 0.06)
    at = np.arange(len(signal))
    swing = size * period / (2 * np.pi) * np.sin(2 * np.pi * at / period + rng.uniform(0, 2 * np.pi))
    return np.interp(at + swing, at, signal).astype(np.float32)


def _mix(signal: Signal, source: Source, others: list[Source], rng: np.random.Generator) -> Signal:
    other = others[int(rng.integers(len(others)))]
    length = min(len(signal), len(other.strip))
    return (0.5 * signal[:length] + 0.5 * other.strip[:length]).astype(np.float32)


def _same(signal: Signal, source: Source, others: list[Source], rng: np.random.Generator) -> Signal:
    return signal


#: How a strip is changed. `SAME_PERSON` leave it as it is, but its recording is not among those searched.
SAME_PERSON = ("same person", "same person, one lead")
CHANGES: dict[str, Change] = {
    "exact": _same,
    "time shift": _shift,
    "crop and shift": _crop_shift,
    "noise 0.05 mV": _noise(0.05),
    "noise 0.15 mV": _noise(0.15),
    "gain +-30 %": _gain,
    "inverted": lambda signal, source, others, rng: -signal,
    "warp 3-6 %": _warp,
    "bent 3-6 %": _bend,
    "mix of two people": _mix,
    "same person": _same,
    "same person, one lead": _same,
}
