"""From a request to a plan: which beats, P waves and oscillations a record has, and when.

Semi-Markov over the script: each episode's rhythm runs its own model (:mod:`.rr_models`) from the last beat
of the episode before, so beats carry on across a seam. Parameters live in ``weights/rhythm_process.json``,
made by ``scripts/fit_rhythm_process.py`` from annotated recordings; people differ by traits drawn once per
record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OptionError
from ecgsynth.generators.ectopy import ectopic_share, with_atrial_ectopy, with_ventricular_ectopy
from ecgsynth.generators.plan import PLAN_FS, Plan, Request
from ecgsynth.generators.plan_parts import (
    fade,
    flutter_phase,
    oscillation,
    place,
    wandering_amplitude,
)
from ecgsynth.generators.rr_basics import Array, Course, Person
from ecgsynth.generators.rr_models import MODELS, SINUS
from ecgsynth.records import Episode
from ecgsynth.rhythms import RHYTHMS

#: Shortest and longest record in s.
DURATION = (2.0, 3600.0)
#: Seconds of beats drawn before and after the record, so that their waves reach in.
MARGIN = 2.0
#: After a pause of so many s (fibrillation in between) the next beat owes nothing to the last.
LONGEST_PAUSE = 3.0
#: Rhythms whose ventricular beats are the pattern itself, so a request for ectopy does not touch them.
OWN_PATTERN = frozenset(
    {"vt", "idioventricular", "bigeminy", "trigeminy", "atrial_bigeminy", "vf", "vflutter"}
)


@cache
def fitted() -> Mapping[str, Any]:
    """The fitted parameters, as shipped: one entry per rhythm, with people counted and source named."""
    path = resources.files("ecgsynth.weights") / "rhythm_process.json"
    table: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def check_request(request: Request) -> None:
    """Refuse what no record can be.

    Raises
    ------
    OptionError
        For an unknown rhythm, a duration outside `DURATION`, a heart rate outside a rhythm's bounds or asked
        of rhythms without beats, or ectopy outside 0 to 0.5.
    """
    for name, seconds in request.script:
        if name not in RHYTHMS:
            raise OptionError(f"unknown rhythm {name!r}. Known rhythms: {', '.join(RHYTHMS)}.")
        if not seconds > 0:
            raise OptionError(f"episode {name} lasts {seconds:g} s; give each episode more than 0 s.")
    low, high = DURATION
    if not low <= request.seconds <= high:
        raise OptionError(f"duration {request.seconds:g} s is not possible; ask for {low:g} to {high:g} s.")
    beating = [name for name, _ in request.script if RHYTHMS[name].has_beats]
    _check_rate(request.heart_rate, beating, [name for name, _ in request.script])
    if request.ectopy is not None and not 0.0 <= request.ectopy <= 0.5:
        raise OptionError(f"ectopy {request.ectopy:g} is not possible; ask for a fraction from 0 to 0.5.")


def _check_rate(rate: float | None, beating: list[str], names: list[str]) -> None:
    if rate is None:
        return
    if not beating:
        raise OptionError(
            f"heart rate {rate:g}/min asked of {', '.join(names)}, which has no beats; leave it out."
        )
    for name in beating:
        low, high = RHYTHMS[name].rate
        if not low <= rate <= high:
            raise OptionError(
                f"heart rate {rate:g}/min is not possible in {name}; ask for {low:g} to {high:g}/min."
            )


def draw_person(request: Request, rng: np.random.Generator) -> Person:
    """A person: trait scores, breathing rate (mean 0.26 Hz, 16 breaths/min), P-to-R time, habits.

    P peak to R peak is the PR interval less about 15 ms (WHI: 2nd-98th percentile of PR 118-212 ms), longer
    with age by 0.3 ms a year (ELSA-Brasil).
    """
    age = 55.0 if request.age is None else request.age
    breathing = float(np.clip(rng.normal(0.26, 0.05), 0.14, 0.42))
    pr = float(np.clip(rng.normal(0.145 + 0.0003 * (age - 55.0), 0.021), 0.1, 0.19))
    traits = np.clip(rng.standard_normal(3), -2.5, 2.5)
    if request.age is not None and request.script[0][0] in SINUS:
        # Older people vary less beat to beat; scores shift by the fitted slope per year.
        traits = traits + (age - 55.0) * np.asarray(fitted()["age_slope"])
    return Person(traits, breathing, pr, rng.uniform(size=6))


class _Beats:
    """Beats and P waves as they accumulate over episodes."""

    def __init__(self) -> None:
        self.times: list[Array] = []
        self.symbols: list[str] = []
        self.p_times: list[Array] = []
        self.last: float | None = None

    def add(self, times: Array, symbols: list[str], p_times: Array) -> None:
        """Append one episode's beats; later episodes start from the last of them."""
        self.times.append(times)
        self.symbols += symbols
        self.p_times.append(p_times)
        if len(times):
            self.last = float(times[-1])


def _draw_course(
    name: str, person: Person, request: Request, seconds: float, rng: np.random.Generator
) -> Course:
    fit = fitted()["rhythms"][name]
    fit = {**fit, **fit.get("by_source", {}).get(request.source, {})}
    wanted = None if request.heart_rate is None else 60.0 / request.heart_rate
    course = MODELS[name](fit, person, wanted, seconds, rng)
    if name not in SINUS:
        return course
    jitter = fitted()["beat_jitter_s"].get(request.source)
    if jitter:
        course = replace(course, fixed=course.fixed + jitter * rng.standard_normal(len(course.fixed)))
    if request.ectopy is not None:
        return course
    habit = fitted()["ectopy"]["A"]
    share = ectopic_share(habit, request.source, name, float(person.ranks[3]), rng)
    return with_atrial_ectopy(course, share, habit, person, rng) if share else course


