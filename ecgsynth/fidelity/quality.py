"""Signal quality of one lead: the published indices, and what damage leaves behind that they do not see.

bSQI, kSQI, pSQI and basSQI are those of Li Q, Mark RG, Clifford GD, Physiol Meas 29:15-32, 2008, and
Clifford GD et al., Physiol Meas 33:1419, 2012. Fixed thresholds for them do not carry over between databases
(Rahman S et al., Comput Biol Med 2022), so here they only have bounds fitted on real people.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import middle
from ecgsynth.fidelity.rhythm import agreement
from ecgsynth.filters import fast_length, moving_max, moving_mean

Array = NDArray[np.float64]

#: Edges in Hz of the bands whose share of the power is measured; the last one ends where 100 Hz recordings
#: do.
BAND_EDGES = (0.5, 4.0, 8.0, 12.0, 16.0, 20.0, 25.0, 32.0, 40.0)
#: Lags in seconds at which the signal is compared with its own mirror image.
MIRROR_LAGS = (0.012, 0.032, 0.08, 0.2)
#: Shortest and longest period, in seconds, that counts as a repeated stretch of samples.
REPEAT_S = (0.25, 4.0)
#: Two beats closer than this are one to the second detector, in seconds.
APART = 0.25
#: Two detectors mean the same beat within this many seconds (Li 2008 takes 0.15 s).
SAME_BEAT = 0.1
#: Smallest power that is told from none, as a share: what 1 uV steps leave of a 1 mV signal.
_LEAST = 1e-9


def second_detector(clean: Array, fs: float) -> NDArray[np.int64]:
    """Beats by a detector that shares nothing with the first: peaks of the smoothed squared slope.

    The threshold is 30 % of the median of the largest value in each stretch of 2 s.
    """
    slope = np.gradient(clean)
    energy = moving_mean(slope * slope, max(3, round(0.1 * fs)))
    n = round(2.0 * fs)
    tops = (
        energy[: len(energy) // n * n].reshape(-1, n).max(1)
        if len(energy) >= n
        else energy.max(keepdims=True)
    )
    high = energy == moving_max(energy, 2 * round(APART * fs) + 1)
    return np.flatnonzero(high & (energy > 0.3 * middle(tops))).astype(np.int64)


@lru_cache(maxsize=16)
def _bands(n: int, fs: float) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Hann window, first bin of each band, and bins at the indices' edges (1, 5, 15, 40 Hz)."""
    frequency = np.fft.rfftfreq(n, 1 / fs)
    last = len(frequency) - 1
    starts = np.minimum(np.searchsorted(frequency, BAND_EDGES), last)
    edges = np.minimum(np.searchsorted(frequency, (1.0, 5.0, 15.0, 40.0)), last)
    return np.hanning(n), starts, edges


def spectral_numbers(level: Array, clean: Array, fs: float) -> dict[str, float]:
    """Indices from the power spectrum.

    ``psqi`` share of 5-15 Hz in 5-40 Hz, ``bassqi`` 1 less the share under 1 Hz in 0-40 Hz (of the lead with
    its baseline, ``level``); ``band_<low>`` log10 share of each band of `BAND_EDGES` in 0.5-40 Hz;
    ``line_hz`` and ``line`` the strongest frequency above 15 Hz and how far it stands out (log10), such as
    that of the mains; ``reach_99`` and ``reach_99.99`` frequencies in Hz below which so much of the power
    lies; ``fine_uv`` log10 of the median size of the change of slope from sample to sample, in uV: the noise
    floor.
    """
    window, starts, edges = _bands(len(clean), fs)
    power = np.abs(np.fft.rfft(clean * window)) ** 2 + 1e-12
    shares = np.add.reduceat(power, starts)[:-1]
    shares = shares / shares.sum()
    one, five, fifteen, forty = edges.tolist()
    whole = np.abs(np.fft.rfft((level - level.mean()) * window)) ** 2
    numbers = {
        "psqi": float(power[five:fifteen].sum() / power[five:forty].sum()),
        "bassqi": 1.0 - float(whole[:one].sum() / max(float(whole[:forty].sum()), 1e-12)),
        "fine_uv": float(np.log10(1000.0 * middle(np.abs(np.diff(clean, 2))) + 1e-3)),
    }
    fast = power[edges[2] :]
    line = int(fast.argmax())
    numbers["line_hz"] = (edges[2] + line) * fs / len(clean)
    numbers["line"] = float(
        np.log10(fast[line] / max(float(middle(fast[max(0, line - 40) : line + 40])), 1e-12))
    )
    summed = np.cumsum(power[starts[0] :])
    for share in (0.99, 0.9999):
        at = int(np.searchsorted(summed, share * summed[-1]))
        numbers[f"reach_{100 * share:g}"] = (starts[0] + at) * fs / len(clean)
    for low, share in zip(BAND_EDGES, shares.tolist(), strict=False):
        numbers[f"band_{low:g}"] = float(np.log10(max(share, _LEAST)))
    return numbers


