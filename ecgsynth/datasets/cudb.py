"""Creighton University Ventricular Tachyarrhythmia Database: ventricular fibrillation and flutter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgsynth.datasets.marks import Skip, beats_from, each, header_stems, lead_names
from ecgsynth.records import Episode, Record
from ecgsynth.wfdb_io import read_beats_and_marks, read_record


def read_cudb(root: Path, *, skip: Skip | None = None) -> Iterator[Record]:
    """Records of the cudb (Nolle et al. 1986), 250 Hz, one unnamed lead, NaN gaps kept.

    ``[`` and ``]`` bracket fibrillation or flutter without telling them apart: such episodes are called
    ``vf`` and the record carries the note ``vf_or_vflutter``. What lies outside is unlabelled.

    Raises
    ------
    RecordError
        If there are no records or one is damaged and there is no ``skip`` to tell.
    """
    stems = header_stems(Path(root), "cu[0-9][0-9]*.hea")
    yield from each(stems, _record, skip)


def _record(stem: Path) -> Record:
    raw = read_record(stem)
    marks = read_beats_and_marks(stem, "atr")
    return Record(
        name=raw.name,
        signal=raw.signal,
        fs=raw.fs,
        leads=lead_names(raw.leads),
        subject=f"cudb/{stem.name.split('_')[0]}",
        source="cudb",
        episodes=fibrillation_between(marks.samples, marks.symbols, raw.signal.shape[1]),
        beats=beats_from(marks.samples, marks.symbols),
        extra={"vf_or_vflutter": "not told apart"},
    )


def fibrillation_between(
    samples: NDArray[np.int64], symbols: Sequence[str], n_samples: int
) -> tuple[Episode, ...]:
    """Episodes ``vf`` from each ``[`` to its ``]`` (or the record's end), None in between."""
    episodes: list[Episode] = []
    at, inside = 0, False
    brackets = [(int(s), c) for s, c in zip(samples, symbols, strict=True) if c in "[]"]
    for sample, symbol in [*brackets, (n_samples, "end")]:
        sample = min(sample, n_samples)
        if symbol == "[" and inside:
            continue
        if sample > at:
            # a closing bracket without an opening one: the record starts within the episode
            fibrillating = inside or (symbol == "]" and not episodes)
            episodes.append(Episode(at, sample, "vf" if fibrillating else None))
        at, inside = sample, symbol == "["
    return tuple(episodes)
