"""Lobachevsky University Database: ten seconds, twelve leads, every wave boundary marked by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ecgsynth.datasets.labels import label_ludb
from ecgsynth.datasets.marks import (
    Skip,
    beats_from,
    comment_field,
    each,
    header_stems,
    lead_names,
    parse_age,
    parse_sex,
)
from ecgsynth.records import Beats, Episode, Record
from ecgsynth.wfdb_io import read_beats_and_marks, read_record

#: Common gain in ADC units per mV. The headers' own gains differ from lead to lead and stretch every lead
#: to the same range; in raw units Einthoven's law holds exactly, so one gain must hold for all. 1000 gives
#: plausible amplitudes, but is an assumption.
COMMON_GAIN = 1000.0
#: The lead whose marks are taken as the record's R peaks.
BEAT_LEAD = "ii"


def read_ludb(root: Path, *, skip: Skip | None = None) -> Iterator[Record]:
    """Records of LUDB (Kalyakulina et al. 2020), 500 Hz, 12 leads, 10 s, beats as marked in lead II.

    Parameters
    ----------
    root : Path
        Folder with ``ludb.csv`` and ``data/1.hea`` and so on (or the ``data`` folder itself).

    Raises
    ------
    RecordError
        If there are no records or one is damaged and there is no ``skip`` to tell.
    """
    root = Path(root)
    folder = root / "data" if (root / "data").is_dir() else root
    stems = sorted(header_stems(folder), key=lambda path: (len(path.name), path.name))
    yield from each(stems, _record, skip)


def _record(stem: Path) -> Record:
    raw = read_record(stem, common_gain=COMMON_GAIN)
    rhythm, notes = label_ludb(comment.lstrip("# ") for comment in raw.comments)
    return Record(
        name=raw.name,
        signal=raw.signal,
        fs=raw.fs,
        leads=lead_names(raw.leads),
        subject=f"ludb/{stem.name}",
        source="ludb",
        episodes=(Episode(0, raw.signal.shape[1], rhythm),),
        beats=_beats(stem),
        age=parse_age(comment_field(raw.comments, "age")),
        sex=parse_sex(comment_field(raw.comments, "sex")),
        extra={"gain_assumed": f"{COMMON_GAIN:g}/mV", **notes},
    )


def _beats(stem: Path) -> Beats | None:
    if not stem.with_name(f"{stem.name}.{BEAT_LEAD}").is_file():
        return None
    marks = read_beats_and_marks(stem, BEAT_LEAD)
    return beats_from(marks.samples, marks.symbols)
