"""Rhythms in which the AV node decides: flutter, second- and third-degree block."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.rr_basics import (
    Array,
    Course,
    Fit,
    Person,
    autoregressive,
    beats_needed,
    sinus_fluctuation,
    sinus_intervals,
    steady_intervals,
)

#: Lowest and highest atrial rate in flutter, per minute (ESC-SVT: 240-350; slower on drugs).
FLUTTER_RATE = (200.0, 350.0)
#: Atrial rates in beats/min a sinus node keeps up while the AV node blocks some of them.
SINUS_RATE = (40.0, 145.0)
#: Beats of flutter over which the mean ratio of block is kept.
_BLOCK_BEATS = 12


def _block_ratios(
    rate: float, rr: float, fixed: bool, stay: float, n: int, rng: np.random.Generator
) -> tuple[float, NDArray[np.int64]]:
    """Atrial rate per minute and how many flutter waves each beat takes, for a mean RR of ``rr``.

    Where block varies it is a Markov chain of two ratios that keeps the one it has with probability `stay`.
    """
    low, high = FLUTTER_RATE
    ratio = rate * rr / 60.0
    # Nobody alternates between 1:1 and 2:1 at such rates; 1:1 conduction is all or nothing.
    whole = 1 if 60.0 / rr > low + 10 else max(round(ratio), 1)
    if (fixed or whole == 1) and low + 10 <= 60.0 * whole / rr <= high - 10:
        return 60.0 * whole / rr, np.full(n, whole)
    base = max(int(ratio), 1)
    more = _two_ratios(min(max(ratio - base, 0.0), 1.0), stay, n, rng)
    return rate, base + more.astype(np.int64)


def _two_ratios(share: float, stay: float, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of ``n`` beats take the higher ratio: `share` of any twelve, in runs as long as `stay` says."""
    high = np.zeros(n, bool)
    state = bool(rng.uniform() < share)
    for first in range(0, n, _BLOCK_BEATS):
        part = high[first : first + _BLOCK_BEATS]
        for k, keeps in enumerate(rng.uniform(size=len(part)) < stay):
            state = state if keeps else bool(rng.uniform() < share)
            part[k] = state
        # The rate asked for is kept: what the chain has too much or too little of is put right at random.
        wrong = int(np.floor(share * len(part) + rng.uniform())) - int(part.sum())
        part[rng.permutation(np.flatnonzero(part == (wrong < 0)))[: abs(wrong)]] ^= True
    return high