def _settle(
    name: str,
    request: Request,
    course: Course,
    last: float | None,
    span: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Anchor and stretch of a course: after the last beat, not before the seam, at the rate asked for.

    Where no rate is asked for, a mean that strays out of the rhythm's range is brought back to its edge, so
    that the label stays true of what the record shows.
    """
    first = span[0] <= 0.0
    begin = -MARGIN if first else span[0]
    interval = float(course.clock[0])
    fresh = first or last is None or begin - last > LONGEST_PAUSE
    anchor = begin - interval * float(rng.uniform()) if fresh or last is None else last
    reach = (-interval, interval)
    if not first:
        # A pause before the seam may outlast the new rhythm's interval; then its first beat waits for the
        # seam.
        soonest = begin + 0.02 - float(course.clock[0] + course.fixed[0])
        anchor = max(anchor, soonest)
        reach = (max(-0.3 * interval, soonest - anchor), 0.7 * interval)
    if request.heart_rate is not None:
        return place(course, anchor, span, 60.0 / request.heart_rate, reach)
    times = anchor + course.clock + course.fixed
    shown = times[(times >= span[0]) & (times < span[1])]
    mean = float((shown[-1] - shown[0]) / (len(shown) - 1)) if len(shown) > 1 else None
    low, high = _rr_limits(name)
    if mean is None or low <= mean <= high:
        return anchor, 1.0
    return place(course, anchor, span, min(max(mean, 1.01 * low), 0.99 * high), reach)


def _rr_limits(name: str) -> tuple[float, float]:
    """Shortest and longest mean RR in s: by definition of the sinus rhythms, else the rhythm's bounds."""
    if name in SINUS:
        low, high = fitted()["rhythms"][name]["rr_range"]
        return float(low), float(high)
    slow, fast = RHYTHMS[name].rate
    return 60.0 / fast, 60.0 / slow


def _beating_episode(
    name: str,
    request: Request,
    person: Person,
    beats: _Beats,
    span: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Course, float, float]:
    """Draw one episode's beats into ``beats``; gives course, anchor and stretch for its flutter waves."""
    begin = -MARGIN if span[0] <= 0.0 else span[0]
    end = span[1] + (MARGIN if span[1] >= request.seconds else 0.0)
    course = _draw_course(name, person, request, end - begin + 2.0, rng)
    anchor, stretch = _settle(name, request, course, beats.last, span, rng)
    times = anchor + stretch * course.clock + course.fixed
    keep = (times < end) & (times >= begin)
    inside = (times >= span[0]) & (times < span[1])
    share = _ventricular_share(name, request, person, rng)
    times, symbols, pr = with_ventricular_ectopy(share, person, course, times, inside, rng)
    p_times = times - pr
    lone = anchor + (stretch if course.lone_p_stretch else 1.0) * course.lone_p
    lone = lone[(lone >= begin) & (lone < end)]
    beats.add(
        times[keep],
        [s for s, k in zip(symbols, keep, strict=True) if k],
        np.concatenate([p_times[keep & np.isfinite(p_times)], lone]),
    )
    return course, anchor, stretch


def _ventricular_share(name: str, request: Request, person: Person, rng: np.random.Generator) -> float:
    """Fraction of ventricular ectopic beats: as asked, or drawn as training people have it."""
    if name in OWN_PATTERN:
        return 0.0
    if request.ectopy is not None:
        return request.ectopy
    return ectopic_share(fitted()["ectopy"]["V"], request.source, name, float(person.ranks[4]), rng)


def draw_plan(request: Request, rng: np.random.Generator) -> Plan:
    """Draw everything about one record that is decided before its waveform.

    Parameters
    ----------
    request : Request
    rng : numpy.random.Generator
        The only source of randomness: equal states give equal plans.

    Returns
    -------
    Plan
        Beats from about 2 s before to 2 s after the record.

    Raises
    ------
    OptionError
        If the request is impossible (see `check_request`).
    """
    check_request(request)
    person = draw_person(request, rng)
    edges = np.cumsum([0.0, *(seconds for _, seconds in request.script)])
    marks = np.round(edges * PLAN_FS).astype(int)
    n_samples = int(marks[-1])
    beats = _Beats()
    phase, amplitude = np.zeros(n_samples), np.zeros(n_samples)
    episodes = []
    for k, (name, _) in enumerate(request.script):
        start, stop = int(marks[k]), int(marks[k + 1])
        episodes.append(Episode(start, stop, name))
        span = (start / PLAN_FS, request.seconds if k == len(request.script) - 1 else stop / PLAN_FS)
        drawn = None
        if RHYTHMS[name].has_beats:
            drawn = _beating_episode(name, request, person, beats, span, rng)
        osc = fitted()["rhythms"][name].get("oscillation")
        if osc is None or stop <= start:
            continue
        if drawn is not None and len(drawn[0].atrial):
            phase[start:stop] = flutter_phase(*drawn, start, stop)
            level = wandering_amplitude(osc, stop - start, rng)
        else:
            phase[start:stop], level = oscillation(name, osc, stop - start, person, rng)
        amplitude[start:stop] = fade(level, start, stop, n_samples)
    return Plan(request, n_samples, tuple(episodes), *_joined(beats), *_as_float32(phase, amplitude))


def _joined(beats: _Beats) -> tuple[Array, tuple[str, ...], Array]:
    times = np.concatenate(beats.times) if beats.times else np.zeros(0)
    p_times = np.sort(np.concatenate(beats.p_times)) if beats.p_times else np.zeros(0)
    return times, tuple(beats.symbols), p_times


def _as_float32(*arrays: Array) -> tuple[NDArray[np.float32], ...]:
    return tuple(a.astype(np.float32) for a in arrays)
