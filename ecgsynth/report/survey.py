"""What is in a folder, record by record, before anything is compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecgsynth.errors import OptionError, RecordError
from ecgsynth.records import Record
from ecgsynth.report.folders import Folder
from ecgsynth.report.leads import standard_leads
from ecgsynth.rhythms import RHYTHMS

Count = Callable[[int], None]
#: Peak-to-peak in mV beyond which a whole record is more likely in another unit than of a heart: electrode
#: artefacts of real recordings reach 5 to 11 mV, and the smallest QRS complexes that are read are 0.1 mV.
LIKELY_MV = (0.02, 50.0)


@dataclass(frozen=True)
class Entry:
    """What the survey keeps of one record.

    Attributes
    ----------
    subject : str
    fs, bandwidth : float
        Sampling rate, and the highest frequency that the signal can hold, in Hz.
    leads : tuple of str
        In standard spelling.
    longest : dict of str to float
        Seconds of the longest episode of each rhythm.
    seconds : float
    span : float
        Largest peak-to-peak over the leads in mV; NaN where no sample is finite.
    """

    subject: str
    fs: float
    bandwidth: float
    leads: tuple[str, ...]
    longest: dict[str, float]
    seconds: float
    span: float


def survey(folder: Folder, count: Count) -> list[Entry]:
    """Read every record once.

    Raises
    ------
    RecordError
        If no record of the folder can be read.
    """
    entries = []
    for record in folder.records():
        entries.append(_entry(record))
        count(len(entries))
    if not entries:
        first = next(iter(folder.unreadable.values()))
        raise RecordError(
            f"{folder.path}: none of its {len(folder.unreadable)} records can be read; the first: {first.why}"
        )
    return entries


def _entry(record: Record) -> Entry:
    longest: dict[str, float] = {}
    for episode in record.episodes:
        if episode.rhythm in RHYTHMS:
            seconds = (episode.stop - episode.start) / record.fs
            longest[episode.rhythm] = max(seconds, longest.get(episode.rhythm, 0.0))
    finite = record.signal[:, np.isfinite(record.signal).all(axis=0)]
    span = float(np.ptp(finite, axis=1).max()) if finite.size else float("nan")
    return Entry(
        record.subject,
        record.fs,
        bandwidth_of(record),
        standard_leads(record.leads),
        longest,
        record.seconds,
        span,
    )


def bandwidth_of(record: Record) -> float:
    """Highest frequency in Hz: what the reader says, at most half the sampling rate."""
    try:
        stated = float(record.extra.get("bandwidth", ""))
    except ValueError:
        stated = record.fs / 2
    return min(stated, record.fs / 2)


def claimed(folder: Folder, entries: list[Entry], rhythms: Sequence[str]) -> list[Entry]:
    """The entries, all of the one asked rhythm where the folder names none; sets ``folder.claim`` then.

    Raises
    ------
    OptionError
        If no record names a rhythm and not exactly one was asked for.
    """
    if any(entry.longest for entry in entries):
        return entries
    if len(rhythms) != 1:
        raise OptionError(
            f"{folder.path}: none of its {len(entries)} records says which rhythm it shows (no rhythm mark "
            "in an .atr file, no Dx comment); say it with one --rhythm, such as --rhythm nsr."
        )
    folder.claim = rhythms[0]
    return [replace(entry, longest={rhythms[0]: entry.seconds}) for entry in entries]


def unit_note(entries: Sequence[Entry]) -> str | None:
    """A sentence where records have a size that no heart has: their header may state the wrong unit."""
    low, high = LIKELY_MV
    big = sum(entry.span > high for entry in entries)
    small = sum(entry.span < low for entry in entries)
    if not big and not small:
        return None
    parts = []
    if big:
        parts.append(f"{big} of {len(entries)} records swing over {high:g} mV")
    if small:
        parts.append(f"{small} of {len(entries)} records swing under {low:g} mV")
    return (
        f"{' and '.join(parts)}: their headers probably state the wrong unit or gain. They were judged as "
        "the headers say."
    )


def describe(entries: Sequence[Entry]) -> dict[str, object]:
    """Counts for the report: records, people, sampling rates, leads, rhythms, seconds."""
    rhythms: Counter[str] = Counter(name for entry in entries for name in entry.longest)
    people = {name: len({e.subject for e in entries if name in e.longest}) for name in rhythms}
    seconds = np.array([entry.seconds for entry in entries])
    return {
        "records": len(entries),
        "people": len({entry.subject for entry in entries}),
        "fs_hz": {f"{fs:g}": n for fs, n in sorted(Counter(entry.fs for entry in entries).items())},
        "leads": dict(sorted(Counter(" ".join(entry.leads) for entry in entries).items())),
        "seconds": {
            "shortest": round(float(seconds.min()), 3),
            "median": round(float(np.median(seconds)), 3),
            "longest": round(float(seconds.max()), 3),
        },
        "rhythms": {name: {"records": rhythms[name], "people": people[name]} for name in sorted(rhythms)},
        "without_rhythm": sum(not entry.longest for entry in entries),
    }
