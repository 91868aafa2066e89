"""Which strips there are in WFDB folders, from headers and annotations alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgsynth.augment.provenance import SPLIT_FILE, check_parts
from ecgsynth.datasets.folder import Label, read_labels, record_stems
from ecgsynth.datasets.labels import label_snomed
from ecgsynth.datasets.marks import comment_field, episodes_from, lead_names
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.records import Episode, Record
from ecgsynth.wfdb_io import Header, read_beats_and_marks, read_header
from ecgsynth.windows import find_windows


@dataclass(frozen=True)
class Entry:
    """One record of a folder.

    Attributes
    ----------
    folder, stem : Path
        The folder, and the record's path without suffix.
    name : str
        Path of the record within its folder.
    person : str
    part : str or None
        ``train``, ``val`` or ``test``; None in a folder without a split.
    synthetic : bool
    fs : float
        In Hz, as stored.
    leads : tuple of str
        As stored.
    n_samples : int
    episodes : tuple of Episode
    """

    folder: Path
    stem: Path
    name: str
    person: str
    part: str | None
    synthetic: bool
    fs: float
    leads: tuple[str, ...]
    n_samples: int
    episodes: tuple[Episode, ...]


@dataclass(frozen=True)
class Place:
    """One strip: which entry, from which sample to which (at the entry's rate), and its rhythm."""

    entry: int
    start: int
    stop: int
    rhythm: str


def index_folders(folders: Iterable[Path], labels: Path | None = None) -> list[Entry]:
    """Records of WFDB folders, no samples read.

    Folders that ``ecgsynth augment`` wrote are held to their split first. In others the rhythm comes from the
    labels file, the ``.atr`` marks or the ``Dx`` comment, the person from the labels file or the
    ``Subject`` comment, as `ecgsynth.read_folder` has it.

    Raises
    ------
    RecordError
        If there are no records, a header is damaged, or a folder breaks its split.
    """
    table = read_labels(labels) if labels is not None else {}
    entries: list[Entry] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise RecordError(f"no folder {folder}: expected one with WFDB records; check the path.")
        lines = check_parts(folder) if (folder / SPLIT_FILE).is_file() else None
        entries += (_entry(folder, stem, lines, table) for stem in record_stems(folder))
    return entries


def _entry(
    folder: Path, stem: Path, lines: Mapping[str, dict[str, Any]] | None, table: Mapping[str, Label]
) -> Entry:
    header = read_header(stem, root=folder)
    name = stem.relative_to(folder).as_posix()
    label = table.get(name) or table.get(stem.name)
    if header.n_samples is None:
        raise RecordError(f"{stem}.hea: states no number of samples; write it into the record line.")
    line = None if lines is None else lines.get(stem.name)
    if lines is not None and line is None:
        raise RecordError(f"{folder}: {name} is not in manifest.jsonl. Make the folder again.")
    said = any("synthetic" in comment.casefold() for comment in header.comments)
    person = (label and label.subject) or comment_field(header.comments, "Subject") or name
    return Entry(
        folder=folder,
        stem=stem,
        name=name,
        person=f"{folder.resolve().name}/{person}" if line is None else str(line["person"]),
        part=None if line is None else str(line["part"]),
        synthetic=said if line is None else bool(line["synthetic"]),
        fs=header.fs,
        leads=lead_names(signal.lead for signal in header.signals),
        n_samples=header.n_samples,
        episodes=_episodes(stem, header, label, line),
    )


def _episodes(
    stem: Path, header: Header, label: Label | None, line: Mapping[str, Any] | None
) -> tuple[Episode, ...]:
    n = header.n_samples or 0
    if line is not None:
        return (Episode(0, n, str(line["rhythm"])),)
    if label is not None and label.rhythm is not None:
        return (Episode(0, n, label.rhythm),)
    if stem.with_name(stem.name + ".atr").is_file():
        marks = read_beats_and_marks(stem, "atr", root=stem.parent, n_samples=n)
        found = episodes_from(marks.samples, marks.symbols, marks.aux, n)
        if found:
            return found
    rhythm = label_snomed((comment_field(header.comments, "Dx") or "").split(","))[0]
    return (Episode(0, n, rhythm),)


def places(entries: list[Entry], seconds: float, labelled: bool) -> Iterator[Place]:
    """Strips that do not overlap, each within one rhythm; of any stretch where rhythms do not matter."""
    for i, entry in enumerate(entries):
        if not labelled:
            length = round(seconds * entry.fs)
            starts = range(0, entry.n_samples - length + 1, length)
            yield from (Place(i, start, start + length, "") for start in starts)
            continue
        hollow = np.broadcast_to(np.float32(0), (1, entry.n_samples))  # a length, not an array
        record = Record(entry.name, hollow, entry.fs, ("",), "", "", entry.episodes)
        for window in find_windows(record, seconds, seconds):
            yield Place(i, window.start, window.stop, str(window.episode.rhythm))


def agreed_layout(
    entries: list[Entry], fs: float | None, leads: tuple[str, ...] | None
) -> tuple[float, tuple[str, ...]]:
    """The rate and leads that strips will have: as asked for, or what all records agree on.

    Raises
    ------
    RecordError
        If records differ and nothing was asked for, or one lacks a lead that was.
    """
    first = entries[0]
    for entry in entries:
        if fs is None and entry.fs != first.fs:
            raise RecordError(
                f"{entry.stem} has {entry.fs:g} Hz, {first.stem} has {first.fs:g} Hz; one rate is needed. "
                "Give fs."
            )
        if leads is None and entry.leads != first.leads:
            raise RecordError(
                f"{entry.stem} has leads {', '.join(entry.leads)}, {first.stem} has "
                f"{', '.join(first.leads)}; one set is needed. Give leads."
            )
        missing = sorted(set(leads or ()) - set(entry.leads))
        if missing:
            raise RecordError(
                f"{entry.stem} has leads {', '.join(entry.leads)}; {', '.join(missing)} was asked for. Leave "
                "that folder out, or ask for other leads."
            )
    if fs is not None and not 10 <= fs <= 10_000:
        raise OptionError(f"fs: {fs:g} Hz; allowed are 10 to 10000 Hz.")
    return fs or first.fs, leads or first.leads
