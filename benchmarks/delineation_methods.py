"""Delineators that the benchmark compares, each a function of one lead, and the clock they run under."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.delineation import delineate

Array = NDArray[np.float64]
#: Points [beats, 9] in samples of one lead [samples] at a sampling rate.
Method = Callable[[Array, float], Array]


def by_ecgsynth(lead: Array, fs: float) -> Array:
    return delineate(lead, fs).points[0]


def by_neurokit2(lead: Array, fs: float) -> Array:
    import neurokit2 as nk

    out = np.full((0, 9), np.nan)
    rate = round(fs)
    clean = nk.ecg_clean(lead, sampling_rate=rate)
    _, found = nk.ecg_peaks(clean, sampling_rate=rate)
    peaks = np.asarray(found["ECG_R_Peaks"])
    if len(peaks) < 3:
        return out
    _, waves = nk.ecg_delineate(clean, peaks, sampling_rate=rate, method="dwt")
    names = (
        "P_Onsets",
        "P_Peaks",
        "P_Offsets",
        "R_Onsets",
        None,
        "R_Offsets",
        "T_Onsets",
        "T_Peaks",
        "T_Offsets",
    )
    columns = [peaks if name is None else waves[f"ECG_{name}"] for name in names]
    n = min(len(column) for column in columns)
    return np.stack([np.asarray(column[:n], dtype=np.float64) for column in columns], axis=1)


def by_wfdb(lead: Array, fs: float) -> Array:
    from wfdb.processing import xqrs_detect

    peaks = xqrs_detect(lead, fs, verbose=False)
    out = np.full((len(peaks), 9), np.nan)
    out[:, 4] = peaks
    return out


METHODS: dict[str, tuple[str, Method]] = {
    "ecgsynth": ("ecgsynth", by_ecgsynth),
    "neurokit2": ("NeuroKit2 dwt", by_neurokit2),
    "wfdb": ("wfdb xqrs", by_wfdb),
}
PACKAGES = {"ecgsynth": "ecgsynth", "neurokit2": "neurokit2", "wfdb": "wfdb"}


class Clock:
    """CPU seconds and seconds of single-lead signal of one method."""

    def __init__(self, method: Method) -> None:
        self.method, self.cpu, self.signal, self.failed = method, 0.0, 0.0, 0

    def __call__(self, lead: Array, fs: float) -> Array:
        before = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                points = self.method(lead, fs)
        except (ValueError, IndexError, ZeroDivisionError, TypeError, KeyError):
            # Peers raise on leads in which they find too few peaks; that is counted, not hidden.
            self.failed += 1
            points = np.empty((0, 9))
        self.cpu += time.process_time() - before
        self.signal += len(lead) / fs
        return points
