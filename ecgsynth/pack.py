"""Windows of many recordings as one set of arrays, ready for training.

One window becomes one row per wanted lead (``single``), or one row with the eight independent leads
(``twelve``). Signals keep their mV scale; only each row's median is taken away.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OptionError, RecordError
from ecgsynth.pack_columns import Row, beat_columns, change_columns, columns
from ecgsynth.records import INDEPENDENT_LEADS, Episode, Record
from ecgsynth.windows import Window, ensure_beats, fault, find_windows, resample

LeadLayout = Literal["single", "twelve"]

#: Leads of the single-lead layout and the name each gets. ``ECG`` is a lead whose place nobody wrote down
#: (vfdb's ``ECG1`` and ``ECG2``, cudb's ``ECG``): the only source of most ventricular arrhythmias.
SINGLE_LEADS: Final = {
    "I": "I",
    "II": "II",
    "MLII": "MLII",
    "V1": "V1",
    "V5": "V5",
    "ECG": "ECG",
    "ECG1": "ECG",
    "ECG2": "ECG",
}
#: Seconds from one window's start to the next: common rhythms do not overlap, rare ones do.
STEP_S: Final = {"nsr": 10.24, "afib": 5.12, "paced": 5.12, "sinus_bradycardia": 5.12}
RARE_STEP_S = 2.56
#: Rhythms that come in bursts shorter than a window: it may begin before or end after the burst, as long as
#: the burst fills this share. A full window of bigeminy exists for 7 people, half a window for 11.
WITHIN: Final = dict.fromkeys(("vt", "svt", "idioventricular", "junctional", "bigeminy", "trigeminy"), 0.5)
#: Beats are kept this long before and after a window, so the phase within a beat is right at its edges.
MARGIN_S = 2.0
#: Shorter recordings than a window are padded if they have at least this share of it.
SHORTEST_SHARE = 0.9
#: Sources that are not trained on. LUDB and QTDB judge delineation and stay strangers to every model;
#: PTB-XL's re-issue repeats people of PTB-XL without saying whom.
HELD_OUT_SOURCES: Final = frozenset({"ludb", "qtdb", "ptbxl_reissue"})
#: (source, rhythm) whose label is too loose: vfdb writes ``(N`` for whatever is between two ventricular
#: arrhythmias, coarse in time and full of ectopy.
LOOSE_LABELS: Final = frozenset({("vfdb", "nsr")})


def trainable(records: Iterable[Record]) -> Iterator[Record]:
    """Records that may be trained on, with loosely labelled episodes blanked (rhythm None)."""
    for record in records:
        if record.source in HELD_OUT_SOURCES:
            continue
        episodes = tuple(
            replace(e, rhythm=None) if (record.source, e.rhythm) in LOOSE_LABELS else e
            for e in record.episodes
        )
        if any(e.rhythm is not None for e in episodes):
            yield replace(record, episodes=episodes)


def pack(
    records: Iterable[Record],
    fs: float = 250.0,
    seconds: float = 10.24,
    step_s: Mapping[str, float] = STEP_S,
    leads: LeadLayout = "single",
    cap: int = 60,
    dropped: Counter[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Windows of ``records`` as arrays of N rows.

    Parameters
    ----------
    records : iterable of Record
        Consumed one by one; only their windows stay in memory.
    fs, seconds : float
        Sampling rate in Hz and length of the windows.
    step_s : mapping of str to float
        Step per rhythm in seconds; `RARE_STEP_S` for a rhythm that is not in it.
    leads : {"single", "twelve"}
        One row per lead of `SINGLE_LEADS`, or one row with the eight independent leads (records that lack one
        are passed over).
    cap : int
        Most windows per person and rhythm, spread evenly over what there is.
    dropped : Counter, optional
        Gets the number of windows dropped per reason.

    Returns
    -------
    dict of arrays
        ``signal`` float16 [N, L, T], in mV less each lead's median. Strings [N]: ``rhythm``, ``source``,
        ``subject``, ``record``, ``lead`` (``"8"`` for twelve) and ``beats_source`` (``"none"``: no beats).
        ``age`` float32 [N], NaN unknown; ``sex`` int8 [N], 0 female, 1 male, -1 unknown; ``ectopy`` bool [N],
        the source reports ectopic beats but labels no beats; ``bandwidth`` float32 [N] in Hz;
        ``record_leads`` int8 [N], leads of the record the row is from; ``start`` int64 [N], sample in the
        record at fs; ``episode_start``, ``episode_stop`` int32 [N], samples of the window that are in its
        rhythm; ``valid_start``, ``valid_stop`` int32 [N], samples that are signal and not mirrored padding.
        Ragged: row i's beats are ``beats_offsets[i]:beats_offsets[i + 1]`` of ``beats_samples`` (int32,
        relative to the window, from 2 s before it to 2 s past its end) and ``beats_symbols``; its rhythms
        are ``changes_offsets[i]:...`` of ``changes_samples`` (where each begins) and ``changes_rhythm``
        (``""`` unknown). ``fs`` float32 [1] and ``leads`` str, the lead names of the layout.

    Raises
    ------
    RecordError
        If no window is left.
    """
    dropped = Counter() if dropped is None else dropped
    length = round(seconds * fs)
    rows = list(_capped(_rows(records, fs, seconds, step_s, leads, cap, dropped), cap))
    if not rows:
        raise RecordError(
            f"pack: no usable window of {seconds} s; dropped {dict(dropped)}. Check the labels, or ask for "
            "shorter windows."
        )
    arrays = (
        columns(rows, length)
        | beat_columns(rows, length, round(MARGIN_S * fs))
        | change_columns(rows, length)
    )
    names = INDEPENDENT_LEADS if leads == "twelve" else tuple(dict.fromkeys(SINGLE_LEADS.values()))
    return arrays | {"fs": np.array([fs], dtype=np.float32), "leads": np.array(names)}


