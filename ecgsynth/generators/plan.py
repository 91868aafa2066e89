"""What a record will contain, decided before any waveform is drawn.

The rhythm process turns a :class:`Request` into a :class:`Plan`; every generator only renders plans.
Annotations and RR statistics are therefore right by construction, whatever the network does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgsynth.records import Episode

#: Rate in Hz at which plans are made and generators work.
PLAN_FS = 250


@dataclass(frozen=True)
class Request:
    """What the user asked of one record; None means "draw it as real people have it".

    Attributes
    ----------
    script : tuple of (str, float)
        Canonical rhythm name and seconds, in order.
    heart_rate : float or None
        Mean ventricular rate in beats/min, honoured in every episode that has beats.
    ectopy : float or None
        Fraction (0-0.5) of beats that are premature ventricular beats, in rhythms where these are not
        already part of the pattern; then there are no premature atrial ones. None draws both as training
        people of the source have them.
    leads : tuple of str
    source : str
        Database whose people and device to resemble.
    age : float or None
        Years.
    sex : {"M", "F"} or None
    """

    script: tuple[tuple[str, float], ...]
    leads: tuple[str, ...]
    source: str
    heart_rate: float | None = None
    ectopy: float | None = None
    age: float | None = None
    sex: Literal["M", "F"] | None = None

    @property
    def seconds(self) -> float:
        """Duration of the whole record."""
        return float(sum(seconds for _, seconds in self.script))


@dataclass(frozen=True)
class Plan:
    """When everything happens in one record. Times are seconds from the start of the record.

    Attributes
    ----------
    request : Request
    n_samples : int
        Length at `PLAN_FS`.
    episodes : tuple of Episode
        In samples at `PLAN_FS`.
    beat_times : float64 array [beats]
        R peaks in s, increasing, may start a little before 0 and end after the record so that waves of
        beats just outside still reach in.
    symbols : tuple of str
        WFDB beat code of each beat.
    p_times : float64 array [p]
        Peaks of P waves, conducted or not.
    osc_phase : float32 array [n_samples]
        Phase in cycles (not wrapped) of the f waves, flutter waves or ventricular fibrillation; rising
        through an integer where the wave peaks, slipping back where it all but vanishes. 0 where the rhythm
        has none.
    osc_amplitude : float32 array [n_samples]
        Amplitude of that wave relative to its record's mean (about 1); 0 where the rhythm has none.
    """

    request: Request
    n_samples: int
    episodes: tuple[Episode, ...]
    beat_times: NDArray[np.float64]
    symbols: tuple[str, ...]
    p_times: NDArray[np.float64]
    osc_phase: NDArray[np.float32]
    osc_amplitude: NDArray[np.float32]
