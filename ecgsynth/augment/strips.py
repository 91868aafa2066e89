"""Real recordings as strips of one length, rate and lead set, one rhythm each; and who shows what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ecgsynth.datasets import open_dataset
from ecgsynth.datasets.folder import read_folder
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.records import TWELVE_LEADS, Record
from ecgsynth.windows import cut, resample

#: Strips of this many seconds at most.
LONGEST_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class StripOptions:
    """Which real recordings, cut how.

    Attributes
    ----------
    real : tuple of Path
        Databases or plain WFDB folders.
    seconds : float
        Length of a strip; strips do not overlap and lie within one rhythm.
    fs : float or None
        Sampling rate in Hz; None keeps the recordings', which must then agree.
    leads : tuple of str or None
        Leads to keep; recordings without them are left out. None keeps all, which must then agree.
    labels : Path or None
        CSV of record, rhythm and subject for a plain folder.
    per_person : int or None
        Most strips per person and rhythm, evenly spread.
    """

    real: tuple[Path, ...]
    seconds: float = 10.0
    fs: float | None = None
    leads: tuple[str, ...] | None = None
    labels: Path | None = None
    per_person: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= LONGEST_S:
            raise OptionError(f"--seconds: strips of {self.seconds:g} s; allowed are 1 to {LONGEST_S:g} s.")
        if self.fs is not None and not 50 <= self.fs <= 1000:
            raise OptionError(f"--fs: {self.fs:g} Hz; allowed are 50 to 1000 Hz.")
        if self.per_person is not None and self.per_person < 1:
            raise OptionError(f"--per-person: {self.per_person} strips; allowed is 1 or more.")
        if not self.real:
            raise OptionError("--real: no folder; name at least one with real recordings.")


@dataclass
class Census:
    """Who shows which rhythm in how many strips.

    Attributes
    ----------
    strips : Counter of (subject, rhythm)
        Strips to use.
    found : Counter of (subject, rhythm)
        Strips there are, before `StripOptions.per_person`.
    dropped : Counter of str
        What was left out, by reason.
    sources : set of str
    fs : float
    leads : tuple of str
    """

    strips: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    sources: set[str] = field(default_factory=set)
    fs: float = 0.0
    leads: tuple[str, ...] = ()

    def people(self) -> dict[str, set[str]]:
        """Subjects and the rhythms they show."""
        found: dict[str, set[str]] = {}
        for subject, rhythm in self.strips:
            found.setdefault(subject, set()).add(rhythm)
        return found

    def of(self, rhythm: str, subjects: Mapping[str, str], part: str) -> tuple[int, int]:
        """People and strips of a rhythm in a part, given everyone's part."""
        counts = [n for (who, what), n in self.strips.items() if what == rhythm and subjects.get(who) == part]
        return len(counts), sum(counts)


def take_census(options: StripOptions) -> Census:
    """Count strips per person and rhythm without keeping any.

    Raises
    ------
    RecordError
        If a recording is damaged or synthetic, rates or lead sets differ, or nothing is labelled.
    """
    census = Census()
    for strip in _strips(options, census.dropped):
        rhythm = strip.episodes[0].rhythm
        census.found[strip.subject, str(rhythm)] += 1
        census.sources.add(strip.source)
        census.fs, census.leads = strip.fs, strip.leads
    if not census.found:
        why = (
            ", ".join(f"{reason} {count}" for reason, count in sorted(census.dropped.items())) or "no records"
        )
        raise RecordError(
            f"--real {', '.join(map(str, options.real))}: no strip of {options.seconds:g} s with a rhythm "
            f"(left out: {why}). Give --labels, or shorter --seconds."
        )
    most = options.per_person or max(census.found.values())
    census.strips = Counter({key: min(count, most) for key, count in census.found.items()})
    return census


def real_strips(options: StripOptions, census: Census) -> Iterator[Record]:
    """The strips that the census counted, named for a dataset, in the order of the recordings.

    ``extra["origin"]`` says which recording, from which second.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for strip in _strips(options, Counter()):
        key = strip.subject, str(strip.episodes[0].rhythm)
        kept, found = census.strips[key], census.found[key]
        # Strip i of n is one of the k that are spread evenly if it is where the next of them begins.
        if seen[key] * kept // found != (seen[key] - 1) * kept // found:
            yield strip
        seen[key] += 1


def _strips(options: StripOptions, dropped: Counter[str]) -> Iterator[Record]:
    agreed: tuple[str, float, tuple[str, ...]] | None = None
    for record in _recordings(options):
        if "synthetic" in record.extra:
            raise RecordError(
                f"{record.source}/{record.name}: is synthetic; --real takes recordings of people only. "
                "Leave that folder out."
            )
        picked = _picked(record, options, dropped)
        if picked is None:
            continue
        if agreed is None:
            agreed = (f"{picked.source}/{picked.name}", options.fs or picked.fs, picked.leads)
        _check_agreement(picked, agreed, options)
        yield from _cut(picked, agreed[1], options.seconds, dropped)


def _recordings(options: StripOptions) -> Iterator[Record]:
    for folder in options.real:
        yield from open_dataset(folder) if options.labels is None else read_folder(folder, options.labels)


def _picked(record: Record, options: StripOptions, dropped: Counter[str]) -> Record | None:
    """The record with the leads wanted; None where it lacks one."""
    leads = options.leads
    if leads is None:
        leads = TWELVE_LEADS if set(record.leads) >= set(TWELVE_LEADS) else record.leads
    if set(leads) <= set(record.leads):
        return record.pick(leads)
    dropped["without the lead"] += 1
    return None


def _check_agreement(
    record: Record, agreed: tuple[str, float, tuple[str, ...]], options: StripOptions
) -> None:
    first, fs, leads = agreed
    name = f"{record.source}/{record.name}"
    if options.fs is None and record.fs != fs:
        raise RecordError(
            f"--real: {name} has {record.fs:g} Hz, {first} has {fs:g} Hz; one rate is needed. Choose --fs."
        )
    if record.leads != leads:
        raise RecordError(
            f"--real: {name} has leads {', '.join(record.leads)}, {first} has {', '.join(leads)}; one set is "
            "needed. Choose --lead."
        )


def _cut(record: Record, fs: float, seconds: float, dropped: Counter[str]) -> Iterator[Record]:
    if not any(episode.rhythm for episode in record.episodes):
        dropped["without a rhythm"] += 1
        return
    moved: Record | None = None
    length = round(seconds * fs)
    found = False
    # Faults are looked for at the rate of the recording; resampling rounds off what shows clipping.
    for window in cut(record, seconds, seconds, dropped):
        found = True
        moved = resample(record, fs) if moved is None else moved
        start = int(window.name.rpartition("@")[2])
        at = min(round(start * fs / record.fs), max(0, moved.n_samples - length))
        strip = moved.slice(at, at + length)
        episode = replace(window.episodes[0], start=0, stop=strip.n_samples)
        yield replace(
            strip,
            name=strip_name(record, start / record.fs),
            episodes=(episode,),
            extra={**strip.extra, "origin": f"{record.name}, from {start / record.fs:g} s"},
        )
    if not found:
        dropped["no whole strip"] += 1


def strip_name(record: Record, second: float) -> str:
    """Name of a strip as a file: its source, its recording, and where it starts in milliseconds."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", f"{record.source}-{record.name}").strip("-")[:48].strip("-")
    return f"{stem}-{round(1000 * second):08d}"
