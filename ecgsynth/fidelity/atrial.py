"""P waves that stand out of the noise of a whole strip, how they move against the QRS, and how RR scatters.

A P wave that no single beat shows is there in the mean of all: noise falls with the square root of the beats.
So every beat is compared with the outline of a P wave at each place before the QRS, and what is told is the
mean over beats in its own standard errors, which needs no model of the noise (a matched filter; Turin GL, IRE
Trans Inf Theory 6:311-329, 1960).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import BeatShape, detrend, middle

Array = NDArray[np.float64]

#: Half widths (standard deviations) of the outlines of P waves, in seconds: narrow and broad ones (P lasts
#: 80 to 120 ms).
WIDTHS = (0.016, 0.028)
#: A place needs this much signal to both sides (seconds), the outline reaches this far at most.
ROOM, REACH = 0.036, 0.1
#: Where P waves may be, in seconds before R; later starts at high rates as a share of RR.
FROM, FROM_RR = 0.3, 0.45
#: The QRS begins between these many seconds before R.
ONSET = (0.08, 0.032)
#: Where T is over and no P has begun, in seconds after R.
REST = (0.4, 0.56)
#: Drifts that are tried, in seconds from the first to the last beat, and the part of a beat that is followed.
DRIFTS = tuple(0.02 * k for k in range(-6, 7))
FOLLOWED = (-0.26, -0.1)
#: Fewest beats.
FEWEST = 4


@lru_cache(maxsize=256)
def _outlines(n: int, fs: float, width: float) -> Array:
    """Outlines [places, n] of a P wave of 1 mV at every place: bells of length 1 without mean and slope."""
    time = np.arange(n) / fs
    places = time[(time >= ROOM) & (time <= time[-1] - ROOM)]
    apart = time - places[:, None]
    near = np.abs(apart) <= REACH
    count = np.maximum(near.sum(axis=1, keepdims=True), 1)
    bell = np.where(near, np.exp(-0.5 * (apart / width) ** 2), 0.0)
    line = np.where(near, apart - (apart * near).sum(axis=1, keepdims=True) / count, 0.0)
    slope = (bell * line).sum(axis=1, keepdims=True) / (line * line).sum(axis=1, keepdims=True)
    bell = np.where(near, bell - bell.sum(axis=1, keepdims=True) / count - slope * line, 0.0)
    return np.asarray(bell / np.maximum((bell * bell).sum(axis=1, keepdims=True), 1e-12))


def _strongest(beats: Array, fs: float) -> tuple[float, float, float] | None:
    """The bell that stands out most of ``beats`` [beats, samples]: standard errors, mV and its sample."""
    best: tuple[float, float, float] | None = None
    for width in WIDTHS:
        outlines = _outlines(beats.shape[1], fs, width)
        if not len(outlines):
            return None
        heights = beats @ outlines.T
        mean = heights.mean(axis=0)
        error = float(np.sqrt(np.mean((heights - mean) ** 2) / (len(beats) - 1)))
        at = int(np.abs(mean).argmax())
        score = float(mean[at]) / max(error, 1e-5)
        if best is None or abs(score) > abs(best[0]):
            best = (score, float(mean[at]), at + int(np.ceil(ROOM * fs)))
    return best


def p_fit_numbers(shape: BeatShape) -> dict[str, float]:
    """The P wave by a matched filter over all beats.

    ``fit_z`` its height in standard errors (negative for one upside down), ``fit_mv`` the height, ``fit_ms``
    how long before R its peak is, ``fit_rest`` the largest score between T and the next P, where nothing
    repeats, ``fit_over`` the size of the score over that one.
    """
    fs, n = shape.fs, len(shape.beats)
    onset = min(max(-shape.qrs[0], ONSET[1]), ONSET[0])
    window = shape.window(-min(FROM, FROM_RR * shape.rr), -onset)
    found = _strongest(shape.beats[:, window], fs) if n >= FEWEST else None
    if found is None:
        return {}
    score, height, at = found
    numbers = {"fit_z": score, "fit_mv": height, "fit_ms": 1000.0 * (shape.centre - window.start - at) / fs}
    if shape.rr >= REST[1] + FROM:
        rest = _strongest(shape.beats[:, shape.window(*REST)], fs)
        if rest is not None:
            numbers |= {"fit_rest": abs(rest[0]), "fit_over": abs(score) - abs(rest[0])}
    return numbers


def p_slope_numbers(shape: BeatShape) -> dict[str, float]:
    """Whether beats agree better before the QRS if their P waves are let drift along the strip.

    ``slope_ms`` the size of the drift, of `DRIFTS`, at which most of what is before the QRS repeats,
    ``slope_share`` how much that is (as ``p_share``), ``slope_gain`` how much more than without a drift.
    """
    fs, n = shape.fs, len(shape.beats)
    if n < 2 * FEWEST or shape.rr < 0.45:
        return {}
    index = np.arange(n) / (n - 1) - 0.5
    shifts = np.rint(np.outer(DRIFTS, index) * fs).astype(np.int64)
    core = np.arange(round(FOLLOWED[0] * fs), round(FOLLOWED[1] * fs)) + shape.centre
    rows = detrend(shape.beats[np.arange(n)[:, None], core + shifts[..., None]])
    power = np.einsum("sbt,sbt->s", rows, rows) / rows[0].size
    summed = rows.sum(axis=1)
    mean = np.einsum("st,st->s", summed, summed) / (n * n * len(core))
    share = (n * mean - power) / ((n - 1) * np.maximum(power, 1e-9))
    best, still = int(share.argmax()), len(DRIFTS) // 2
    return {
        "slope_ms": 1000.0 * abs(DRIFTS[best]),
        "slope_share": float(share[best]),
        "slope_gain": float(share[best] - share[still]),
    }


def scatter_numbers(peaks: NDArray[np.int64]) -> dict[str, float]:
    """How RR intervals scatter: in fibrillation all do, with ectopic or missed beats few do.

    ``rr_25`` and ``rr_75`` quartiles of the change from RR to RR over the median RR, ``rr_mad`` the median
    distance of RR from its median, ``rr_turns`` share of changes that go the other way than the one before.
    """
    rr = np.diff(peaks).astype(np.float64)
    if len(rr) < 5:
        return {}
    usual = float(middle(rr))
    step = np.diff(rr) / usual
    ordered = np.sort(np.abs(step))
    return {
        "rr_25": float(ordered[len(ordered) // 4]),
        "rr_75": float(ordered[(3 * len(ordered)) // 4]),
        "rr_mad": float(middle(np.abs(rr / usual - 1.0))),
        "rr_turns": float(np.mean(step[1:] * step[:-1] < 0)),
    }


def atrial_evidence(shape: BeatShape, peaks: NDArray[np.int64]) -> dict[str, float]:
    """All of the above."""
    return p_fit_numbers(shape) | p_slope_numbers(shape) | scatter_numbers(peaks)
