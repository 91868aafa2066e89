"""MIT-BIH Arrhythmia Database: 48 half-hour records of 47 people, beats and rhythms by cardiologists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ecgsynth.datasets.marks import (
    Skip,
    beats_from,
    each,
    episodes_from,
    header_stems,
    lead_names,
    parse_age,
    parse_sex,
)
from ecgsynth.records import Record
from ecgsynth.wfdb_io import read_beats_and_marks, read_record

#: Records of one person under the name of the first: 201 and 202 come from the same tape.
SAME_PERSON = {"202": "201"}
_PERSON = re.compile(r"\s*#?\s*(-?\d+)\s+([MF])\b")


def mitdb_subject(number: str) -> str:
    """Who was recorded as mitdb record ``number`` (qtdb's ``sel1xx`` and ``sel2xx`` are the same people)."""
    return f"mitdb/{SAME_PERSON.get(number, number)}"


def read_mitdb(root: Path, *, skip: Skip | None = None) -> Iterator[Record]:
    """Records of the MIT-BIH Arrhythmia Database (Moody & Mark 2001), 360 Hz, two leads.

    Parameters
    ----------
    root : Path
        Folder that holds ``100.hea``, ``100.dat``, ``100.atr`` and so on.

    Raises
    ------
    RecordError
        If there are no records or one is damaged and there is no ``skip`` to tell.
    """
    stems = header_stems(Path(root), "[0-9][0-9][0-9].hea")
    yield from each(stems, _record, skip)


def _record(stem: Path) -> Record:
    raw = read_record(stem)
    marks = read_beats_and_marks(stem, "atr")
    age, sex = person_from(raw.comments)
    return Record(
        name=raw.name,
        signal=raw.signal,
        fs=raw.fs,
        leads=lead_names(raw.leads),
        subject=mitdb_subject(stem.name),
        source="mitdb",
        episodes=episodes_from(marks.samples, marks.symbols, marks.aux, raw.signal.shape[1]),
        beats=beats_from(marks.samples, marks.symbols),
        age=age,
        sex=sex,
    )


def person_from(comments: tuple[str, ...]) -> tuple[float | None, Literal["M", "F"] | None]:
    """Age and sex from MIT-BIH's ``69 M 1085 1629 x1``; (None, None) where there is no such line."""
    for comment in comments:
        match = _PERSON.match(comment)
        if match:
            return parse_age(match.group(1)), parse_sex(match.group(2))
    return None, None
