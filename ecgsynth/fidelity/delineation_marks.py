"""Human marks of wave boundaries, and how found points compare with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.datasets import find_reader, recognise
from ecgsynth.records import Record
from ecgsynth.wfdb_io import read_beats_and_marks
from ecgsynth.wfdb_io.annotations import BEAT_SYMBOLS

Array = NDArray[np.float64]

WAVES: Final = ("p", "qrs", "t")
#: A point found within this many seconds of a mark is the marked one (ANSI/AAMI EC57, and the papers
#: compared with).
TOLERANCE = 0.15
#: A wave between two marked beats that are further apart than this many median RR intervals is not counted
#: as wrong: the reader left a stretch out.
LEFT_OUT = 1.8


@dataclass(frozen=True)
class WaveMarks:
    """Marked waves, each [waves, 3]: onset, peak and offset in seconds, NaN where one is not marked."""

    p: Array
    qrs: Array
    t: Array

    @property
    def span(self) -> tuple[float, float]:
        """First and last mark in seconds; inf and -inf where there is none."""
        times = np.concatenate([self.p.ravel(), self.qrs.ravel(), self.t.ravel()])
        times = times[np.isfinite(times)]
        return (float(times.min()), float(times.max())) if len(times) else (float("inf"), float("-inf"))


def read_wave_marks(stem: Path, annotator: str, fs: float) -> WaveMarks:
    """Marks in the style of QTDB and LUDB: ``(`` before and ``)`` after ``p``, a beat code, or ``t``.

    Raises
    ------
    RecordError
        If the file is missing or damaged.
    """
    marks = read_beats_and_marks(stem, annotator)
    kinds = ["qrs" if s in BEAT_SYMBOLS else s for s in marks.symbols]
    seconds = marks.samples / fs
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WAVES}
    for i, kind in enumerate(kinds):
        if kind in found:
            onset = seconds[i - 1] if i and kinds[i - 1] == "(" else np.nan
            offset = seconds[i + 1] if i + 1 < len(kinds) and kinds[i + 1] == ")" else np.nan
            found[kind].append((float(onset), float(seconds[i]), float(offset)))
    return WaveMarks(*(np.array(found[name], dtype=np.float64).reshape(-1, 3) for name in WAVES))


def pairs(marked: Array, found: Array, tolerance: float = TOLERANCE) -> NDArray[np.int64]:
    """Indices [pairs, 2] of marked and found times that are each other's nearest, within ``tolerance``."""
    if not len(marked) or not len(found):
        return np.empty((0, 2), np.int64)
    apart = np.abs(marked[:, None] - found[None])
    nearest, back = apart.argmin(1), apart.argmin(0)
    own = np.arange(len(marked))
    good = (back[nearest] == own) & (apart[own, nearest] <= tolerance)
    return np.stack([own[good], nearest[good]], axis=1)


@dataclass(frozen=True)
class WaveScore:
    """How one kind of wave of one recording was found.

    Attributes
    ----------
    hits, missed, extra : int
        Marked waves found, marked waves not found, and waves found where the reader marked none.
    errors : float64 array [hits, 3]
        Found less marked onset, peak and offset in ms; NaN where one is not marked.
    marked : int64 array [hits]
        Which marked waves the hits are.
    """

    hits: int
    missed: int
    extra: int
    errors: Array
    marked: NDArray[np.int64]


