"""The arrays of a pack: one value per row, or flat arrays with offsets where rows differ in length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.records import Episode, Record


@dataclass(frozen=True)
class Row:
    """One row of a pack before it becomes arrays.

    Attributes
    ----------
    signal : float32 array [leads, samples]
        In mV, median taken away.
    lead : str
        Name of the single lead, or ``"8"``.
    record : Record
        Where it is from, at the pack's sampling rate.
    episode : Episode
        The row's rhythm and where it lies, in samples of the row.
    start : int
        Sample of ``record`` at which the row begins; negative where it is padded.
    valid : (int, int)
        Samples ``[start, stop)`` of the row that are not padding.
    """

    signal: NDArray[np.float32]
    lead: str
    record: Record
    episode: Episode
    start: int
    valid: tuple[int, int]


_SEX = {"F": 0, "M": 1, None: -1}


def columns(rows: list[Row], length: int) -> dict[str, NDArray[Any]]:
    """Signal and the columns with one value per row; see :func:`ecgsynth.pack.pack` for dtypes and units."""
    signal = np.empty((len(rows), rows[0].signal.shape[0], length), dtype=np.float16)
    for at, row in zip(signal, rows, strict=True):
        at[:] = row.signal
    records = [row.record for row in rows]
    ages = [np.nan if r.age is None else r.age for r in records]
    ectopy = [r.extra.get("ectopy") == "yes" and not _labelled(r) for r in records]
    return {
        "signal": signal,
        "rhythm": np.array([row.episode.rhythm for row in rows]),
        "lead": np.array([row.lead for row in rows]),
        "source": np.array([r.source for r in records]),
        "subject": np.array([r.subject for r in records]),
        "record": np.array([r.name for r in records]),
        "age": np.array(ages, dtype=np.float32),
        "sex": np.array([_SEX[r.sex] for r in records], dtype=np.int8),
        "ectopy": np.array(ectopy),
        "bandwidth": np.array([float(r.extra.get("bandwidth", r.fs / 2)) for r in records], dtype=np.float32),
        "record_leads": np.array([len(r.leads) for r in records], dtype=np.int8),
        "start": np.array([row.start for row in rows], dtype=np.int64),
        "episode_start": np.array([row.episode.start for row in rows], dtype=np.int32),
        "episode_stop": np.array([row.episode.stop for row in rows], dtype=np.int32),
        "valid_start": np.array([row.valid[0] for row in rows], dtype=np.int32),
        "valid_stop": np.array([row.valid[1] for row in rows], dtype=np.int32),
    }


def _labelled(record: Record) -> bool:
    return record.beats is not None and record.beats.source == "annotated"


def beat_columns(rows: list[Row], length: int, margin: int) -> dict[str, NDArray[Any]]:
    """Beats of each row and ``margin`` samples to either side of it, as flat arrays with offsets."""
    samples: list[NDArray[np.int64]] = []
    symbols: list[str] = []
    for row in rows:
        beats = row.record.beats
        if beats is None:
            samples.append(np.empty(0, dtype=np.int64))
            continue
        low, high = np.searchsorted(beats.samples, [row.start - margin, row.start + length + margin])
        samples.append(beats.samples[low:high] - row.start)
        symbols.extend(beats.symbols[low:high])
    return {
        "beats_offsets": np.cumsum([0, *(len(found) for found in samples)], dtype=np.int64),
        "beats_samples": np.concatenate(samples).astype(np.int32),
        "beats_symbols": np.array(symbols, dtype="U1"),
        "beats_source": np.array([r.record.beats.source if r.record.beats else "none" for r in rows]),
    }


def change_columns(rows: list[Row], length: int) -> dict[str, NDArray[Any]]:
    """Every rhythm within each row and the sample at which it begins, as flat arrays with offsets."""
    counts: list[int] = [0]
    samples: list[int] = []
    names: list[str] = []
    for row in rows:
        low, high = row.start + row.valid[0], row.start + length
        found = [e for e in row.record.episodes if e.start < high and e.stop > low]
        counts.append(len(found))
        samples.extend(e.start - row.start for e in found)
        names.extend(e.rhythm or "" for e in found)
    return {
        "changes_offsets": np.cumsum(counts, dtype=np.int64),
        "changes_samples": np.array(samples, dtype=np.int32),
        "changes_rhythm": np.array(names),
    }
