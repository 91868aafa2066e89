"""What flows through the house: one recording of one person, with its beats and rhythms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BeatSource = Literal["annotated", "detected", "generated"]

#: Standard order of the twelve leads.
TWELVE_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
#: The eight leads that carry all the information; the other four are sums of I and II.
INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True)
class Beats:
    """Beat annotations of a record.

    Attributes
    ----------
    samples : int64 array [beats]
        Sample index of each R peak (or main QRS deflection) at the record's fs, strictly increasing.
    symbols : tuple of str
        WFDB beat codes, one per beat: ``N L R A a J S V F e j E / f Q``.
    source : {"annotated", "detected", "generated"}
        A human's marks, a detector's, or the rhythm process that drew them.
    """

    samples: NDArray[np.int64]
    symbols: tuple[str, ...]
    source: BeatSource


@dataclass(frozen=True)
class Episode:
    """A stretch ``[start, stop)`` in samples with one rhythm, named as in :mod:`ecgsynth.rhythms`.

    ``rhythm`` is None where the source's mark is not one of ours (noise, asystole, unlabelled).
    """

    start: int
    stop: int
    rhythm: str | None


@dataclass(frozen=True)
class Record:
    """One recording.

    Attributes
    ----------
    name : str
        Record name within its source.
    signal : float32 array [leads, samples]
        In mV. NaN marks gaps.
    fs : float
        Sampling rate in Hz.
    leads : tuple of str
        One name per row of ``signal``.
    subject : str
        Who was recorded, unique over all sources (``"mitdb/201"``); equal for records of one person.
    source : str
        Database or device family, such as ``"mitdb"`` or ``"cinc2017"``.
    episodes : tuple of Episode
        Rhythms in time order, not overlapping.
    beats : Beats or None
        None where the source has no beat labels and no detector has run.
    age : float or None
        In years.
    sex : {"M", "F"} or None
    extra : mapping of str to str
        Anything else worth carrying, such as ``{"synthetic": "cvae"}``.
    """

    name: str
    signal: NDArray[np.float32]
    fs: float
    leads: tuple[str, ...]
    subject: str
    source: str
    episodes: tuple[Episode, ...] = ()
    beats: Beats | None = None
    age: float | None = None
    sex: Literal["M", "F"] | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_samples(self) -> int:
        """Samples per lead."""
        return int(self.signal.shape[1])

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.n_samples / self.fs

    def slice(self, start: int, stop: int) -> Record:
        """The part ``[start, stop)`` in samples, with its beats and episodes moved to match."""
        episodes = tuple(
            Episode(max(e.start, start) - start, min(e.stop, stop) - start, e.rhythm)
            for e in self.episodes
            if e.start < stop and e.stop > start
        )
        beats = self.beats
        if beats is not None:
            inside = np.flatnonzero((beats.samples >= start) & (beats.samples < stop))
            beats = Beats(
                beats.samples[inside] - start, tuple(beats.symbols[i] for i in inside), beats.source
            )
        return replace(self, signal=self.signal[:, start:stop], episodes=episodes, beats=beats)

    def pick(self, leads: tuple[str, ...]) -> Record:
        """The same record with only ``leads``, in that order; KeyError names a missing one."""
        rows = {lead: i for i, lead in enumerate(self.leads)}
        index = [rows[lead] for lead in leads]
        return replace(self, signal=self.signal[index], leads=leads)


def twelve_from_eight(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Twelve leads [12, samples] in standard order from the eight independent ones [8, samples].

    Einthoven: ``III = II - I``. Goldberger: ``aVR = -(I + II) / 2``, ``aVL = I - II / 2``,
    ``aVF = II - I / 2``. Both hold exactly in the result, before rounding to integers.
    """
    one, two = signal[0], signal[1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.stack([*limb, *signal[2:]]).astype(np.float32)
