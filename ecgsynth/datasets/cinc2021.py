"""PhysioNet/CinC Challenge 2021: the Chapman-Shaoxing and Ningbo sets (and a re-issue of PTB-XL)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ecgsynth.datasets.labels import label_snomed
from ecgsynth.datasets.marks import Skip, comment_field, each, lead_names, parse_age, parse_sex
from ecgsynth.errors import RecordError
from ecgsynth.records import Episode, Record
from ecgsynth.wfdb_io import read_record

#: Sub-folder and the name its records carry as their source.
PARTS = {"chapman_shaoxing": "chapman", "ningbo": "ningbo"}
#: Anonymous copies of PTB-XL's records: a person may be in both, so they are off unless asked for.
REISSUE = {"ptb-xl": "ptbxl_reissue"}


def read_cinc2021(root: Path, reissue: bool = False, *, skip: Skip | None = None) -> Iterator[Record]:
    """Records of the challenge's sets (Reyna et al. 2021; Zheng et al. 2020), 500 Hz, 12 leads, 10 s.

    Leads that are flat throughout (chest leads of some Ningbo records) are left out. There are no patient
    ids, so each record counts as one person.

    Parameters
    ----------
    root : Path
        Folder with ``chapman_shaoxing`` and/or ``ningbo``.
    reissue : bool
        Also read ``ptb-xl``. Its people are PTB-XL's, unnamed: never a test set for PTB-XL.

    Raises
    ------
    RecordError
        If there is none of the sub-folders or no record in them, or one is damaged and there
        is no ``skip`` to tell.
    """
    root = Path(root)
    found = False
    for part, source in (PARTS | (REISSUE if reissue else {})).items():
        stems = [header.with_suffix("") for header in sorted((root / part).rglob("*.hea"))]
        found = found or bool(stems)
        yield from each(stems, partial(_record, source), skip)
    if not found:
        raise RecordError(f"no records in {root}: expected *.hea under {' or '.join(PARTS)}.")


def _record(source: str, stem: Path) -> Record:
    raw = read_record(stem)
    codes = (comment_field(raw.comments, "Dx") or "").split(",")
    rhythm, notes = label_snomed(codes)
    alive = np.flatnonzero(np.ptp(np.nan_to_num(raw.signal), axis=1) > 0)
    names = lead_names(raw.leads)
    flat = [name for i, name in enumerate(names) if i not in alive]
    return Record(
        name=raw.name,
        signal=raw.signal[alive],
        fs=raw.fs,
        leads=tuple(names[i] for i in alive),
        subject=f"{source}/{stem.name}",
        source=source,
        episodes=(Episode(0, raw.signal.shape[1], rhythm),),
        age=parse_age(comment_field(raw.comments, "Age")),
        sex=parse_sex(comment_field(raw.comments, "Sex")),
        extra={"dx": ",".join(codes), **({"flat_leads": ",".join(flat)} if flat else {}), **notes},
    )
