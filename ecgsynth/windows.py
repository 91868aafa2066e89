"""From recordings to fixed-length windows: one sampling rate, beats everywhere, one rhythm, no junk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OptionError
from ecgsynth.records import Beats, Episode, Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.rpeaks import bridge_gaps, detect_r_peaks

#: A lead that does not move for longer is switched off or saturated, not an ECG.
FLAT_S = 0.5
#: A plateau this long at the extreme of a window is an amplifier at its limit.
CLIPPED_S = 0.03
#: Larger swings within a window are electrode artefacts (README of the data: some reach 5-11 mV).
LARGEST_MV = 10.0
#: Steps below this are "the same value", in mV: well under the 5 uV step of a 200/mV converter.
SAME_MV = 2e-4
#: A beat in bigeminy or trigeminy is premature when its RR is this much shorter than the next one.
PREMATURE = 0.87
#: Symbols that a detector's beats get from the rhythm they lie in; all others get the conduction's or ``N``.
SYMBOL_IN: Final = {"vt": "V", "idioventricular": "V", "paced": "/"}
_SYMBOL_OF_CONDUCTION = {"RBBB": "R", "LBBB": "L"}


@dataclass(frozen=True)
class Window:
    """Where a window lies in its record.

    Attributes
    ----------
    start, stop : int
        Samples at the record's fs.
    episode : Episode
        The rhythm it was taken for and where that rhythm lies, in the record's samples.
    """

    start: int
    stop: int
    episode: Episode


def resample(record: Record, fs: float) -> Record:
    """The record at another sampling rate, with beats and episodes moved to match.

    Polyphase filtering (`scipy.signal.resample_poly`), whose Kaiser window filter removes what the lower of
    the two rates cannot hold. NaN gaps are bridged for the filter and put back afterwards.
    ``extra["bandwidth"]`` states the highest frequency in Hz that the signal can still hold.

    Raises
    ------
    OptionError
        If fs is not a number of at least 1.
    """
    if not (np.isfinite(fs) and fs >= 1):
        raise OptionError(f"resample: fs is {fs}; allowed is any number of Hz from 1 up, such as 250.")
    if fs == record.fs:
        return record
    from scipy.signal import resample_poly

    ratio = Fraction(fs / record.fs).limit_denominator(2000)
    leads = bridge_gaps(np.asarray(record.signal, dtype=np.float64))
    signal = resample_poly(leads, ratio.numerator, ratio.denominator, axis=1, padtype="line")
    n_samples = signal.shape[1]
    signal = signal.astype(np.float32)
    gaps = ~np.isfinite(record.signal)
    if gaps.any():
        signal[_moved_gaps(gaps, n_samples, float(ratio))] = np.nan
    bandwidth = min(float(record.extra.get("bandwidth", record.fs / 2)), fs / 2)
    return replace(
        record,
        signal=signal,
        fs=fs,
        episodes=_moved_episodes(record.episodes, float(ratio), n_samples),
        beats=_moved_beats(record.beats, float(ratio), n_samples),
        extra={**record.extra, "bandwidth": f"{bandwidth:g}"},
    )


def _moved_gaps(gaps: NDArray[np.bool_], n_samples: int, ratio: float) -> NDArray[np.bool_]:
    """Gap mask at the new rate: every sample whose old neighbours on either side are not both known."""
    place = np.arange(n_samples) / ratio
    last = gaps.shape[1] - 1
    before = np.clip(np.floor(place), 0, last).astype(int)
    after = np.clip(np.ceil(place), 0, last).astype(int)
    return np.asarray(gaps[:, before] | gaps[:, after])


def _moved_episodes(episodes: tuple[Episode, ...], ratio: float, n_samples: int) -> tuple[Episode, ...]:
    moved = (
        Episode(round(e.start * ratio), min(round(e.stop * ratio), n_samples), e.rhythm) for e in episodes
    )
    return tuple(e for e in moved if e.stop > e.start)


def _moved_beats(beats: Beats | None, ratio: float, n_samples: int) -> Beats | None:
    if beats is None:
        return None
    samples = np.minimum(np.rint(beats.samples * ratio).astype(np.int64), n_samples - 1)
    samples, first = np.unique(samples, return_index=True)
    return Beats(samples, tuple(beats.symbols[i] for i in first), beats.source)


def ensure_beats(record: Record) -> Record:
    """The record with beats: its own, or a detector's where it has none and a rhythm that has beats.

    Detected beats are ``V`` in ventricular tachycardia and idioventricular rhythm, ``/`` in paced rhythm,
    ``V`` or the conduction's symbol by prematurity in bigeminy and trigeminy, and else ``R`` or ``L`` where
    the record's ``conduction`` note says bundle branch block, ``Q`` where the rhythm is not known, or ``N``.
    They are a machine's marks and ``source`` says so. Ventricular flutter and fibrillation get none.
    """
    if record.beats is not None or not any(_has_beats(e.rhythm) for e in record.episodes):
        return record
    peaks = detect_r_peaks(record.signal, record.fs)
    rhythms = _rhythm_at(record, peaks)
    keep = [i for i, name in enumerate(rhythms) if name is None or RHYTHMS[name].has_beats]
    peaks, rhythms = peaks[keep], [rhythms[i] for i in keep]
    conducted = _SYMBOL_OF_CONDUCTION.get(record.extra.get("conduction", ""), "N")
    early = _premature(peaks)
    symbols = tuple(_symbol(name, conducted, early[i]) for i, name in enumerate(rhythms))
    return replace(record, beats=Beats(peaks, symbols, "detected"))


def _has_beats(rhythm: str | None) -> bool:
    return rhythm is not None and RHYTHMS[rhythm].has_beats


def _rhythm_at(record: Record, samples: NDArray[np.int64]) -> list[str | None]:
    starts = np.array([e.start for e in record.episodes])
    found = np.searchsorted(starts, samples, side="right") - 1
    return [
        record.episodes[i].rhythm if i >= 0 and sample < record.episodes[i].stop else None
        for i, sample in zip(found, samples, strict=True)
    ]


def _premature(peaks: NDArray[np.int64]) -> NDArray[np.bool_]:
    early = np.zeros(len(peaks), dtype=bool)
    rr = np.diff(peaks)
    early[1:-1] = rr[:-1] < PREMATURE * rr[1:]
    return early


def _symbol(rhythm: str | None, conducted: str, early: bool) -> str:
    if rhythm is None:
        return "Q"
    if rhythm in ("bigeminy", "trigeminy") and early:
        return "V"
    return SYMBOL_IN.get(rhythm, conducted)


def find_windows(
    record: Record, seconds: float, step: float, within: float = 1.0, rhythm: str | None = None
) -> Iterator[Window]:
    """Places of ``seconds`` every ``step`` seconds in each episode with a known rhythm.

    Parameters
    ----------
    record : Record
    seconds, step : float
        Length of a window and distance from one start to the next, in seconds.
    within : float
        Least share of the window that its episode must cover, 0 < within <= 1. Below 1 a window may begin
        before its episode or end after it, so that short episodes are not lost.
    rhythm : str, optional
        Only episodes of this rhythm.
    """
    if not (seconds > 0 and step > 0 and 0 < within <= 1):
        raise OptionError(
            f"windows: seconds {seconds}, step {step}, within {within}; allowed are positive lengths and "
            "a share over 0 up to 1."
        )
    length, hop = round(seconds * record.fs), max(1, round(step * record.fs))
    slack = int((1 - within) * length)
    for episode in record.episodes:
        if episode.rhythm is None or (rhythm is not None and episode.rhythm != rhythm):
            continue
        first = max(0, episode.start - slack)
        last = min(record.n_samples, episode.stop + slack) - length
        for start in _spread(first, last, hop):
            covered = min(start + length, episode.stop) - max(start, episode.start)
            if covered >= within * length - 0.5:
                yield Window(start, start + length, episode)


def _spread(first: int, last: int, hop: int) -> range:
    """Starts from ``first`` to ``last``, centred so that what does not fill a step is lost on both ends."""
    if last < first:
        return range(0)
    return range(first + (last - first) % hop // 2, last + 1, hop)


def cut(record: Record, seconds: float, step: float, dropped: Counter[str] | None = None) -> Iterator[Record]:
    """Windows of one rhythm each, in time order, with their beats; unusable ones are dropped.

    Parameters
    ----------
    record : Record
    seconds, step : float
        Length and step in seconds.
    dropped : Counter, optional
        Gets the number of windows dropped per reason (see `fault`).

    Yields
    ------
    Record
        Named ``<record>@<start in samples>``.
    """
    for window in find_windows(record, seconds, step):
        part = record.slice(window.start, window.stop)
        reason = next(filter(None, (fault(lead, record.fs) for lead in part.signal)), None)
        if reason is None:
            yield replace(part, name=f"{record.name}@{window.start}")
        elif dropped is not None:
            dropped[reason] += 1


def fault(lead: NDArray[np.float32], fs: float) -> str | None:
    """Why a window [samples] of one lead is unusable: ``nan``, ``flat``, ``clipped``, ``amplitude``; or None.

    Meant for the rate the signal was recorded at: resampling rounds the plateaus off that show clipping.
    """
    if not np.isfinite(lead).all():
        return "nan"
    swing = float(np.ptp(lead))
    if swing > LARGEST_MV:
        return "amplitude"
    same = np.abs(np.diff(lead)) < SAME_MV
    runs = _runs(same)
    if len(runs) and (runs[:, 1] - runs[:, 0]).max() >= FLAT_S * fs:
        return "flat"
    height = np.abs(lead - np.median(lead))
    top = max(0.98 * float(height.max()), 1.0)
    shortest = max(5, round(CLIPPED_S * fs))
    if any(stop - start >= shortest and height[start] >= top for start, stop in runs):
        return "clipped"
    return None


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[runs, 2] start and stop of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)
