"""T waves that come later after longer intervals: what a template, the same for all beats, cannot do.

After each beat that the atria have led to, the time axis of the heart is shifted between the end of the QRS
and the next P wave, in all leads alike: at once by part of how much the interval before differs from those of
the last minute, and slowly by how much these differ from the record's median, at which the person was drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.plan import PLAN_FS, Plan

Array = NDArray[np.float64]
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]

#: Shift over change of RR, at once: mean and SD over people, and the most. In mitdb the time from R to the
#: peak of T over the interval before has a slope of 31 ms/s in sinus rhythm and 20 ms/s in AF (medians;
#: quartiles in sinus rhythm 12 and 54; ``benchmarks/physiology.py``).
_AT_ONCE = (0.036, 0.026, 0.1)
#: The same of the last minute's mean RR: Fridericia's cube root at 60/min, of the part up to the peak of T.
_SLOWLY, _MEMORY_S = 0.1, 60.0
#: Farthest shift in s.
_FARTHEST = 0.04
#: After an R peak, in s: where the shift begins, where T begins, where T ends at the latest; before the next
#: R peak, where P begins, and the shortest time in which the shift fades before that.
_BEGINS, _T_BEGINS, _T_ENDS, _P_BEGINS, _FADES = 0.06, 0.2, 0.42, 0.2, 0.1
_CONDUCTED = frozenset("NLRAaJSjenBQ?")


def with_adapted_t(plan: Plan, pair: Pair, rng: np.random.Generator) -> Pair:
    """A strip and the heart in it ``[leads, samples]``, with T waves that follow RR; both change alike."""
    if len(plan.beat_times) < 3:
        return pair
    knots, shifts = _course(plan.beat_times, plan.symbols, rng)
    if not len(knots):
        return pair
    signal, heart = pair
    at = np.arange(heart.shape[1], dtype=np.float64)
    shift = np.interp(at / PLAN_FS, knots, shifts, 0.0, 0.0) * PLAN_FS
    moved = np.flatnonzero(shift)
    change = np.zeros_like(heart)
    for row, lead in zip(change, heart, strict=True):
        row[moved] = np.interp(at[moved] - shift[moved], at, lead) - lead[moved]
    return signal + change, heart + change


def _course(times: Array, symbols: tuple[str, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    """Corners of the shift over time: where, and how much, both in s."""
    mean, sd, most = _AT_ONCE
    at_once = float(np.clip(rng.normal(mean, sd), 0.0, most))
    rr = np.diff(times)
    recent = _recent(rr)
    shift = at_once * (rr - recent) + _SLOWLY * (recent - float(np.median(rr)))
    shift = np.clip(shift, -_FARTHEST, _FARTHEST)
    # The T wave of beat i follows the interval before it and has to end before the next beat's P wave.
    until = np.append(rr[1:], 2.0)
    ends = np.minimum(_T_ENDS, until - _P_BEGINS - _FADES)
    led = np.array([symbol in _CONDUCTED for symbol in symbols[1:]])
    taken = np.flatnonzero(led & (ends > _T_BEGINS + 0.02))
    r, end, own = times[1:][taken], ends[taken], shift[taken]
    back = np.minimum(end + 0.2, until[taken] - _P_BEGINS)
    knots = np.stack([r + _BEGINS, r + _T_BEGINS, r + end, r + back], 1).ravel()
    none = np.zeros_like(own)
    return knots, np.stack([none, own, own, none], 1).ravel()


def _recent(rr: Array) -> Array:
    """Mean of the intervals before each, remembered for about `_MEMORY_S`; at first the record's median."""
    out = np.empty_like(rr)
    level = float(np.median(rr))
    for i, own in enumerate(rr.tolist()):
        out[i] = level
        level += (1 - np.exp(-own / _MEMORY_S)) * (own - level)
    return out
