"""When beats come and of what kind: RR intervals, beat codes and P waves per family of rhythms."""

from __future__ import annotations

import numpy as np

from ecgsynth.generators.av_conduction import flutter, second_degree, third_degree
from ecgsynth.generators.rr_basics import (
    Course,
    Fit,
    Model,
    Person,
    autoregressive,
    beats_needed,
    habits,
    plain_course,
    pr_interval,
    sinus_intervals,
    steady_intervals,
)


def sinus(fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator) -> Course:
    """Sinus rhythms, first-degree block and pre-excitation: N beats, each after its P wave."""
    rr = sinus_intervals(fit, person, wanted, seconds, rng)
    pr = pr_interval(person, rr)
    if "pr" in fit:
        low, high = fit["pr"]
        pr = np.clip(low + (high - low) * person.ranks[0] + 0.03 * (rr - 1.0), low, 0.6 * rr)
    return plain_course(rr, "N", pr + 0.002 * rng.standard_normal(len(rr)))


def fibrillation(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Course:
    """AF: right-skewed RR (log-normal), nearly uncorrelated, above the AV node's refractory time."""
    rr, cv, rho = habits(fit, person, wanted)
    n = beats_needed(seconds, rr)
    skew = 0.25 + 0.3 * person.ranks[0]
    z = autoregressive(n, float(np.clip(rho, -0.25, 0.45)), rng)
    shape = (np.exp(skew * z - skew**2 / 2) - 1.0) / np.sqrt(np.exp(skew**2) - 1.0)
    floor = min(0.24 + 0.12 * person.ranks[1], 0.8 * rr)
    drift = 1.0 + 0.25 * cv * autoregressive(n, 0.98, rng)
    intervals = rr * drift * (1.0 + cv * shape)
    # Below the floor an impulse is not lost but waits: fold it back up with a little spread.
    return plain_course(np.where(intervals < floor, floor + 0.25 * (floor - intervals), intervals), "N")


def supraventricular(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Course:
    """SVT: near-regular A (atrial) or J (junctional) beats; P waves are buried unless the focus is atrial."""
    rr = steady_intervals(fit, person, wanted, seconds, rng)
    nodal = bool(person.ranks[0] < fit["junctional_share"])
    seen = person.ranks[1] < fit["p_share"] and not nodal
    return plain_course(rr, "J" if nodal else "A", pr_interval(person, rr) if seen else None)


def ventricular(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Course:
    """VT and idioventricular rhythm: V (or E, escape) beats with rare fusion F and capture N beats."""
    course = plain_course(steady_intervals(fit, person, wanted, seconds, rng), "V")
    escape = person.ranks[0] < fit["escape_share"]
    symbols = ["E" if escape else "V"] * len(course.symbols)
    if person.ranks[1] < fit["capture_people"]:
        for i in np.flatnonzero(rng.uniform(size=len(symbols)) < fit["capture_rate"]):
            symbols[i] = "F" if rng.uniform() < 0.7 else "N"
            course.fixed[i] = -0.06 * course.clock[0] if symbols[i] == "N" else 0.0
    return Course(course.clock, course.fixed, symbols, course.pr)


def paced(fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator) -> Course:
    """Ventricular pacing: '/' beats, spells of fusion 'f', now and then a sensed N beat that comes early."""
    rr = steady_intervals(fit, person, wanted, seconds, rng)
    n = len(rr)
    fusion = fit["fusion_share"] * 2 * person.ranks[0] ** 2
    spell = autoregressive(n, 0.6, rng) > np.quantile(np.linspace(-2.3, 2.3, 401), 1 - min(fusion, 0.5))
    sensed = (rng.uniform(size=n) < fit["sensed_share"]) & (person.ranks[1] < 0.4)
    rr = np.where(sensed, rr * rng.uniform(0.8, 0.97, n), rr)
    symbols = ["N" if s else "f" if f else "/" for s, f in zip(sensed, spell, strict=True)]
    pr = np.full(n, np.nan)
    if person.ranks[2] < fit["tracking_share"]:
        pr = np.minimum(0.14 + 0.06 * person.ranks[3] + np.zeros(n), 0.4 * rr)
    return Course(np.cumsum(rr), np.zeros(n), symbols, np.where(sensed, pr_interval(person, rr), pr))


def junctional(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Course:
    """Junctional rhythm: j (escape) or, above 60/min, J (accelerated) beats; P just before R or hidden."""
    rr = steady_intervals(fit, person, wanted, seconds, rng)
    seen = person.ranks[0] < fit["p_share"]
    pr = 0.07 + 0.03 * person.ranks[1] + 0.001 * rng.standard_normal(len(rr))
    return plain_course(rr, "J" if rr.mean() < 1.0 else "j", pr if seen else None)


def premature_pattern(
    fit: Fit, person: Person, wanted: float | None, seconds: float, rng: np.random.Generator
) -> Course:
    """Bigeminy, trigeminy and atrial bigeminy: every ``every``-th beat premature, then a pause.

    Coupling is steady within a person (SD of a few per cent). Ventricular beats leave the sinus clock alone,
    so coupling and pause make two sinus cycles; atrial ones reset it, so the pause is a sinus cycle and a
    little.
    """
    every, symbol = int(fit["every"]), str(fit["symbol"])
    # One cycle of the pattern lasts `every` mean RR, whichever way it is cut.
    basic = sinus_intervals(fit, person, wanted, seconds + 2.0, rng)
    n = len(basic) // every * every
    basic = basic[:n]
    offset = int(rng.integers(every))
    early = (np.arange(n) + offset) % every == every - 1
    coupling = float(np.clip(fit["coupling"][0] + fit["coupling"][1] * person.traits[1], 0.42, 0.8))
    taken = np.clip(coupling + coupling * fit["coupling_within"] * rng.standard_normal(n), 0.35, 0.9)
    rr = np.where(early, basic * taken, basic)
    after = np.roll(early, 1)
    after[0] = False
    saved = np.roll(basic * (1 - taken), 1)
    rr = rr + np.where(after, saved * fit["pause"], 0.0)
    rr *= basic.mean() / rr.mean()
    symbols = [symbol if e else "N" for e in early]
    pr = pr_interval(person, np.maximum(rr, 0.3))
    return Course(np.cumsum(rr), np.zeros(n), symbols, np.where(early & (symbol == "V"), np.nan, pr))


#: Which model draws which rhythm; vf and vflutter have no beats.
MODELS: dict[str, Model] = {
    "nsr": sinus,
    "sinus_bradycardia": sinus,
    "sinus_tachycardia": sinus,
    "sinus_arrhythmia": sinus,
    "afib": fibrillation,
    "aflutter": flutter,
    "svt": supraventricular,
    "vt": ventricular,
    "bigeminy": premature_pattern,
    "trigeminy": premature_pattern,
    "atrial_bigeminy": premature_pattern,
    "avb1": sinus,
    "avb2": second_degree,
    "avb3": third_degree,
    "paced": paced,
    "wpw": sinus,
    "junctional": junctional,
    "idioventricular": ventricular,
}
#: Rhythms of the sinus node, in the order of `MODELS`.
SINUS = tuple(name for name, model in MODELS.items() if model is sinus)
