"""Premature beats: who has them, how many, how early; and which beats go without a P wave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.conditions import PATCH
from ecgsynth.generators.plan import PLAN_FS, Plan
from ecgsynth.generators.rr_basics import Array, Course, Person, normal_score

#: Sources whose beats have no labels of kinds: a network that learned from them knows their atrial ectopic
#: beats only as N, and these have the QRS of the others anyway.
UNLABELLED = frozenset({"ptbxl", "chapman", "ningbo", "ludb", "cinc2017"})
#: Rhythms in which every A beat is the rhythm's own.
_OWN_ATRIAL = frozenset({"svt", "atrial_bigeminy"})
#: What is missing from the QRS of ventricular ectopic beats that are drawn: factor on their height, and SD
#: over records of its logarithm. A latent drawn for a strip is mostly of one without such beats. From QRS
#: peak to peak, within 60 ms of R, over that of the other beats, in mitdb's training people
#: and in drawn records.
_TALLER = {"bigeminy": (1.25, 0.36), "trigeminy": (1.26, 0.42)}
_TALLER_ELSEWHERE = (1.55, 0.44)
#: Rhythms whose ventricular beats are the person's common ones.
OWN_VENTRICULAR = frozenset({"vt", "idioventricular"})
#: Codes of beats from the ventricles, alone or with others; in seconds how long before a beat its P can be.
_VENTRICULAR = ("V", "F", "E", "r")
_P_BEFORE = 0.5


def ectopic_share(
    habits: Mapping[str, Any], source: str, rhythm: str, rank: float, rng: np.random.Generator
) -> float:
    """Fraction of ectopic beats of one kind that one person has: none, or log-normal over those who have any.

    Parameters
    ----------
    habits : mapping
        ``people``: share of people with such beats, by ``source/rhythm``, by source and ``elsewhere``;
        ``log_share``: mean and SD over them of the log of their share of beats, by the same keys; ``most``.
    source, rhythm : str
    rank : float
        Uniform score of the person: below the share of people, there are ectopic beats.
    rng : numpy.random.Generator
    """
    if rank >= _looked_up(habits["people"], source, rhythm):
        return 0.0
    mean, sd = _looked_up(habits["log_share"], source, rhythm)
    return float(min(np.exp(rng.normal(mean, sd)), habits["most"]))


def _looked_up(table: Mapping[str, Any], source: str, rhythm: str) -> Any:
    return table.get(f"{source}/{rhythm}", table.get(source, table["elsewhere"]))


def with_atrial_ectopy(
    course: Course, share: float, habit: Mapping[str, Any], person: Person, rng: np.random.Generator
) -> Course:
    """Turn a share of the beats of a sinus rhythm into premature atrial ones, never two in a row.

    An atrial beat resets the sinus node: what follows is one cycle and a little, not the rest of two.
    `habit` has ``coupling``: mean and SD over people of the early interval over the sinus cycle,
    ``coupling_within``: its SD in one person, and ``pause``: mean and SD of the next over the sinus cycle.
    """
    rr = np.diff(course.clock, prepend=0.0)
    drawn = np.flatnonzero(rng.uniform(size=len(rr)) < share)
    early = [int(i) for i in drawn if 0 < i < len(rr) - 1]
    early = [i for k, i in enumerate(early) if k == 0 or i - early[k - 1] > 1]
    if not early:
        return course
    mean, sd = habit["coupling"]
    own = mean + sd * normal_score(person.ranks[5])
    coupling = np.clip(own + habit["coupling_within"] * rng.standard_normal(len(early)), 0.45, 0.9)
    pause = np.clip(habit["pause"][0] + habit["pause"][1] * rng.standard_normal(len(early)), 0.95, 1.6)
    rr[early] = np.maximum(coupling * rr[early], 0.26)
    after = np.array(early) + 1
    rr[after] *= pause
    symbols = list(course.symbols)
    for i in early:
        symbols[i] = "A"
    pr = course.pr.copy()
    pr[early] = np.minimum(pr[early], 0.42 * rr[early])
    return replace(course, clock=np.cumsum(rr), symbols=symbols, pr=pr)


def with_ventricular_ectopy(
    share: float,
    person: Person,
    course: Course,
    times: Array,
    inside: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[Array, list[str], Array]:
    """Turn a share of the beats inside the episode into premature ventricular ones, never two in a row.

    The beat after an early one stays where it was (a full compensatory pause), so the mean rate stays too.
    """
    symbols, pr = list(course.symbols), course.pr.copy()
    # Not an atrial ectopic beat, nor the one that ends its pause.
    atrial = np.array([s == "A" for s in symbols])
    taken = atrial | np.roll(atrial, 1) if "N" in symbols else np.zeros(len(symbols), bool)
    exact = share * int(inside.sum())
    places = np.flatnonzero(inside & ~taken)[1:]
    count = int(exact + rng.uniform())
    if count == 0 or not len(places):
        return times, symbols, pr
    # The last beat only if needed: moving it would move the mean rate.
    room = places[:-1] if count <= len(places) // 2 else places
    count = min(count, (len(room) + 1) // 2)
    chosen = room[np.sort(rng.choice(len(room) - count + 1, count, replace=False)) + np.arange(count)]
    gap = times[chosen] - times[chosen - 1]
    coupling = np.clip(0.55 + 0.2 * person.ranks[5] + 0.03 * rng.standard_normal(count), 0.4, 0.9)
    early = times.copy()
    early[chosen] = times[chosen - 1] + np.minimum(np.maximum(coupling * gap, 0.26), gap)
    for i in chosen:
        symbols[i] = "V"
    pr[chosen] = np.nan
    return early, symbols, pr


def drawn_symbols(plan: Plan) -> tuple[str, ...]:
    """Beat codes by which a network draws a plan: atrial ectopic beats as N where it knows no others."""
    if plan.request.source not in UNLABELLED or _atrial_is_the_rhythm(plan):
        return plan.symbols
    return tuple("N" if symbol == "A" else symbol for symbol in plan.symbols)


def ventricular_heights(plan: Plan, rng: np.random.Generator) -> NDArray[np.float64]:
    """Factor on the height of each beat: ventricular ectopic ones of a record come from one focus."""
    heights = np.ones(len(plan.symbols))
    early = np.isin(np.array(plan.symbols, dtype=str), ("V", "F"))
    rhythms = {episode.rhythm for episode in plan.episodes}
    if not early.any() or rhythms & OWN_VENTRICULAR:
        return heights
    usual, sd = next((_TALLER[name] for name in _TALLER if name in rhythms), _TALLER_ELSEWHERE)
    heights[early] = float(np.clip(usual * np.exp(sd * rng.standard_normal()), 0.6, 3.5))
    return heights


def lost_p_waves(plan: Plan, frames: int, rng: np.random.Generator) -> NDArray[np.float32] | None:
    """Share of the P wave [frames] that beats lose; None where none loses any.

    Beats without a P wave in the plan lose it: a latent that is drawn may be of somebody who has P waves.
    Ventricular beats are left alone, where the window of a P wave holds something else. Atrial ectopic
    beats come from one focus in a record: its P wave is lower than the sinus node's (0.4), lost in the T
    wave before it (1) or, from low in the atria, turned over (1.8).
    """
    symbols = np.array(plan.symbols)
    if not len(symbols):
        return None
    share = np.zeros(len(symbols), np.float32)
    last_p = np.append(-np.inf, plan.p_times)[np.searchsorted(plan.p_times, plan.beat_times)]
    before = plan.beat_times - last_p
    share[(before > _P_BEFORE) & ~np.isin(symbols, _VENTRICULAR)] = 1.0
    ectopic = (symbols == "A") & (not _atrial_is_the_rhythm(plan))
    if ectopic.any():
        share[ectopic] = rng.uniform(0.4, 1.8)
    if not share.any():
        return None
    lost = np.zeros(frames, np.float32)
    for time, part in zip(plan.beat_times.tolist(), share.tolist(), strict=True):
        frame = int(time * PLAN_FS / PATCH)
        if part:
            lost[max(frame - 1, 0) : max(frame + 2, 0)] = part
    return lost


def _atrial_is_the_rhythm(plan: Plan) -> bool:
    return any(episode.rhythm in _OWN_ATRIAL for episode in plan.episodes)
