"""Real strips of everybody a study needs, cut once and kept in the study's folder."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ecgsynth.datasets import find_reader, recognise
from ecgsynth.errors import RecordError
from ecgsynth.records import INDEPENDENT_LEADS, Episode, Record
from ecgsynth.split import SplitManifest
from ecgsynth.utility.study import OTHER, SOURCES, Study
from ecgsynth.windows import fault, resample

#: Leads of vfdb and cudb whose place nobody wrote down; all are called ``ECG``.
_UNPLACED = ("ECG1", "ECG2")
_SEX = {"F": 0, "M": 1, None: -1}


@dataclass(frozen=True)
class Strips:
    """Strips and who they are of.

    Attributes
    ----------
    signal : float32 array [N, leads, samples]
        In mV, each lead's median taken away.
    rhythm, subject, source, lead, part : str arrays [N]
        `part` is the split's; ``""`` for people whom the split does not know.
    age : float32 array [N]
        Years, NaN where unknown.
    sex : int8 array [N]
        0 female, 1 male, -1 unknown.
    """

    signal: NDArray[np.float32]
    rhythm: NDArray[np.str_]
    subject: NDArray[np.str_]
    source: NDArray[np.str_]
    lead: NDArray[np.str_]
    part: NDArray[np.str_]
    age: NDArray[np.float32]
    sex: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.rhythm)

    def take(self, rows: NDArray[Any]) -> Strips:
        """Some of the strips, by number or by mask."""
        return Strips(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def save(self, path: Path) -> None:
        """Write them; the file appears once it is whole."""
        partial = path.with_name(path.name + ".partial.npz")
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        np.savez(partial, **{**columns, "signal": self.signal.astype(np.float16)})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Strips:
        """Read what `save` wrote.

        Raises
        ------
        RecordError
            If the file is damaged.
        """
        try:
            with np.load(path) as arrays:
                columns = {f.name: arrays[f.name] for f in fields(cls)}
        except (OSError, ValueError, KeyError, EOFError, zlib.error, BadZipFile) as error:
            raise RecordError(
                f"{path}: is damaged ({error}); remove it, and --resume cuts the strips again."
            ) from None
        return cls(**{**columns, "signal": columns["signal"].astype(np.float32)})


def read_strips(study: Study, data: Path, split: SplitManifest) -> Strips:
    """Strips of all sources that the study trains on or tests on.

    Raises
    ------
    RecordError
        If a database is missing, synthetic records are among the real ones, or no strip has a wanted label.
    """
    wanted = {*study.sources, *(s for cohort in study.tests.values() for s in cohort.sources)}
    part_of = {person: part for part in ("train", "val", "test") for person in getattr(split, part)}
    rows: dict[tuple[str, str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for record in _records(data, wanted):
        if "synthetic" in record.extra:
            raise RecordError(
                f"{record.source}/{record.name}: is synthetic; a study is of real people. "
                f"Remove it from {data}."
            )
        for row in _cut(_named(record), study, part_of.get(record.subject, "")):
            rows[row[2], row[1], row[4]].append(row)
    kept = [own[i] for own in rows.values() for i in _spread(len(own), study.per_person)]
    if not kept:
        raise RecordError(f"{data}: no labelled strip of {', '.join(sorted(wanted))}; look at the labels.")
    signal, rhythm, subject, source, lead, part, age, sex = zip(*kept, strict=True)
    return Strips(
        signal=np.stack(signal),
        rhythm=np.array(rhythm),
        subject=np.array(subject),
        source=np.array(source),
        lead=np.array(lead),
        part=np.array(part),
        age=np.array(age, np.float32),
        sex=np.array(sex, np.int8),
    )


def _records(data: Path, wanted: Iterable[str]) -> Iterator[Record]:
    """Records of the wanted sources among the sub-folders of `data`."""
    if not data.is_dir():
        raise RecordError(f"no folder {data}: expected one sub-folder per database; check --data.")
    names = {SOURCES[source] for source in wanted}
    found: Counter[str] = Counter()
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        if next(folder.rglob("*.hea"), None) is None:
            continue
        name = recognise(folder)
        if name not in names:
            continue
        for record in find_reader(name)(folder):
            source = "folder" if name == "folder" else record.source
            if source in wanted:
                found[source] += 1
                yield replace(record, source=source)
    if missing := sorted(set(wanted) - set(found)):
        raise RecordError(f"{data}: no recordings of {', '.join(missing)}; add them, or change the study.")


def _named(record: Record) -> Record:
    """The record with CinC 2017's class O as a rhythm of its own."""
    if record.extra.get("reference") != "O":
        return record
    return replace(record, episodes=(Episode(0, record.n_samples, OTHER),))


def _cut(record: Record, study: Study, part: str) -> Iterator[tuple[Any, ...]]:
    """Strips of one rhythm each that do not overlap, and their columns in the order of `Strips`."""
    names = [lead if lead not in _UNPLACED else "ECG" for lead in record.leads]
    leads = INDEPENDENT_LEADS if study.twelve else study.leads
    index = [i for i, name in enumerate(names) if name in leads]
    if not index or (study.twelve and len(index) < len(INDEPENDENT_LEADS)):
        return
    kept = [names[i] for i in index]
    who = (part, np.nan if record.age is None else record.age, _SEX[record.sex])
    native, length = round(study.seconds * record.fs), round(study.seconds * study.fs)
    moved: Record | None = None
    for episode in record.episodes:
        if episode.rhythm is None or not study.wants(episode.rhythm):
            continue
        for start in range(episode.start, episode.stop - native + 1, native):
            window = record.signal[index, start : start + native]
            sound = [fault(lead, record.fs) is None for lead in window]
            if not any(sound) or (study.twelve and not all(sound)):
                continue
            moved = resample(record, study.fs) if moved is None else moved
            at = min(round(start * study.fs / record.fs), moved.n_samples - length)
            signal = moved.signal[index, at : at + length]
            signal = signal - np.median(signal, axis=1, keepdims=True)
            for lead, strip in _leads(signal, kept, sound, study.twelve):
                yield (strip, episode.rhythm, record.subject, record.source, lead, *who)


def _leads(
    signal: NDArray[np.float32], names: list[str], sound: list[bool], twelve: bool
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if twelve:
        order = [names.index(name) for name in INDEPENDENT_LEADS]
        yield "12", signal[order]
        return
    for i, name in enumerate(names):
        if sound[i]:
            yield name, signal[i : i + 1]


def _spread(count: int, most: int) -> list[int]:
    """At most `most` of `count`, evenly spread."""
    return (
        list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()
    )