def score_waves(marks: WaveMarks, points: Array) -> dict[str, WaveScore]:
    """Compare found points [beats, 9] in seconds (NaN: absent) with marks, per wave.

    Waves are matched by their peaks. Extra ones count only between the first and the last mark, and only
    next to marked beats.
    """
    low, high = marks.span
    beats = marks.qrs[:, 1]
    usual = float(np.median(np.diff(beats))) if len(beats) > 1 else 1.0
    scores = {}
    for j, name in enumerate(WAVES):
        own = points[:, 3 * j : 3 * j + 3]
        own = own[np.isfinite(own[:, 1])]
        marked = getattr(marks, name)
        matched = pairs(marked[:, 1], own[:, 1])
        spare = np.setdiff1d(np.arange(len(own)), matched[:, 1])
        at = own[spare, 1]
        after = np.searchsorted(beats, at)
        inside = (at >= low) & (at <= high) & (after > 0) & (after <= len(beats))
        gap = (
            beats[np.clip(after, 0, len(beats) - 1)] - beats[np.clip(after - 1, 0, len(beats) - 1)]
            if len(beats)
            else at
        )
        inside &= gap < LEFT_OUT * usual
        errors = 1000.0 * (own[matched[:, 1]] - marked[matched[:, 0]])
        scores[name] = WaveScore(
            len(matched), len(marked) - len(matched), int(inside.sum()), errors, matched[:, 0]
        )
    return scores


def tuning_half(subject: str) -> bool:
    """Whether a person is of the half that was tuned on: SHA-256 of the name opens with an even word."""
    return int(sha256(subject.encode()).hexdigest()[:8], 16) % 2 == 0


def read_marked(data: Path) -> Iterator[tuple[Record, list[WaveMarks]]]:
    """Recordings of LUDB and QTDB below ``data``, one sub-folder each, with the marks of every lead.

    LUDB's leads were marked one by one; QTDB's marks hold for both leads (``q1c``, the first reader).

    Raises
    ------
    RecordError
        If a recording or its marks are missing or damaged.
    """
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        source = recognise(folder)
        if source not in ("ludb", "qtdb"):
            continue
        inner = folder / "data" if (folder / "data").is_dir() else folder
        for record in find_reader(source)(folder):
            names = [lead.lower() for lead in record.leads] if source == "ludb" else ["q1c"]
            marks = [read_wave_marks(inner / record.name, name, record.fs) for name in names]
            yield record, marks * (len(record.leads) // len(marks))


def better_of(scores: Sequence[dict[str, WaveScore]], marks: WaveMarks) -> dict[str, WaveScore]:
    """For each marked point the lead whose point comes closer; extra waves of the lead with fewer."""
    out = {}
    for name in WAVES:
        errors = np.full((len(scores), len(getattr(marks, name)), 3), np.nan)
        for own, score in zip(errors, scores, strict=True):
            own[score[name].marked] = score[name].errors
        nearest = np.where(np.isnan(errors), np.inf, np.abs(errors)).argmin(0)
        best = np.take_along_axis(errors, nearest[None], 0)[0]
        hit = np.isfinite(errors[:, :, 1]).any(0)
        extra = min(score[name].extra for score in scores)
        out[name] = WaveScore(int(hit.sum()), int((~hit).sum()), extra, best[hit], np.flatnonzero(hit))
    return out


def marked_intervals(marks: WaveMarks) -> dict[str, float]:
    """Median marked intervals in ms, NaN where there are none; the names are those of `intervals_ms`."""
    onset = marks.qrs[:, 0]
    gaps: dict[str, list[float]] = {"p_ms": [], "pr_ms": [], "qrs_ms": [], "qt_ms": []}
    gaps["p_ms"] += (marks.p[:, 2] - marks.p[:, 0]).tolist()
    gaps["qrs_ms"] += (marks.qrs[:, 2] - onset).tolist()
    for start in onset[np.isfinite(onset)]:
        before = marks.p[(marks.p[:, 1] < start) & (marks.p[:, 1] > start - 0.45), 0]
        after = marks.t[(marks.t[:, 1] > start) & (marks.t[:, 1] < start + 0.7), 2]
        gaps["pr_ms"] += (start - before[-1:]).tolist()
        gaps["qt_ms"] += (after[:1] - start).tolist()
    known = {name: [gap for gap in values if np.isfinite(gap)] for name, values in gaps.items()}
    return {name: 1000 * float(np.median(gap)) if gap else float("nan") for name, gap in known.items()}