def repetition(level: Array, fs: float) -> float:
    """How nearly a stretch repeats sample by sample: -log10(1 - r), r the best normalised autocorrelation.

    Searched from 0.25 to 4 s over the overlapping part, at most half of the lead; a copied beat has 4 and
    more, a person's 1 to 3.
    """
    n = len(level)
    low, high = round(REPEAT_S[0] * fs), min(round(REPEAT_S[1] * fs), n // 2)
    if high <= low + 2:
        return 0.0
    x = level - level.mean()
    size = fast_length(n + high)
    product = np.fft.irfft(np.abs(np.fft.rfft(x, size)) ** 2, size)[low:high]
    energy = np.cumsum(x * x)
    first = energy[n - 1 - np.arange(low, high)]
    last = energy[-1] - energy[np.arange(low, high) - 1]
    best = float((2.0 * product / np.maximum(first + last, 1e-12)).max())
    return float(-np.log10(max(1.0 - best, 1e-7)))


def mirror_numbers(clean: Array, fs: float) -> dict[str, float]:
    """What tells a lead from itself played backwards, per lag of `MIRROR_LAGS`.

    ``turn_<ms>`` is the skewness of the change over the lag: negative in reversed and in inverted leads.
    ``arrow_<ms>`` is ``mean(x^3 y - x y^3) / var^2`` with y a lag after x: it changes sign in reversed leads
    only.
    """
    x = clean / max(float(clean.std()), 1e-6)
    numbers = {}
    cube = x * x * x
    for seconds in MIRROR_LAGS:
        lag = max(1, round(seconds * fs))
        change = x[lag:] - x[:-lag]
        n = len(change)
        square = change * change
        name = f"{1000 * seconds:.0f}"
        numbers[f"turn_{name}"] = float(square @ change) / n / max(float(change @ change) / n, 1e-9) ** 1.5
        numbers[f"arrow_{name}"] = float(cube[:-lag] @ x[lag:] - x[:-lag] @ cube[lag:]) / len(x)
    return numbers


def quality_numbers(
    level: Array, clean: Array, peaks: NDArray[np.int64], second: NDArray[np.int64], fs: float
) -> dict[str, float]:
    """All quality numbers of one lead.

    Parameters
    ----------
    level, clean : float64 array [samples]
        The lead in mV, with and without its baseline.
    peaks, second : int64 array [beats]
        R peaks of the first and beats of the second detector.
    fs : float
        In Hz.

    Returns
    -------
    dict
        Besides those of the functions above: ``bsqi`` the smaller share of beats on which two detectors
        agree, ``skew`` skewness (sSQI), ``swing_mv`` log10 of the 0.5-99.5 % range, ``wander`` log10 of the
        RMS of the baseline over that range. kSQI is ``peakedness`` in :mod:`ecgsynth.fidelity.rhythm`.
    """
    ordered = np.sort(clean)
    n = len(ordered)
    swing = max(float(ordered[int(0.995 * (n - 1))] - ordered[int(0.005 * (n - 1))]), 1e-4)
    centred = clean - clean.mean()
    square = centred * centred
    both = agreement(second, peaks, fs, n, SAME_BEAT)
    numbers = spectral_numbers(level, clean, fs) | mirror_numbers(clean, fs)
    return numbers | {
        "bsqi": min(both.values()) if both else 0.0,
        "skew": float(square @ centred) / n / max(float(centred @ centred) / n, 1e-12) ** 1.5,
        "swing_mv": float(np.log10(swing)),
        "wander": float(np.log10(max(float((level - clean).std()), 1e-5) / swing)),
        "repetition": repetition(level, fs),
    }
