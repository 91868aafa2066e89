"""Limits of fault scores in rhythms of few people: far enough out for those who were not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.allocation import WORTH, Scores, excess, room_of, step_for
from ecgsynth.fidelity.calibration import Bound
from ecgsynth.fidelity.checks import is_score

Array = NDArray[np.float64]
Rows = Sequence[Mapping[str, float]]

#: Limits from few people find all but this share of the faults that were planted in them.
MISSED = 0.05
#: In twelve leads limits of another rhythm may move out as far as this share of planted faults is found.
FOUND = 0.75
#: With fewer people than this, only faults are looked for that no rhythm looks like; with fewer than
#: `VERY_FEW` none that a number of its own does not find.
ENOUGH_PEOPLE, VERY_FEW = 8, 3
#: Scores of few people lie at least so far inside of their limits, in log-odds (evidence of the rhythm less
#: far: wrong labels are what it is for), and a limit is at least `LEAST_ODDS`: as likely sound as not.
FEW_SLACK, EVIDENCE_SLACK, LEAST_ODDS = 1.0, 0.5, 0.0
PLAIN_FAULTS = ("clipped", "gain", "tiled", "low_pass")
#: Faults that recorders make, too. One in `ALONE_PEOPLE` whose score of such a fault is `ALONE_ODDS` higher
#: than those of all further down is taken to show it, though nobody planted it.
RECORDED_FAULTS = ("clipped",)
ALONE_PEOPLE, ALONE_ODDS = 12, 3.0
#: Fewest strips with a fault that count when scores share out their false alarms.
FEWEST_PLANTED = 20


def ease(bounds: dict[str, Bound]) -> None:
    """Move the limits of scores that few people gave, in place, as `FEW_SLACK` says."""
    for name in [name for name in bounds if is_score(name)]:
        low, high = bounds[name][0] - EVIDENCE_SLACK, bounds[name][1] + FEW_SLACK
        bounds[name] = (low, max(high, LEAST_ODDS))


def raise_to_faults(bounds: dict[str, Bound], planted: Mapping[str, Rows]) -> None:
    """Raise limits, in place, as far as all but `MISSED` of the faults planted in so few people are found."""
    for name in [name for name in bounds if name.startswith("looks_")]:
        faulty = [row[name] for row in planted.get(name.removeprefix("looks_"), ()) if name in row]
        if len(faulty) >= FEWEST_PLANTED:
            low, high = bounds[name]
            bounds[name] = (low, max(high, float(np.quantile(faulty, MISSED))))


def drop_unsure(bounds: dict[str, Bound], planted: Mapping[str, Rows], people: int) -> None:
    """Leave out, in place, fault scores that say too little in a rhythm of few people.

    Those that find less than `WORTH` of the faults planted in it; with fewer ``people`` than `ENOUGH_PEOPLE`
    all but `PLAIN_FAULTS`, with fewer than `VERY_FEW` all.
    """
    for name in [name for name in bounds if name.startswith("looks_")]:
        found = [
            row[name] > bounds[name][1] for row in planted.get(name.removeprefix("looks_"), ()) if name in row
        ]
        plain = name.removeprefix("looks_").removesuffix("_12") in PLAIN_FAULTS
        unsure = people < (VERY_FEW if plain else ENOUGH_PEOPLE)
        if unsure or not found or float(np.mean(found)) < WORTH:
            del bounds[name]


def bounds_at(limits: Mapping[str, float]) -> dict[str, Bound]:
    """The bounds that limits of scores stand for: evidence is bad where it is low, and is limited negated."""
    return {
        name: (-limit, np.inf) if name == "evidence" else (-np.inf, limit) for name, limit in limits.items()
    }


def _limits_in(bounds: Mapping[str, Bound]) -> dict[str, float]:
    """The limits of scores in ``bounds``, as `bounds_at` takes them."""
    return {name: -low if name == "evidence" else high for name, (low, high) in bounds.items()}


def limits_of_few(
    sound: Scores,
    weights: Array,
    owner: NDArray[np.int64],
    faulty: Mapping[str, Scores],
    own: Mapping[str, str],
    share: float,
    lost: NDArray[np.bool_],
    base: Mapping[str, Bound],
) -> dict[str, float]:
    """Limits that pass these people, and as far beyond that new people pass too.

    They are those of ``base`` where the scores lie far enough under them; without a base, those that `ease`,
    `raise_to_faults` and `drop_unsure` leave. ``owner`` [strips] is who was recorded.
    """
    planted = {
        key: [
            {
                name: float(row[j])
                for j, name in enumerate(scores.names)
                if name in own and np.isfinite(row[j])
            }
            for row in scores.values
        ]
        for key, scores in faulty.items()
    }
    kept = Scores(sound.names, np.where(_stand_alone(sound, owner), np.nan, sound.values))
    highest = {
        name: float(np.nanmax(column))
        for name, column in zip(kept.names, kept.values.T, strict=True)
        if np.isfinite(column).sum() >= 4
    }
    known = _limits_in({name: base[name] for name in highest if name in base})
    bounds = bounds_at({name: highest[name] for name in known or highest})
    if not known:
        ease(bounds)
    limits = _limits_in(bounds)
    beyond = excess(kept, limits, dict.fromkeys(limits, 1.0))
    step = max(0.0, step_for(beyond, weights, share, lost))
    room = dict(zip(kept.names, room_of(kept.names, faulty, own, FOUND), strict=True))
    further = _further(known, step, room)
    limits = {name: max(limit + step, further.get(name, -np.inf)) for name, limit in limits.items()}
    if not known:
        bounds = bounds_at(limits)
        raise_to_faults(bounds, planted)
        drop_unsure(bounds, planted, round(float(weights.sum())))
        limits = _limits_in(bounds)
    return limits


def _further(known: Mapping[str, float], step: float, room: Mapping[str, float]) -> dict[str, float]:
    """Limits of another rhythm, in twelve leads by ``step`` further out, as far as planted faults leave room.

    There they are drawn close around the many people in sinus rhythm, and others lie farther out.
    """
    if not any(name.endswith("_12") for name in known):
        return dict(known)
    return {
        name: limit + step if np.isneginf(room[name]) else max(limit, min(limit + step, room[name]))
        for name, limit in known.items()
    }


def _stand_alone(sound: Scores, owner: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which scores [strips, checks] of `RECORDED_FAULTS` are of someone whom nobody further down is like.

    A strip of ventricular fibrillation that its recorder clipped scores like a planted fault; if limits were
    drawn beyond it, no other would be found.
    """
    alone = np.zeros(sound.values.shape, dtype=bool)
    people = int(owner.max()) + 1
    for j, name in enumerate(sound.names):
        if name.removeprefix("looks_").removesuffix("_12") not in RECORDED_FAULTS:
            continue
        column = np.where(np.isfinite(sound.values[:, j]), sound.values[:, j], -np.inf)
        tops = np.full(people, -np.inf)
        np.maximum.at(tops, owner, column)
        ranked = np.sort(tops)[::-1]
        for k in range(people // ALONE_PEOPLE, 0, -1):
            if ranked[k - 1] > max(LEAST_ODDS, ranked[k] + ALONE_ODDS):
                alone[:, j] = column > max(LEAST_ODDS, ranked[k])
                break
    return alone
