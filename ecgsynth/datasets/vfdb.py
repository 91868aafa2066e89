"""MIT-BIH Malignant Ventricular Ectopy Database: rhythm marks only, two unnamed leads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ecgsynth.datasets.marks import Skip, each, episodes_from, header_stems, lead_names
from ecgsynth.records import Record
from ecgsynth.wfdb_io import read_beats_and_marks, read_record

#: Tapes that are, or may be, of one person: 418 and 419 share a tape, and neighbouring numbers may share
#: a person, so they count as one when people are split or counted.
SAME_PERSON = {
    "418": "418-419",
    "419": "418-419",
    "421": "421-423",
    "422": "421-423",
    "423": "421-423",
    "428": "428-430",
    "429": "428-430",
    "430": "428-430",
    "614": "614-615",
    "615": "614-615",
}


def read_vfdb(root: Path, *, skip: Skip | None = None) -> Iterator[Record]:
    """Records or excerpts of the vfdb (Greenwald 1986), 250 Hz; ``beats`` is None (none were labelled).

    Excerpts are named ``418_e01``: record, underscore, number. Rhythms written ``(HGEA``, ``(NOISE`` and
    ``(ASYS`` are none of ours and become episodes with rhythm None.

    Raises
    ------
    RecordError
        If there are no records or one is damaged and there is no ``skip`` to tell.
    """
    stems = header_stems(Path(root), "[46][0-9][0-9]*.hea")
    yield from each(stems, _record, skip)


def _record(stem: Path) -> Record:
    raw = read_record(stem)
    marks = read_beats_and_marks(stem, "atr")
    number = stem.name.split("_")[0]
    return Record(
        name=raw.name,
        signal=raw.signal,
        fs=raw.fs,
        leads=lead_names(raw.leads),
        subject=f"vfdb/{SAME_PERSON.get(number, number)}",
        source="vfdb",
        episodes=episodes_from(marks.samples, marks.symbols, marks.aux, raw.signal.shape[1]),
    )
