"""Any folder of WFDB records: a user's own strips, or a database without a reader of its own."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ecgsynth.datasets.labels import label_snomed
from ecgsynth.datasets.marks import (
    Skip,
    beats_from,
    comment_field,
    each,
    episodes_from,
    header_stems,
    lead_names,
    parse_age,
    parse_sex,
)
from ecgsynth.datasets.mitdb import person_from
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.records import Beats, Episode, Record
from ecgsynth.rhythms import find_rhythm
from ecgsynth.wfdb_io import RawRecord, read_beats_and_marks, read_record


class Label(NamedTuple):
    """What a labels file says of a record; rhythm None where the cell is empty."""

    rhythm: str | None
    subject: str | None


def read_folder(
    root: Path, labels: Path | None = None, source: str | None = None, *, skip: Skip | None = None
) -> Iterator[Record]:
    """Records of a WFDB folder.

    The rhythm comes from, in this order: the labels file, rhythm marks in ``<record>.atr``, SNOMED CT
    concepts in a ``Dx:`` comment. The subject comes from the labels file, a ``Subject:`` comment, or else the
    record's name (each record its own person).

    Parameters
    ----------
    root : Path
        Folder with a ``RECORDS`` file (names relative to it, one a line) or ``*.hea`` files.
    labels : Path, optional
        CSV with columns ``record,rhythm`` and, if known, ``subject``; rhythms in any accepted spelling.
    source : str, optional
        Name for `Record.source`; the folder's name by default.
    skip : callable, optional
        Told of each record that cannot be read, which is then left out.

    Raises
    ------
    RecordError
        If there are no records, a labelled record is missing, or one is damaged and there is no ``skip``
        to tell.
    OptionError
        If the labels file is not such a table or names an unknown rhythm.
    """
    root = Path(root)
    stems = record_stems(root)
    table = read_labels(Path(labels)) if labels is not None else {}
    known = {_key(root, stem) for stem in stems} | {stem.name for stem in stems}
    strangers = sorted(set(table) - known)
    if strangers:
        raise RecordError(
            f"{labels}: record {strangers[0]!r} is not in {root} ({len(strangers)} such rows); names must be "
            "those of the headers without .hea."
        )
    labelled = partial(_labelled, root, table, source or root.resolve().name)
    yield from each(stems, labelled, skip)


def read_one(path: Path) -> Record:
    """The record at ``path``, given with or without a suffix (``af/rec_1`` or ``af/rec_1.hea``).

    Raises
    ------
    RecordError
        If there is no such record, or it is damaged.
    """
    stem = path.with_suffix("") if path.suffix in {".hea", ".dat", ".atr", ".mat"} else path
    if not stem.with_name(stem.name + ".hea").is_file():
        raise RecordError(f"{path}: no record and no folder of that name; expected a header {stem.name}.hea.")
    return _record(stem.parent, stem, None, stem.parent.resolve().name)


def record_stems(root: Path) -> list[Path]:
    """Paths without suffix of the records of a folder: those that ``RECORDS`` lists, or all headers.

    Raises
    ------
    RecordError
        If there are none, or ``RECORDS`` names one without a header or outside the folder.
    """
    listing = root / "RECORDS"
    if not listing.is_file():
        return header_stems(root)
    names = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not names:
        raise RecordError(
            f"{listing} is empty: expected one record name a line; list them or delete the file."
        )
    inside = root.resolve()
    for name in names:
        header = root / f"{name}.hea"
        if not header.resolve().is_relative_to(inside):
            raise RecordError(
                f"{listing}: {name!r} lies outside the folder; only names below it are allowed."
            )
        if not header.is_file():
            raise RecordError(f"{listing}: {name!r} has no header {header}; add it or remove the line.")
    return [root / name for name in names]


def read_labels(path: Path) -> Mapping[str, Label]:
    """A labels file as record to `Label`.

    Raises
    ------
    OptionError
        Naming the line, for a missing column, an unknown rhythm or a record that is there twice.
    """
    if not path.is_file():
        raise OptionError(
            f"--labels {path}: no such file; expected a CSV with columns record,rhythm[,subject]."
        )
    table: dict[str, Label] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"record", "rhythm"} - set(reader.fieldnames or ())
        if missing:
            raise OptionError(
                f"--labels {path}: no column {' or '.join(sorted(missing))}; found {reader.fieldnames}. The "
                "first line must be record,rhythm or record,rhythm,subject."
            )
        for row in reader:
            name, rhythm = (row["record"] or "").strip(), (row["rhythm"] or "").strip()
            if name in table:
                raise OptionError(
                    f"--labels {path}, line {reader.line_num}: {name!r} is there twice; keep one."
                )
            try:
                found = find_rhythm(rhythm).name if rhythm else None
            except OptionError as error:
                raise OptionError(f"--labels {path}, line {reader.line_num}: {error}") from error
            table[name] = Label(found, (row.get("subject") or "").strip() or None)
    return table


def _key(root: Path, stem: Path) -> str:
    return stem.relative_to(root).as_posix()


def _labelled(root: Path, table: Mapping[str, Label], source: str, stem: Path) -> Record:
    return _record(root, stem, table.get(_key(root, stem)) or table.get(stem.name), source)


def _record(root: Path, stem: Path, label: Label | None, source: str) -> Record:
    raw = read_record(stem, root=root)
    beats, episodes = _annotated(stem, root, raw.signal.shape[1])
    rhythm, notes = label_snomed((comment_field(raw.comments, "Dx") or "").split(","))
    if label is not None and label.rhythm is not None:
        episodes = (Episode(0, raw.signal.shape[1], label.rhythm),)
    elif not episodes:
        episodes = (Episode(0, raw.signal.shape[1], rhythm),)
    subject = (label and label.subject) or comment_field(raw.comments, "Subject") or _key(root, stem)
    age, sex = person_from(raw.comments)
    return Record(
        name=_key(root, stem),
        signal=raw.signal,
        fs=raw.fs,
        leads=lead_names(raw.leads),
        subject=f"{source}/{subject}",
        source=source,
        episodes=episodes,
        beats=beats,
        age=age if age is not None else parse_age(comment_field(raw.comments, "Age")),
        sex=sex or parse_sex(comment_field(raw.comments, "Sex")),
        extra={**notes, **_synthetic(raw)},
    )


def _synthetic(raw: RawRecord) -> dict[str, str]:
    """``{"synthetic": ...}`` where the header says so, so that nobody takes such a record for a person's."""
    said = comment_field(raw.comments, "synthetic")
    if said is None and any("synthetic" in comment.casefold() for comment in raw.comments):
        said = "yes"
    return {"synthetic": said} if said is not None else {}


def _annotated(stem: Path, root: Path, n_samples: int) -> tuple[Beats | None, tuple[Episode, ...]]:
    if not stem.with_name(stem.name + ".atr").is_file():
        return None, ()
    marks = read_beats_and_marks(stem, "atr", root=root)
    episodes = episodes_from(marks.samples, marks.symbols, marks.aux, n_samples)
    return beats_from(marks.samples, marks.symbols), episodes
