"""PhysioNet/CinC Challenge 2017: half-minute strips from a handheld device (lead I between two hands)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ecgsynth.datasets.marks import Skip, each, header_stems
from ecgsynth.errors import RecordError
from ecgsynth.records import Episode, Record
from ecgsynth.wfdb_io import read_record

#: The challenge's four classes; "other rhythm" and "too noisy" name no rhythm of ours.
RHYTHM_OF = {"N": "nsr", "A": "afib", "O": None, "~": None}


def read_cinc2017(root: Path, *, skip: Skip | None = None) -> Iterator[Record]:
    """Records of the challenge's training set (Clifford et al. 2017), 300 Hz, lead I, no beat labels.

    Parameters
    ----------
    root : Path
        Folder with ``REFERENCE.csv`` (``A00001,N``) and the ``A*.hea`` and ``A*.mat`` files.

    Raises
    ------
    RecordError
        If ``REFERENCE.csv`` is missing or names an unknown class, or a record is damaged and there is no
        ``skip`` to tell. Checksums are not held against the data: upstream headers carry 0.
    """
    root = Path(root)
    classes = _classes(root / "REFERENCE.csv")
    stems = header_stems(root, "A[0-9]*.hea")
    yield from each(stems, partial(_record, classes), skip)


def _record(classes: dict[str, str], stem: Path) -> Record:
    code = classes.get(stem.name)
    raw = read_record(stem)
    return Record(
        name=raw.name,
        signal=raw.signal,
        fs=raw.fs,
        leads=("I",),
        subject=f"cinc2017/{stem.name}",
        source="cinc2017",
        episodes=(Episode(0, raw.signal.shape[1], RHYTHM_OF[code] if code else None),),
        extra={"reference": code or "unknown"},
    )


def _classes(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise RecordError(
            f"{path} is missing: the rhythms of CinC 2017 stand there; copy it beside the records."
        )
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    for line, row in enumerate(rows, start=1):
        if len(row) < 2 or row[1] not in RHYTHM_OF:
            raise RecordError(
                f"{path}, line {line}: found {','.join(row)!r}; expected record,class with one of "
                f"{' '.join(RHYTHM_OF)}. Fetch the file again."
            )
    return {row[0]: row[1] for row in rows}