def flutter(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Course:
    """Atrial flutter: beats at whole multiples of the atrial cycle, block fixed or varying (2:1 to 4:1)."""
    osc = fit["oscillation"]
    rate = 60.0 * float(np.clip(osc["freq_mean"] + osc["freq_sd_people"] * person.traits[0], 3.8, 5.6))
    block = fit["block"]
    fixed = bool(person.ranks[1] < fit["fixed_share"])
    choice = int(np.searchsorted(np.cumsum(block["share"]), person.ranks[0] * sum(block["share"])))
    if wanted is None and fixed:
        wanted = 60.0 / rate * block["ratio"][choice]
    elif wanted is None:
        wanted = 60.0 / rate * float(np.clip(rng.normal(2.6, 0.5), 2.05, 3.95))
    n = beats_needed(seconds, wanted)
    rate, ratios = _block_ratios(rate, wanted, fixed, 0.9 * float(person.ranks[2]), n, rng)
    waves = int(ratios.sum()) + 8
    within = osc["freq_sd_within"] / osc["freq_mean"]
    pace = 1.0 + within * autoregressive(waves, float(np.exp(-60.0 / rate / osc["freq_tau_s"])), rng)
    atrial = np.concatenate([[0.0], np.cumsum(60.0 / rate / np.clip(pace, 0.9, 1.1))])
    # The time from flutter wave to beat depends on how many waves the node has just blocked.
    jitter = (0.004 if fixed else 0.01) * rng.standard_normal(n).clip(-2.5, 2.5)
    return Course(atrial[np.cumsum(ratios)], jitter, ["N"] * n, np.full(n, np.nan), atrial=atrial)


def _wenckebach(person: Person, cycle: int, gain: float) -> list[float]:
    """PR in s of each conducted beat of one cycle: growing, by less each time (Mobitz type I)."""
    steps = [gain * 0.6**i for i in range(cycle - 2)]
    return list(accumulate(steps, initial=person.pr + 0.03))


def _conduction(drop: int, person: Person, n: int, rng: np.random.Generator) -> Array:
    """PR in s for each of ``n`` P waves, NaN where the impulse is blocked.

    Every ``drop``-th is blocked. From 3:2 on, in 55 % of people PR grows towards the drop and cycles vary in
    length (Wenckebach); in the others, and in 2:1, PR is constant (Mobitz II).
    """
    prs: list[float] = []
    if person.ranks[0] < 0.55 and drop > 2:
        gain = 0.06 + 0.06 * person.ranks[2]
        while len(prs) < n:
            cycle = max(3, drop + int(rng.choice([-1, 0, 0, 0, 1])))
            prs += [*_wenckebach(person, cycle, gain), np.nan]
    else:
        prs = ([person.pr + 0.02] * (drop - 1) + [np.nan]) * (n // drop + 1)
    return np.asarray(prs[:n])


def _high_grade(ratio: int, person: Person, n: int) -> Array:
    """PR in s for each of ``n`` P waves of which one in ``ratio`` is conducted, NaN for the others."""
    return np.where(np.arange(n) % ratio == 0, person.pr + 0.02, np.nan)


def second_degree(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Course:
    """Second-degree block: sinus P waves, some of them blocked, at a rate that a sinus node keeps up."""
    drops = fit["drop_every"]
    pick = float(person.ranks[1])
    low, high = SINUS_RATE
    fitting = [d for d in drops if wanted is None or low <= 60.0 / wanted * d / (d - 1) <= high]
    drop = fitting[int(pick * len(fitting))] if fitting else 2
    # Slower than 2:1 of a slow sinus node: several P waves to a beat, at about 65/min.
    ratio = 0 if fitting or wanted is None else max(round(65.0 * wanted / 60.0), 2)
    share = 1.0 / ratio if ratio else (drop - 1) / drop
    pp = sinus_intervals(fit, person, None if wanted is None else wanted * share, seconds + 4.0, rng)
    prs = _high_grade(ratio, person, len(pp)) if ratio else _conduction(drop, person, len(pp), rng)
    # A P wave whose PR outlasts its own cycle would be overtaken by the next.
    prs = np.where(prs > 0.75 * pp, 0.75 * pp, prs)
    start = int(rng.integers(drop))
    p_clock, prs = np.cumsum(pp[start:]), prs[start:]
    conducted = np.isfinite(prs)
    pr = prs[conducted] + 0.002 * rng.standard_normal(int(conducted.sum()))
    return Course(p_clock[conducted], pr, ["N"] * len(pr), pr, lone_p=p_clock[~conducted])


def third_degree(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Course:
    """Complete block: an escape rhythm (j narrow or E wide) under P waves at a rate of their own."""
    rr = steady_intervals(fit, person, wanted, seconds, rng)
    wide = person.ranks[0] < fit["wide_share"] + (0.4 if rr.mean() > 1.6 else 0.0)
    atrial = float(np.clip(rng.normal(*fit["atrial_rate"]), 50.0, 120.0))
    # Sinus faster than the escape, or it would capture.
    pp_mean = min(60.0 / atrial, 0.85 * float(rr.mean()))
    n = beats_needed(seconds + 4.0, pp_mean)
    t = pp_mean * np.arange(1, n + 1, dtype=np.float64)
    pp = pp_mean * np.clip(1.0 + sinus_fluctuation(t, 0.03, 0.3, person, rng), 0.7, 1.4)
    lone = np.cumsum(pp) - rng.uniform(0, pp_mean)
    none = np.full(len(rr), np.nan)
    symbols = ["E" if wide else "j"] * len(rr)
    return Course(np.cumsum(rr), np.zeros(len(rr)), symbols, none, lone_p=lone, lone_p_stretch=False)
