"""What every model of beat times draws from: a person's habits, and the fluctuation of sinus node and foci.

Every model draws a :class:`Course`: beats on a clock that may be stretched to meet a requested rate, plus
offsets (PR, conduction) that may not. People differ through :class:`Person`, drawn once per record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Fit = Mapping[str, Any]

#: Shortest RR interval in s any model may draw: 300/min, the upper end of ventricular rates (ESC-VA).
SHORTEST_RR = 0.2
_NO_TIMES: Array = np.zeros(0)


@dataclass(frozen=True)
class Person:
    """What makes one person's beats differ from another's, drawn once per record.

    Attributes
    ----------
    traits : float64 array [3]
        Standard normal scores behind mean RR, its coefficient of variation, and nRMSSD over that.
    breathing : float
        Breaths per second.
    pr : float
        P peak to R peak in s at 60 beats/min.
    ranks : float64 array [6]
        Uniform scores that settle yes-or-no habits (which escape focus, with or without P waves, ...).
    """

    traits: Array
    breathing: float
    pr: float
    ranks: Array


@dataclass(frozen=True)
class Course:
    """Beats of one episode on the episode's own clock; 0 is the last beat before it.

    A beat comes at ``stretch * clock + fixed`` seconds.

    Attributes
    ----------
    clock, fixed : float64 array [beats]
    symbols : list of str
    pr : float64 array [beats]
        P peak to R peak in s, NaN where no P wave belongs to the beat.
    lone_p : float64 array [p]
        Clock times of P waves without a beat of their own.
    lone_p_stretch : bool
        Whether these stretch with the clock (blocked sinus beats do; a dissociated atrium does not).
    atrial : float64 array [waves]
        Clock times of flutter waves, each one cycle of the oscillation.
    """

    clock: Array
    fixed: Array
    symbols: list[str]
    pr: Array
    lone_p: Array = field(default_factory=lambda: _NO_TIMES)
    lone_p_stretch: bool = True
    atrial: Array = field(default_factory=lambda: _NO_TIMES)


Model = Callable[[Fit, Person, "float | None", float, np.random.Generator], Course]


def habits(fit: Fit, person: Person, wanted: float | None) -> tuple[float, float, float]:
    """Mean RR in s, its coefficient of variation, and its lag-one autocorrelation for this person.

    The three logarithms (mean RR, CV, nRMSSD / CV) are jointly normal over people;
    ``nRMSSD**2 = 2 * CV**2 * (1 - rho)`` gives the autocorrelation.
    """
    values = np.asarray(fit["log_mean"]) + np.asarray(fit["log_scale"]) @ person.traits
    low, high = fit["rr_range"]
    rr = float(np.clip(np.exp(values[0]), low, high)) if wanted is None else wanted
    cv = float(np.clip(np.exp(values[1]), *fit["cv_range"]))
    ratio = float(np.clip(np.exp(values[2]), 0.2, 1.6))
    return rr, cv, 1.0 - ratio**2 / 2.0


def autoregressive(n: int, rho: float, rng: np.random.Generator) -> Array:
    """Standard normal AR(1) series [n] with lag-one correlation ``rho``."""
    steps = rng.standard_normal(n)
    steps[1:] *= np.sqrt(1.0 - rho**2)
    return np.fromiter(accumulate(steps.tolist(), lambda last, step: rho * last + step), float, n)


def beats_needed(seconds: float, rr: float) -> int:
    """Enough beats to outlast ``seconds`` even if they come a third faster than planned."""
    return int(1.35 * seconds / rr) + 12


def pr_interval(person: Person, rr: Array) -> Array:
    """P peak to R peak in s; shortens by about 15 ms per 0.4 s of RR and never reaches into the last T.

    Rate dependence after Atterhog J-H, Loogna E. J Electrocardiol 10:331-336, 1977.
    """
    return np.clip(person.pr + 0.04 * (rr - 1.0), 0.07, np.maximum(0.42 * rr, 0.07))


#: Share of the fast fluctuation that is no breathing, and of the slow one that is Mayer waves: with these the
#: lag-one and lag-two correlations and the alternation of RR are those of 12-lead recordings in sinus rhythm.
_WHITE, _MAYER = 0.2, 0.6


def sinus_fluctuation(t: Array, cv: float, rho: float, person: Person, rng: np.random.Generator) -> Array:
    """Relative RR fluctuation at times ``t``: respiratory (HF), Mayer waves (LF), and 1/f drift.

    Each band is a handful of sinusoids of random phase; the powers are set so that the series has
    the coefficient of variation ``cv`` and lag-one autocorrelation ``rho``. Bands after Task Force of the ESC
    and NASPE, Circulation 93:1043-1065, 1996.
    """
    step = float(t[-1] / len(t))
    breath = 2.0 - 2.0 * np.cos(2 * np.pi * min(person.breathing * step, 0.5))
    gain_hf = (1 - _WHITE) * breath + _WHITE * 2.0
    gain_rest = _MAYER * (2.0 - 2.0 * np.cos(2 * np.pi * 0.1 * step)) + 0.012
    rough = 2.0 * (1.0 - rho)
    hf = np.clip((rough - gain_rest) / max(gain_hf - gain_rest, 0.05), 0.03, 0.97)
    rest = 1.0 - hf
    # No breath is as long as the last one: a narrow band would repeat too well after two beats.
    breaths = np.maximum(person.breathing + 0.06 * rng.standard_normal(6), 0.1)
    mayer = 0.1 + 0.015 * rng.standard_normal(4)
    drift = np.geomspace(0.002, 0.05, 8) * np.exp(0.2 * rng.standard_normal(8))
    frequency = np.concatenate([breaths, mayer, drift])
    shares = [hf * (1 - _WHITE) / 6, rest * _MAYER / 4, rest * (1 - _MAYER) / 8]
    power = np.repeat(shares, [6, 4, 8])
    phase = rng.uniform(0, 2 * np.pi, len(frequency))
    waves = np.cos(2 * np.pi * frequency * t[:, None] + phase)
    white = np.sqrt(_WHITE * hf) * rng.standard_normal(len(t))
    return cv * (waves @ np.sqrt(2.0 * power) + white)


def sinus_intervals(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Array:
    """RR intervals [beats] of a sinus node, enough for ``seconds``."""
    rr, cv, rho = habits(fit, person, wanted)
    n = beats_needed(seconds, rr)
    relative = sinus_fluctuation((rr * np.arange(1, n + 1)).astype(np.float64), cv, rho, person, rng)
    mean, sd = fit.get("skew", (0.0, 0.0))
    relative = bent(relative, cv, mean + sd * normal_score(person.ranks[2]))
    return rr * np.clip(1.0 + relative, 0.45, 2.0)


def normal_score(rank: float) -> float:
    """A standard normal score from a uniform one, by the logistic distribution of SD 1, within 2.5."""
    return float(np.clip(np.log((rank + 1e-3) / (1.001 - rank)) / 1.814, -2.5, 2.5))


def bent(relative: Array, cv: float, bend: float) -> Array:
    """Fluctuation of SD ``cv`` made skew: long pauses stand out for ``bend`` > 0, quick spells below 0.

    The exponential of a normal number has skewness of about 3 times its SD.
    """
    bend = float(np.clip(bend, -0.7, 0.7))
    if abs(bend) < 1e-6:
        return relative
    curved = np.exp(bend * relative / cv) - np.exp(bend**2 / 2)
    return np.asarray(cv * curved / (np.sign(bend) * np.exp(bend**2 / 2) * np.sqrt(np.expm1(bend**2))))


def steady_intervals(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Array:
    """Intervals of a focus or device: slow drift and beat-to-beat jitter in the person's proportion."""
    rr, cv, rho = habits(fit, person, wanted)
    n = beats_needed(seconds, rr)
    if rho > 0:
        slow = min(rho / 0.97, 1.0)
        relative = np.sqrt(slow) * autoregressive(n, 0.97, rng) + np.sqrt(1 - slow) * rng.standard_normal(n)
    else:
        relative = autoregressive(n, rho, rng)
    return np.maximum(rr * np.clip(1.0 + cv * relative, 0.5, 1.8), SHORTEST_RR)


def plain_course(rr: Array, symbol: str, pr: Array | None = None) -> Course:
    """A course of one kind of beat from its RR intervals; without P waves unless ``pr`` is given."""
    none = np.full(len(rr), np.nan)
    return Course(np.cumsum(rr), np.zeros(len(rr)), [symbol] * len(rr), none if pr is None else pr)
