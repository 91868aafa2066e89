"""Parts of a plan: where a course of beats comes to lie in a record, and the phase of waves without beats."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np

from ecgsynth.generators.oscillation import wave_in_band
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.rr_basics import Array, Course, Person

_OSC_STEP = 10  # samples between knots of the oscillation's wander


def place(
    course: Course, anchor: float, span: tuple[float, float], wanted: float | None, reach: tuple[float, float]
) -> tuple[float, float]:
    """Anchor and stretch of a course such that the beats inside ``span`` have exactly the wanted mean RR.

    Stretching moves beats over the edge of the span, so the set of beats inside is chosen first: for a first
    and a last beat the stretch follows, and with it the anchors for which just these beats lie inside. Of
    all sets the one whose anchor is nearest to the given one wins; anchors may move from it by ``reach``
    (earliest, latest move in s). Where there is no such set (fewer than two beats fit), the course's own
    mean is met.
    """
    if wanted is None:
        return anchor, 1.0
    clock, fixed = course.clock, course.fixed
    guess = float(wanted * (len(clock) - 1) / (clock[-1] - clock[0]))
    start = int(np.searchsorted(anchor + guess * clock, span[0]))
    whole = int((span[1] - span[0]) / wanted)
    best, move = guess, 0.0
    least = np.inf
    for i in range(max(start - 2, 0), min(start + 4, len(clock) - 2)):
        for j in range(i + max(whole - 2, 1), min(i + whole + 2, len(clock) - 1)):
            stretch = float((wanted * (j - i) - (fixed[j] - fixed[i])) / (clock[j] - clock[i]))
            if not 0.5 < stretch / guess < 2.0:
                continue
            low, high = _anchors(course, stretch, i, j, span)
            low, high = max(low, anchor + reach[0]), min(high, anchor + reach[1])
            nearest = min(max(anchor, low + 1e-6), high - 1e-6)
            if low + 2e-6 < high and abs(nearest - anchor) < least:
                best, move, least = stretch, nearest - anchor, abs(nearest - anchor)
    return anchor + move, best


def _anchors(
    course: Course, stretch: float, i: int, j: int, span: tuple[float, float]
) -> tuple[float, float]:
    """Between which anchors beats i to j, and no others, lie inside the span."""
    before, first, last, after = (
        stretch * float(course.clock[k]) + float(course.fixed[k]) for k in (max(i - 1, 0), i, j, j + 1)
    )
    latest = span[1] - last if i == 0 else min(span[1] - last, span[0] - before)
    return max(span[0] - first, span[1] - after), latest


def slow_process(n: int, tau: float, rng: np.random.Generator) -> Array:
    """Standard normal process [n] with time constant ``tau`` s: AR(1) at knots, joined by lines."""
    knots = n // _OSC_STEP + 2
    rho = float(np.exp(-_OSC_STEP / PLAN_FS / tau))
    steps = rng.standard_normal(knots)
    steps[1:] *= np.sqrt(1.0 - rho**2)
    values = np.fromiter(accumulate(steps.tolist(), lambda last, step: rho * last + step), float, knots)
    return np.interp(np.arange(n), np.arange(knots) * _OSC_STEP, values)


def oscillation(
    rhythm: str, fit: Mapping[str, Any], n: int, person: Person, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Phase in cycles [n] and relative amplitude [n] (mean 1) of f waves or ventricular fibrillation.

    Frequency is normal over people and wanders within a record; log amplitude wanders on its own. `fit` has
    ``freq_mean``, ``freq_sd_people``, ``freq_sd_within`` (Hz), ``freq_tau_s``, ``log_amp_sd``,
    ``log_amp_tau_s``, and may have ``disorder``: mean and SD over people of the log of how much noise in
    the rhythm's band is added to the wave, in units of its amplitude. Phase and amplitude are those of the
    sum, so that the phase slips where the wave is small, as it does in fibrillation. ``log_amp_mean`` is the
    mean log amplitude where the mean amplitude is not 1: measured f waves have outliers beside the QRS.
    """
    two_sd = 2.0 * fit["freq_sd_people"]
    low, high = fit.get("freq_range", (fit["freq_mean"] - two_sd, fit["freq_mean"] + two_sd))
    own = np.clip(fit["freq_mean"] + fit["freq_sd_people"] * person.traits[0], low, high)
    frequency = own + fit["freq_sd_within"] * slow_process(n, fit["freq_tau_s"], rng)
    phase = rng.uniform() + np.cumsum(np.clip(frequency, 0.4 * own, 2.0 * own)) / PLAN_FS
    amplitude = wandering_amplitude(fit, n, rng)
    if "disorder" not in fit:
        return phase, amplitude
    mean, sd = fit["disorder"]
    noise = wave_in_band(rng.standard_normal(n), rhythm, PLAN_FS)
    noise *= np.exp(mean + sd * person.traits[2]) / np.sqrt(np.mean(np.abs(noise) ** 2))
    angle = 2 * np.pi * phase
    real, imaginary = amplitude * np.cos(angle) + noise.real, amplitude * np.sin(angle) + noise.imag
    size = np.sqrt(real * real + imaginary * imaginary)
    level = np.log(size).mean() - fit["log_amp_mean"] if "log_amp_mean" in fit else np.log(size.mean())
    turns = np.arctan2(imaginary, real) / (2 * np.pi)
    # As `np.unwrap`, in a third of its time.
    turns[1:] -= np.cumsum(np.rint(np.diff(turns)))
    return turns, size / np.exp(level)


def wandering_amplitude(fit: Mapping[str, Any], n: int, rng: np.random.Generator) -> Array:
    """Log-normal amplitude [n] with the fit's SD and time constant, mean 1 over the stretch."""
    amplitude = np.exp(fit["log_amp_sd"] * slow_process(n, fit["log_amp_tau_s"], rng))
    return np.asarray(amplitude / amplitude.mean())


def flutter_phase(course: Course, anchor: float, stretch: float, start: int, stop: int) -> Array:
    """Phase through whole numbers at the atrial waves that the beats were counted from."""
    t = np.arange(start, stop) / PLAN_FS
    waves = anchor + stretch * course.atrial
    phase = np.interp(t, waves, np.arange(len(waves), dtype=np.float64))
    cycle = float(waves[1] - waves[0])
    return np.where(t < waves[0], (t - waves[0]) / cycle, phase) + 1.0


def fade(amplitude: Array, start: int, stop: int, n_samples: int) -> Array:
    """Ramp of 0.2 s where the oscillation meets another rhythm, none at the record's ends."""
    ramp = np.minimum(np.arange(1, len(amplitude) + 1) / (0.2 * PLAN_FS), 1.0)
    if start > 0:
        amplitude = amplitude * ramp
    return amplitude * ramp[::-1] if stop < n_samples else amplitude
