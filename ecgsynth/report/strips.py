"""Strips of both folders on common ground, and the gate's word on every record."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.calibration import Calibration
from ecgsynth.fidelity.gate import Verdict, check_records
from ecgsynth.records import Record
from ecgsynth.report.ground import Ground
from ecgsynth.report.leads import place_of, standard_leads
from ecgsynth.windows import Window, fault, find_windows, resample

Side = Literal["real", "synthetic"]
#: Rhythm of a stretch, whether it passed, and why not.
Judged = tuple[str, bool, tuple[str, ...]]

#: A record up to so many strips long is one stretch to the gate: its verdict is that of the strip.
ONE_STRIP: Final = 1.5
#: Step of the samples that are compared in mV: finer than any converter, so that none is told by its own.
STEP_MV: Final = 0.001


@dataclass(frozen=True)
class Strip:
    """A stretch of one record, ready to be compared.

    Attributes
    ----------
    rhythm, record, subject, lead : str
        ``lead`` is the one that was picked where leads are pooled, else ``""``.
    start : float
        Second of the record at which it begins.
    place : int
        Drawn from the seed and the names, evenly over 64 bits: strips with the lowest are kept.
    passed : bool
        What the gate says.
    signal : float32 array [leads, samples] or None
        In mV, median 0; None where a sample is not finite.
    """

    rhythm: str
    record: str
    subject: str
    lead: str
    start: float
    place: int
    passed: bool
    signal: NDArray[np.float32] | None


@dataclass(frozen=True)
class Examined:
    """One record, examined.

    Attributes
    ----------
    record, subject : str
    rhythms : tuple of str
        That it claims.
    verdict : Verdict or None
        Of the whole record; None on the real side, which is judged in strips.
    strips : tuple of Strip
    faulty : tuple of str
        Rhythm of each real strip left out: gaps, a lead switched off, an amplifier at its limit.
    gate : tuple of Judged
        Every stretch that counts towards the pass rate.
    """

    record: str
    subject: str
    rhythms: tuple[str, ...]
    verdict: Verdict | None
    strips: tuple[Strip, ...]
    faulty: tuple[str, ...]
    gate: tuple[Judged, ...]


@dataclass(frozen=True)
class Examiner:
    """Cuts a record's strips and asks the gate; the same for any process that does it.

    Attributes
    ----------
    side : {"real", "synthetic"}
    grounds : mapping of str to Ground
        By rhythm; stretches of other rhythms are not cut.
    calibration : Calibration
    per_record : int
        Most strips of one record and rhythm.
    seed : int
    """

    side: Side
    grounds: Mapping[str, Ground]
    calibration: Calibration
    per_record: int
    seed: int

    def __call__(self, records: Sequence[Record]) -> list[Examined]:
        """Examine records; what they ask the gate at the same turn it judges together, in half the time."""
        talks = [self._examine(record) for record in records]
        examined: dict[int, Examined] = {}
        answers: dict[int, Verdict | None] = dict.fromkeys(range(len(talks)))
        while answers:
            asked: dict[int, Record] = {}
            for i, answer in answers.items():
                try:
                    asked[i] = talks[i].send(answer)
                except StopIteration as end:
                    examined[i] = end.value
            answers = dict(zip(asked, check_records(list(asked.values()), self.calibration), strict=True))
        return [examined[i] for i in range(len(talks))]

    def _examine(self, record: Record) -> Generator[Record, Verdict | None, Examined]:
        """Examine one record: gives what the gate has to judge, gets its verdict."""
        rhythms = tuple(dict.fromkeys(e.rhythm for e in record.episodes if e.rhythm is not None))
        whole = (yield record) if self.side == "synthetic" else None
        strips: list[Strip] = []
        gate: list[Judged] = []
        faulty: list[str] = []
        for rhythm in rhythms:
            ground = self.grounds.get(rhythm)
            rows = self._rows(ground, record) if ground is not None else []
            windows = self._windows(record, ground) if ground is not None and rows else []
            if ground is None or not windows:
                if whole is not None:
                    gate.append((rhythm, whole.passed, whole.reasons))
                continue
            # A record of about one strip is one stretch: its verdict is that of the strip.
            one = whole if record.seconds < ONE_STRIP * ground.seconds else None
            if one is not None:
                gate.append((rhythm, one.passed, one.reasons))
            for window in windows:
                part, compared = self._parts(record, window, rows)
                if self.side == "real" and any(fault(lead, part.fs) for lead in part.signal):
                    faulty.append(rhythm)
                    continue
                verdict = one or (yield part)
                if verdict is None:  # never sent so: the gate has a word on all that it is given
                    raise RuntimeError(f"no verdict on {record.name}")
                if one is None:
                    gate.append((rhythm, verdict.passed, verdict.reasons))
                strips += self._strips(record, compared, window, ground, verdict.passed)
        name, who = record.name, record.subject
        return Examined(name, who, rhythms, whole, tuple(strips), tuple(faulty), tuple(gate))

    def _parts(self, record: Record, window: Window, rows: list[int]) -> tuple[Record, Record]:
        """The stretch that the gate sees, and the one that is compared.

        Real ones are seen in the compared leads only, so that both sides are judged by the same ones;
        synthetic ones in all their leads, as what is wrong in any of them is wrong.
        """
        part = record.slice(window.start, window.stop)
        names = standard_leads(record.leads)
        compared = replace(part, signal=part.signal[rows], leads=tuple(names[i] for i in rows))
        return (compared if self.side == "real" else part), compared

    def _rows(self, ground: Ground, record: Record) -> list[int]:
        """Rows of the signal to compare: all leads of the ground or none, any of them where pooled."""
        leads = standard_leads(record.leads)
        rows = [place_of(lead, leads, ground.same) for lead in ground.leads]
        if ground.pooled:
            return [row for row in rows if row is not None]
        return [row for row in rows if row is not None] if None not in rows else []

    def _windows(self, record: Record, ground: Ground) -> list[Window]:
        """At most `per_record` stretches that do not overlap, those with the lowest place."""
        found = list(find_windows(record, ground.seconds, ground.seconds, rhythm=ground.rhythm))
        found.sort(key=lambda w: place_in_line(self.seed, record.subject, record.name, w.start))
        return sorted(found[: self.per_record], key=lambda w: w.start)

    def _strips(
        self, record: Record, part: Record, window: Window, ground: Ground, passed: bool
    ) -> Iterator[Strip]:
        signal = on_ground(part, ground)
        start = window.start / record.fs
        if not ground.pooled:
            place = place_in_line(self.seed, record.subject, record.name, window.start)
            yield Strip(ground.rhythm, record.name, record.subject, "", start, place, passed, signal)
            return
        for row, lead in enumerate(part.leads):
            name = next(n for n in ground.leads if place_of(n, (lead,), ground.same) == 0)
            place = place_in_line(self.seed, record.subject, record.name, window.start, lead)
            own = None if signal is None else signal[row : row + 1]
            yield Strip(ground.rhythm, record.name, record.subject, name, start, place, passed, own)


def on_ground(part: Record, ground: Ground) -> NDArray[np.float32] | None:
    """Signal [leads, samples] at the ground's rate and band, in steps of 1 uV, median 0; None with gaps."""
    if not np.isfinite(part.signal).all():
        return None
    signal = resample(part, ground.fs).signal[:, : ground.n_samples].astype(np.float64)
    missing = ground.n_samples - signal.shape[1]
    if missing > 0:  # a rate that is no multiple of the other leaves a sample too few
        signal = np.pad(signal, ((0, 0), (0, missing)), mode="edge")
    spectrum = np.fft.rfft(signal, axis=1)
    spectrum[:, np.fft.rfftfreq(ground.n_samples, 1 / ground.fs) > ground.bandwidth] = 0.0
    signal = np.fft.irfft(spectrum, ground.n_samples, axis=1)
    signal -= np.median(signal, axis=1, keepdims=True)
    return np.asarray(np.round(signal / STEP_MV) * STEP_MV, dtype=np.float32)


def place_in_line(seed: int, *names: object) -> int:
    """A number of 64 bits that depends on the seed and the names only, not on order or process."""
    text = "\x00".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
