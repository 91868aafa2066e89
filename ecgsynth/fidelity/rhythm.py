"""Numbers that tell whether a stretch of signal is the rhythm it claims, from the signal itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import (
    BeatShape,
    beat_correlation,
    hann,
    lag_correlation,
    middle,
    p_consistency,
    p_wave,
    qrs_edges,
)

Array = NDArray[np.float64]

#: Annotated and detected beats within this many seconds are the same beat: a third of the 150 ms of ANSI/AAMI
#: EC57, which also forgives beats marked elsewhere on the QRS; a beat of a generator should be on it.
TOLERANCE = 0.05
#: Beats this close to either end (seconds) are left out of the agreement: detectors need a run-in.
EDGE = 0.4
#: A QRS that seems longer than this, in seconds, runs into its T wave; its width is given as this.
LONGEST_QRS = 0.4
#: Beats that correlate this well with the median beat are of its kind; ectopic ones are not.
ALIKE = 0.8


def rr_numbers(peaks: NDArray[np.int64], fs: float) -> dict[str, float]:
    """Rate and irregularity of R peaks; what too few peaks cannot tell is left out.

    ``rate`` in beats/min from the median RR interval, ``mean_rate`` from the mean, ``rate_least`` and
    ``rate_most`` the smaller and larger of the two (beats seen twice raise one, missed ones lower it),
    ``nrmssd`` is RMSSD over mean RR (Dash 2009), ``rr_step`` the median change from one RR to the next over
    the median RR (an ectopic or missed beat does not move it), ``alternate_2`` and ``alternate_3`` how much
    better RR intervals repeat after 2 or 3 beats than after one: ``1 - mean |rr[i+k] - rr[i]| / mean
    |rr[i+1] - rr[i]|``.
    """
    rr = np.diff(peaks) / fs
    numbers: dict[str, float] = {}
    if len(rr) >= 2:
        numbers["rate"] = 60.0 / float(middle(rr))
        numbers["mean_rate"] = 60.0 / float(rr.mean())
        numbers["rate_least"], numbers["rate_most"] = sorted((numbers["rate"], numbers["mean_rate"]))
    if len(rr) >= 4:
        step = np.diff(rr)
        numbers["rr_step"] = float(middle(np.abs(step)) / middle(rr))
        numbers["nrmssd"] = float(np.sqrt(np.mean(step**2)) / rr.mean())
        one = float(np.abs(step).mean())
        for lag in (2, 3):
            if len(rr) > lag + 1:
                later = float(np.abs(rr[lag:] - rr[:-lag]).mean())
                numbers[f"alternate_{lag}"] = 1.0 - later / max(one, 0.01 * float(rr.mean()))
    return numbers


def shape_numbers(shape: BeatShape) -> dict[str, float]:
    """P wave, QRS width and likeness of beats.

    ``p_score`` and ``p_share`` see :func:`~ecgsynth.fidelity.beatshape.p_wave` and
    :func:`~ecgsynth.fidelity.beatshape.p_consistency` (over beats like the median one);
    ``steep_ms`` for how long the median QRS is steep; ``likeness`` median
    correlation of beats to their median; ``repeat_2`` and ``repeat_3`` how much liker beats 2 or 3 apart
    are than neighbours, in units of correlation.
    """
    score, _ = p_wave(shape)
    onset, offset = qrs_edges(shape)
    near = lag_correlation(shape, 1)
    alike = beat_correlation(shape)
    return {
        "p_score": score,
        "p_share": p_consistency(shape, alike > ALIKE),
        "steep_ms": 1000.0 * min(offset - onset, LONGEST_QRS),
        "likeness": float(middle(alike)),
        "repeat_2": lag_correlation(shape, 2) - near,
        "repeat_3": lag_correlation(shape, 3) - near,
    }


def oscillation_numbers(clean: Array, fs: float) -> dict[str, float]:
    """How much a baseline-free lead looks like fibrillation or flutter of the ventricles.

    ``dominant_hz`` the strongest frequency from 1 to 12 Hz, ``concentration`` the share of the power
    in 0.5 to 40 Hz within
    0.7 Hz of it, ``peakedness`` the kurtosis of the samples (a sine has 1.5, noise 3, a QRS rhythm over
    6), ``quiet`` the share of samples under 20 % of the 99th percentile of their size.
    """
    window, frequency = hann(len(clean), fs)
    power = np.abs(np.fft.rfft(clean * window)) ** 2
    low, one = np.searchsorted(frequency, (0.5, 1.0)).tolist()
    twelve, high = np.searchsorted(frequency, (12.0, 40.0), side="right").tolist()
    smooth = np.convolve(power, np.ones(max(1, round(0.4 * len(clean) / fs))), "same")
    dominant = float(frequency[one + int(np.argmax(smooth[one:twelve]))])
    band = power[low:high]
    near = np.abs(frequency[low:high] - dominant) <= 0.7
    level = clean - clean.mean()
    square = level * level
    variance = max(float(level @ level) / len(level), 1e-12)
    size = np.abs(level)
    top = float(np.partition(size, int(0.99 * len(size)))[int(0.99 * len(size))])
    return {
        "dominant_hz": dominant,
        "concentration": float(band[near].sum() / max(band.sum(), 1e-12)),
        "peakedness": float(square @ square) / len(level) / variance**2,
        "quiet": float((size < 0.2 * top).mean()),
    }


def agreement(
    marked: NDArray[np.int64],
    detected: NDArray[np.int64],
    fs: float,
    n_samples: int,
    tolerance: float = TOLERANCE,
) -> dict[str, float]:
    """``sensitivity`` and ``precision`` of marked beats against detected ones within ``tolerance`` seconds.

    ``sensitivity``: share of marked beats with a detected one near; ``precision``: share of detected
    beats with a marked one near. Beats within 0.4 s of an end are not asked for but may be matched.
    """
    numbers: dict[str, float] = {}
    for name, asked, given in (("sensitivity", marked, detected), ("precision", detected, marked)):
        core = asked[(asked >= EDGE * fs) & (asked < n_samples - EDGE * fs)]
        if len(core) < 2:
            continue
        if len(given) == 0:
            numbers[name] = 0.0
            continue
        right = np.minimum(np.maximum(np.searchsorted(given, core), 1), len(given) - 1)
        gap = np.minimum(np.abs(given[right] - core), np.abs(given[np.maximum(right - 1, 0)] - core))
        numbers[name] = float((gap <= tolerance * fs).mean())
    return numbers


def rhythm_numbers(
    clean: Array, fs: float, peaks: NDArray[np.int64], shape: BeatShape | None
) -> dict[str, float]:
    """All numbers of one stretch on one baseline-free lead; those that cannot be assessed are absent.

    ``pattern_2`` and ``pattern_3`` are the clearer of RR intervals and shapes repeating after 2 or 3 beats.
    """
    numbers = rr_numbers(peaks, fs) | oscillation_numbers(clean, fs)
    if shape is not None:
        numbers.update((k, v) for k, v in shape_numbers(shape).items() if np.isfinite(v))
    for lag in (2, 3):
        both = [numbers[k] for k in (f"alternate_{lag}", f"repeat_{lag}") if k in numbers]
        if both:
            numbers[f"pattern_{lag}"] = max(both)
    return numbers