def _rows(
    records: Iterable[Record],
    fs: float,
    seconds: float,
    step_s: Mapping[str, float],
    leads: LeadLayout,
    cap: int,
    dropped: Counter[str],
) -> Iterator[list[Row]]:
    """All rows of one window at a time."""
    if leads not in ("single", "twelve"):
        raise OptionError(f"pack: leads {leads!r}; allowed are single and twelve.")
    for record in records:
        wanted = _wanted(record, leads)
        if not wanted:
            dropped["lead"] += 1
            continue
        marked = ensure_beats(record)
        moved: Record | None = None
        for window in _places(marked, seconds, step_s, cap):
            sound = _sound(marked, window, wanted, leads, dropped)
            if not sound:
                continue
            moved = resample(marked, fs) if moved is None else moved
            yield _window_rows(marked, moved, window, sound, round(seconds * fs), leads)


def _wanted(record: Record, leads: LeadLayout) -> dict[str, int]:
    """Rows of the record's signal to use, by lead name."""
    index = {name: i for i, name in enumerate(record.leads)}
    if leads == "twelve":
        complete = all(name in index for name in INDEPENDENT_LEADS)
        return {name: index[name] for name in INDEPENDENT_LEADS} if complete else {}
    return {name: i for name, i in index.items() if name in SINGLE_LEADS}


def _places(record: Record, seconds: float, step_s: Mapping[str, float], cap: int) -> Iterator[Window]:
    """Windows of the record, at most ``cap`` candidates per rhythm and spread over the recording."""
    if SHORTEST_SHARE * seconds <= record.seconds < seconds:
        known = [e for e in record.episodes if e.rhythm is not None]
        if len(record.episodes) == 1 and known:
            yield Window(0, record.n_samples, known[0])
        return
    for rhythm in sorted({e.rhythm for e in record.episodes if e.rhythm is not None}):
        step, within = step_s.get(rhythm, RARE_STEP_S), WITHIN.get(rhythm, 1.0)
        found = sorted(find_windows(record, seconds, step, within, rhythm), key=lambda w: w.start)
        yield from (found[i] for i in _evenly(len(found), 2 * cap))


def _evenly(n: int, most: int) -> list[int]:
    """At most ``most`` indices below ``n``, evenly spread."""
    return list(range(n)) if n <= most else np.linspace(0, n - 1, most).round().astype(int).tolist()


def _sound(
    record: Record, window: Window, wanted: Mapping[str, int], leads: LeadLayout, dropped: Counter[str]
) -> dict[str, int]:
    """Leads without a fault in this window: each for itself, or all eight or none."""
    part = record.signal[:, window.start : window.stop]
    faults = {name: fault(part[i], record.fs) for name, i in wanted.items()}
    dropped.update(reason for reason in faults.values() if reason)
    if leads == "twelve" and any(faults.values()):
        return {}
    return {name: i for name, i in wanted.items() if faults[name] is None}


def _window_rows(
    native: Record, moved: Record, window: Window, sound: Mapping[str, int], length: int, leads: LeadLayout
) -> list[Row]:
    ratio = moved.fs / native.fs
    start = min(round(window.start * ratio), max(0, moved.n_samples - length))
    lead_in = max(0, length - moved.n_samples) // 2
    start -= lead_in
    signal = moved.signal[list(sound.values()), max(0, start) : start + length]
    tail = length - lead_in - signal.shape[1]
    valid = (lead_in, length - tail)
    signal = np.pad(signal, ((0, 0), (lead_in, tail)), mode="reflect")
    signal = signal - np.median(signal, axis=1, keepdims=True)
    first, stop = (round(at * ratio) - start for at in (window.episode.start, window.episode.stop))
    # padding mirrors the rhythm it borders on, so it counts as that rhythm
    first, stop = 0 if first <= lead_in else first, length if stop >= valid[1] else stop
    episode = Episode(first, stop, window.episode.rhythm)
    if leads == "twelve":
        return [Row(signal, "8", moved, episode, start, valid)]
    return [
        Row(signal[i : i + 1], SINGLE_LEADS[name], moved, episode, start, valid)
        for i, name in enumerate(sound)
    ]


def _capped(windows: Iterable[list[Row]], cap: int) -> Iterator[Row]:
    """Rows of at most ``cap`` windows per person and rhythm, spread evenly over the person's windows."""
    groups: dict[tuple[str, str | None], list[list[Row]]] = defaultdict(list)
    for rows in windows:
        groups[rows[0].record.subject, rows[0].episode.rhythm].append(rows)
    for found in groups.values():
        for i in _evenly(len(found), cap):
            yield from found[i]
