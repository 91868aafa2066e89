"""Sound stretches of real recordings, one rhythm each: what judges are fitted and tested on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ecgsynth.pack import RARE_STEP_S, SHORTEST_SHARE, SINGLE_LEADS, STEP_S, WITHIN
from ecgsynth.records import Episode, Record
from ecgsynth.windows import Window, ensure_beats, fault, find_windows

#: Length of a stretch in seconds: that of the windows generators learn from.
SECONDS = 10.24
#: Shortest stretch that is kept, in seconds.
SHORTEST = 4.0
#: Most candidate stretches kept per recording and rhythm while reading.
_CANDIDATES = 16


def sound_strips(
    records: Iterable[Record], per_person: int, seed: int = 0, dropped: Counter[str] | None = None
) -> list[Record]:
    """Stretches of up to 10.24 s at the recordings' own sampling rates.

    Leads that are NaN, flat, clipped or over 10 mV (:func:`ecgsynth.windows.fault`) are left out, stretches
    without a sound lead too. Beats are the annotated ones, else a detector's.

    Parameters
    ----------
    records : iterable of Record
        Consumed one by one.
    per_person : int
        Most stretches per person and rhythm, drawn at random.
    seed : int
    dropped : Counter, optional
        Gets the number of leads left out, by reason.

    Returns
    -------
    list of Record
        Each with one episode, that fills it; sorted by rhythm, person and name.
    """
    dropped = Counter() if dropped is None else dropped
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        marked = ensure_beats(record)
        for window in _places(marked):
            strip = _strip(marked, window, dropped)
            if strip is not None:
                found[str(window.episode.rhythm), record.subject].append(strip)
    rng = np.random.default_rng(seed)
    chosen = []
    for key in sorted(found):
        strips = sorted(found[key], key=lambda strip: strip.name)
        chosen += [strips[i] for i in np.sort(rng.permutation(len(strips))[:per_person])]
    return chosen


def _places(record: Record) -> list[Window]:
    if SHORTEST_SHARE * SECONDS <= record.seconds < SECONDS:
        known = [e for e in record.episodes if e.rhythm is not None]
        whole = len(record.episodes) == 1 and bool(known)
        return [Window(0, record.n_samples, known[0])] if whole else []
    places: list[Window] = []
    for rhythm in sorted({e.rhythm for e in record.episodes if e.rhythm is not None}):
        step, within = STEP_S.get(rhythm, RARE_STEP_S), WITHIN.get(rhythm, 1.0)
        windows = sorted(find_windows(record, SECONDS, step, within, rhythm), key=lambda w: w.start)
        spread = np.linspace(0, len(windows) - 1, min(len(windows), _CANDIDATES)).round().astype(int)
        places += [windows[i] for i in spread]
    return places


def _strip(record: Record, window: Window, dropped: Counter[str]) -> Record | None:
    start, stop = max(window.start, window.episode.start), min(window.stop, window.episode.stop)
    if stop - start < SHORTEST * record.fs:
        return None
    part = record.slice(start, stop)
    faults = [fault(row, record.fs) for row in part.signal]
    dropped.update(reason for reason in faults if reason)
    rows = [i for i, reason in enumerate(faults) if reason is None]
    if not rows:
        return None
    return replace(
        part,
        name=f"{record.name}@{start}",
        signal=part.signal[rows].astype(np.float32),
        leads=tuple(record.leads[i] for i in rows),
        episodes=(Episode(0, part.n_samples, window.episode.rhythm),),
    )


def one_lead(record: Record, rng: np.random.Generator) -> Record | None:
    """One lead of the record, drawn from those that single-lead generators learn from; None without."""
    known = [lead for lead in record.leads if lead in SINGLE_LEADS]
    return record.pick((known[int(rng.integers(len(known)))],)) if known else None


def shortened(record: Record, rng: np.random.Generator, shortest: float = 5.0) -> Record:
    """A random part of at least ``shortest`` seconds; the whole record in two of three cases."""
    if rng.random() < 0.67 or record.seconds <= shortest:
        return record
    n = round(rng.uniform(shortest, record.seconds) * record.fs)
    start = int(rng.integers(0, record.n_samples - n + 1))
    return record.slice(start, start + n)
