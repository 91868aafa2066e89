"""QT Database: excerpts whose wave boundaries were marked by hand, some of people of other databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ecgsynth.datasets.marks import Skip, beats_from, each, episodes_from, header_stems, lead_names
from ecgsynth.datasets.mitdb import mitdb_subject, person_from
from ecgsynth.records import Beats, Episode, Record
from ecgsynth.wfdb_io import read_beats_and_marks, read_record

_MITDB = re.compile(r"sel([12]\d\d)")
#: sel30 to sel52 come from the sudden-death tapes and may be people of the vfdb.
_MAYBE_VFDB = re.compile(r"sel(3\d|4\d|5[0-2])")


def read_qtdb(root: Path, *, skip: Skip | None = None) -> Iterator[Record]:
    """Records of the QT Database (Laguna et al. 1997), 250 Hz, two leads.

    ``sel1xx`` and ``sel2xx`` carry the mitdb subject they were cut from when such a record exists there.
    Beats come from ``.atr`` where there is one. The boundary marks (``.q1c``, ``.q2c``) are read by whoever
    measures delineation.

    Raises
    ------
    RecordError
        If there are no records or one is damaged and there is no ``skip`` to tell.
    """
    stems = header_stems(Path(root), "sel*.hea")
    yield from each(stems, _record, skip)


def _record(stem: Path) -> Record:
    raw = read_record(stem)
    name = stem.name.split("_")[0]
    beats, episodes = _annotated(stem, raw.signal.shape[1])
    age, sex = person_from(raw.comments)
    return Record(
        name=raw.name,
        signal=raw.signal,
        fs=raw.fs,
        leads=lead_names(raw.leads),
        subject=qtdb_subject(name),
        source="qtdb",
        episodes=episodes,
        beats=beats,
        age=age,
        sex=sex,
        extra={"may_share_person_with": "vfdb"} if _MAYBE_VFDB.fullmatch(name) else {},
    )


def qtdb_subject(name: str) -> str:
    """Subject of a QT Database record: ``sel100`` is ``mitdb/100``, ``sele0104`` is its own."""
    match = _MITDB.fullmatch(name)
    return mitdb_subject(match.group(1)) if match else f"qtdb/{name}"


def _annotated(stem: Path, n_samples: int) -> tuple[Beats | None, tuple[Episode, ...]]:
    unknown = (Episode(0, n_samples, None),)
    if not stem.with_name(stem.name + ".atr").is_file():
        return None, unknown
    marks = read_beats_and_marks(stem, "atr")
    episodes = episodes_from(marks.samples, marks.symbols, marks.aux, n_samples)
    return beats_from(marks.samples, marks.symbols), episodes or unknown
