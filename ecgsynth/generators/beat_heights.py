"""How high each beat of a record is: breathing, a slow sway of the heart's position, and chance."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.ectopy import OWN_VENTRICULAR
from ecgsynth.generators.plan import PLAN_FS, Plan

Array = NDArray[np.float64]

#: Shares of the variance over minutes that are chance and breathing; the rest is slow. With these, the time
#: that it takes the slow part to forget (s), and `_OVER_STRIP`, beats over five minutes of sinus rhythm have
#: the autocorrelation and spectrum of those of 32 train and val people of mitdb, medians at lags 1, 2, 4
#: and 10: 0.73, 0.61, 0.49, 0.21 (``benchmarks/physiology.py``).
_CHANCE, _BREATHING, _SLOW_S = 0.15, 0.15, 10.0
#: SD over minutes by that over the 5 s in which a source's sway was measured. The process alone would ask for
#: 1.75; but the sway was measured over all rhythms of a source, and with this the heights in 10 s strips of
#: sinus rhythm and AF vary as those of train and val people, medians.
_OVER_STRIP = 1.3
#: Largest SD over 5 s, and the lowest and highest beat.
_MOST_SD, _LIMITS = 0.2, (0.3, 1.9)
#: Most that a beat is bent: a bump of one sample's SD stays one.
_MOST_BENT = 0.9
#: Breaths per second, and how much one breath differs from the next (SD).
_BREATHS, _UNEVEN = (0.15, 0.35), 0.04
#: Largest share of the breathing in heights that goes with that in RR. Coherence of the two at the rate of
#: breathing is low in most people of mitdb and high in some (quartiles 0.03, 0.08, 0.24).
_MOST_TIED = 0.9
#: Of fusion beats in a ventricular rhythm, the share of the ventricular beat (lowest, highest), and what both
#: shares add up to: of 734 in 208 and 213 of mitdb, least squares, quartiles 0.15 to 0.63, N 0.5 to 1.1.
_FUSED, _FUSED_SUM = (0.15, 0.65), 1.1


def beat_heights(
    beat_times: Array, sway: NDArray[np.floating], rng: np.random.Generator, sinus: bool = False
) -> Array:
    """Height of each beat over that of its record, about 1.

    Parameters
    ----------
    beat_times : float64 array [beats]
        In s, rising.
    sway : array [2]
        Mean and SD over records of the log SD of heights within 5 s, measured on each source
        (:func:`ecgsynth.training.noise.fit_beat_sway`).
    rng : numpy.random.Generator
    sinus : bool
        Whether a sinus node sets the beats: then they breathe as it does.
    """
    sd = min(float(np.exp(sway[0] + sway[1] * rng.standard_normal())), _MOST_SD)
    parts = (
        np.sqrt(_CHANCE) * rng.standard_normal(len(beat_times)),
        np.sqrt(_BREATHING) * _breathing(beat_times, rng, sinus),
        np.sqrt(1 - _CHANCE - _BREATHING) * _slow(beat_times, rng),
    )
    return np.clip(1 + _OVER_STRIP * sd * sum(parts), *_LIMITS)


def fused(plan: Plan, rng: np.random.Generator) -> tuple[NDArray[np.int64], Array, Array]:
    """Fusion beats of ventricular rhythms: which, and their shares of the ventricular and the conducted beat.

    The ventricles are activated from both sides, and the beat lies between the two. Elsewhere a network
    draws fusions as those of its people (paced ones above all). Nothing is drawn where there are none.
    """
    at = plan.beat_times * PLAN_FS
    within = np.zeros(len(at), bool)
    for episode in plan.episodes:
        if episode.rhythm in OWN_VENTRICULAR:
            within |= (at >= episode.start) & (at < episode.stop)
    which = np.flatnonzero(within & (np.array(plan.symbols) == "F"))
    share = rng.uniform(*_FUSED, len(which)) if len(which) else np.zeros(0)
    return which, share, _FUSED_SUM - share


def beat_bends(n: int, sway: NDArray[np.floating], rng: np.random.Generator) -> Array:
    """How much blunter each of `n` beats is than that of its record; see `make_conditions`.

    `sway` ``[2]`` is the median over records of the SD within one, and the SD of its logarithm.
    """
    sd = float(sway[0]) * np.exp(float(sway[1]) * rng.standard_normal())
    return np.clip(sd * rng.standard_normal(n), -_MOST_BENT, _MOST_BENT)


def _slow(beat_times: Array, rng: np.random.Generator) -> Array:
    """First-order autoregression in time, standard normal."""
    own = rng.standard_normal(len(beat_times))
    out = own.copy()
    for i, (before, at) in enumerate(pairwise(beat_times.tolist()), 1):
        kept = np.exp(-max(at - before, 0.0) / _SLOW_S)
        out[i] = kept * out[i - 1] + np.sqrt(1 - kept**2) * own[i]
    return out


def _breathing(beat_times: Array, rng: np.random.Generator, sinus: bool) -> Array:
    """Breaths of uneven length, variance 1; in part those that a sinus node follows."""
    # In some leads and people the beats of breathing in are the higher ones, in others the lower ones.
    hz, tied = rng.uniform(*_BREATHS), rng.uniform(-_MOST_TIED, _MOST_TIED)
    seen = _sinus_breathing(beat_times) if sinus else None
    if seen is not None:
        hz = seen[1]
    frequency = np.maximum(hz + _UNEVEN * rng.standard_normal(6), 0.08)
    phase = rng.uniform(0, 2 * np.pi, 6)
    own = np.cos(2 * np.pi * frequency * beat_times[:, None] + phase).sum(1) / np.sqrt(3)
    return own if seen is None else tied * seen[0] + np.sqrt(1 - tied**2) * own


def _sinus_breathing(beat_times: Array) -> tuple[Array, float] | None:
    """What breathing does to RR at each beat, variance 1, and breaths per second; None with too few beats."""
    if len(beat_times) < 8:
        return None
    rr = np.diff(beat_times, prepend=2 * beat_times[0] - beat_times[1])
    rr = np.clip(rr, *(np.median(rr) * np.array([0.7, 1.4])))
    width = max(3, round(5.0 / float(rr.mean()))) | 1
    level = np.convolve(np.pad(rr, width // 2, mode="edge"), np.ones(width) / width, "valid")
    fast = rr - level
    if not fast.std() > 0:
        return None
    fast = np.clip(fast / fast.std(), -2.5, 2.5)
    grid = np.arange(_BREATHS[0], _BREATHS[1], 0.01)
    power = np.abs(np.exp(-2j * np.pi * grid[:, None] * beat_times) @ fast)
    return fast, float(grid[power.argmax()])
