"""Sharing out false alarms: which of the scores that tell faults may turn down how many sound records.

The scores of a handful of noisy strips are high for several faults at once, so limits that are set one by
one either turn down too many people or miss too much. Here all limits of a rhythm move together: each step
tightens the one that finds most further faults per sound person it turns down in addition, until the budget
is used up (greedy maximum coverage, Khuller, Moss, Naor, Inf Process Lett 70:39-45, 1999). Limits that were
chosen among so many turn down more new people than they did known ones, so all of them then move together,
until those whom they were not chosen on pass (`joint_limits`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.people import folds_of

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Shares of people whom one limit may turn down, from the loosest on.
TAILS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.011, 0.015, 0.02)
#: Share of a fault's strips that is asked for; finding more is worth nothing.
WANTED = 0.97
#: Folds of people in which limits are chosen without those whom they are tried on.
FOLDS = 5
#: Share of the values that are the tail of a score.
TAIL_FROM = 0.1
#: Log-odds by which the highest scores of people fall off to 1/e; 1.44 to 1.55 in rhythms of many people.
FALL_OFF = 1.5
#: A limit that finds less than this share of its own fault is left out: it costs sound records for nothing.
WORTH = 0.15
#: Distance of the loosest limit above all sound scores, in log-odds, for people who were not seen.
MARGIN = 0.75
#: Stands for the excess of strips that no limit turns down, wherever it moves.
NEVER = -1e9
#: What a step costs at least, as a share of people: steps that turn down nobody more are not free.
LEAST_COST = 0.0003


@dataclass(frozen=True)
class Scores:
    """High scores of some strips by name of the check; NaN where a check is not made.

    Attributes
    ----------
    names : tuple of str
    values : float64 array [strips, checks]
    """

    names: tuple[str, ...]
    values: Array

    @classmethod
    def of(cls, names: Sequence[str], rows: Sequence[Mapping[str, float]]) -> Scores:
        """From rows of named numbers."""
        table = [[row.get(name, np.nan) for name in names] for row in rows]
        return cls(tuple(names), np.array(table, dtype=np.float64).reshape(len(rows), len(names)))


def limits_at(sound: Scores, weights: Array, tails: Mapping[str, float]) -> dict[str, float]:
    """The limits over which ``tails`` of the weight of sound strips lie; `MARGIN` above all of them for 0."""
    limits = {}
    for name, column in zip(sound.names, sound.values.T, strict=True):
        seen = np.isfinite(column)
        if name in tails and seen.sum() >= 4:
            limits[name] = _limit(column[seen], weights[seen], tails[name])
    return limits


def _limit(values: Array, weights: Array, tail: float) -> float:
    if tail <= 0:
        return float(values.max()) + MARGIN
    order = np.argsort(values)[::-1]
    above = np.cumsum(weights[order]) / weights.sum()
    # The highest value under which more than the tail would be lost stays on the sound side.
    k = int(np.searchsorted(above, tail, side="right"))
    top, below = values[order[max(0, k - 1)]], values[order[min(k, len(order) - 1)]]
    return float(top + MARGIN) if k == 0 else float((top + below) / 2)


def excess(scores: Scores, limits: Mapping[str, float], scales: Mapping[str, float]) -> Array:
    """How far the worst score of each strip lies beyond its limit, in ``scales``; -inf where none is told."""
    known = [j for j, name in enumerate(scores.names) if name in limits]
    if not known:
        return np.full(len(scores.values), -np.inf)
    at, by = (np.array([table[scores.names[j]] for j in known]) for table in (limits, scales))
    beyond = (scores.values[:, known] - at) / by
    return np.asarray(np.where(np.isfinite(beyond), beyond, -np.inf).max(axis=1))


def scales_of(
    sound: Scores,
    weights: Array,
    limits: Mapping[str, float],
    faulty: Mapping[str, Scores],
    own: Mapping[str, str],
) -> dict[str, float]:
    """How far each limit moves in one step: one tail of sound strips, and all the room that its fault leaves.

    Beyond a limit under which no fault lies there is nothing to lose: it moves up to where a twentieth of the
    faults are.
    """
    scales = {}
    for name, limit in limits.items():
        j = sound.names.index(name)
        column, seen = sound.values[:, j], np.isfinite(sound.values[:, j])
        scales[name] = _tail(column[seen], weights[seen])
        key = own.get(name, "")
        if key in faulty:
            values = faulty[key].values[:, j]
            scales[name] += max(0.0, float(np.nanquantile(values, 0.05)) - limit)
    return scales


def _tail(values: Array, weights: Array) -> float:
    """Mean excess over the value that `TAIL_FROM` of the weight lies over, at least 0.1."""
    order = np.argsort(values)[::-1]
    above = np.cumsum(weights[order]) / weights.sum()
    start = float(values[order[min(int(np.searchsorted(above, TAIL_FROM)), len(order) - 1)]])
    beyond = values > start
    mean = float(np.average(values[beyond] - start, weights=weights[beyond])) if beyond.any() else 0.0
    return max(0.1, mean)


def turned_down_at(excesses: Array, weights: Array, share: float) -> float:
    """The excess over which ``share`` of new people will lie, whose weights sum to 1 each.

    A quantile; where there are too few people for one, the highest excess, and beyond it as far as scores
    that fall off by `FALL_OFF` reach.
    """
    seen = np.isfinite(excesses)
    if not seen.any():
        return -np.inf
    values, mass = excesses[seen], weights[seen]
    expected = share * (float(mass.sum()) + 1.0)
    if expected >= 1.0:
        order = np.argsort(values)[::-1]
        above = np.cumsum(mass[order])
        return float(values[order[min(int(np.searchsorted(above, expected, side="right")), len(order) - 1)]])
    return float(values.max()) - FALL_OFF * float(np.log(expected))


def joint_limits(
    sound: Scores,
    weights: Array,
    owner: NDArray[np.int64],
    faulty: Mapping[str, Scores],
    own: Mapping[str, str],
    budget: float,
    share: float,
    lost: Bools,
    free: bool,
) -> dict[str, float]:
    """Limits that all move together until ``share`` of people whom they were not chosen on are turned down.

    Parameters
    ----------
    sound, weights, faulty, own, budget
        As in `share_out`.
    owner : int array [strips]
        Who was recorded.
    share : float
        Of people, by all checks together.
    lost : bool array [strips]
        Turned down by other checks.
    free : bool
        Whether limits move as `scales_of` says; else all by as many log-odds, and none stays under the value
        over which `WANTED` of its own fault lies: to lie lower finds nothing that is asked for.
    """

    def chosen(
        rows: NDArray[np.int64], worth: Collection[str] | None = None
    ) -> tuple[dict[str, float], dict[str, float]]:
        part = Scores(sound.names, sound.values[rows])
        limits = limits_at(part, weights[rows], share_out(part, weights[rows], faulty, budget, own, worth))
        scales = scales_of(part, weights[rows], limits, faulty, own) if free else dict.fromkeys(limits, 1.0)
        return limits, scales

    limits, scales = chosen(np.arange(len(weights)))
    least = np.full(len(sound.names), -np.inf) if free else room_of(sound.names, faulty, own)
    fold = folds_of(owner, FOLDS)
    tried = np.full(len(weights), -np.inf)
    for k in range(FOLDS):
        held = np.flatnonzero(fold == k)
        inside = chosen(np.flatnonzero(fold != k), limits)
        beyond = np.where(sound.values[held] > least, sound.values[held], np.nan)
        # Who lies under all of these is never turned down, but counts as one of the people.
        tried[held] = np.maximum(excess(Scores(sound.names, beyond), *inside), NEVER)
    step = max(0.0, step_for(tried, weights, share, lost))
    return {
        name: max(limit + step * scales[name], float(least[sound.names.index(name)]))
        for name, limit in limits.items()
    }


def room_of(
    names: Sequence[str], faulty: Mapping[str, Scores], own: Mapping[str, str], found: float = WANTED
) -> Array:
    """The limit of each check that finds the share ``found`` of its own fault; -inf without one."""
    least = np.full(len(names), -np.inf)
    for j, name in enumerate(names):
        if own.get(name) in faulty:
            values = faulty[own[name]].values[:, j]
            values = values[np.isfinite(values)]
            least[j] = np.quantile(values, 1.0 - found) if len(values) else -np.inf
    return least


def step_for(excesses: Array, weights: Array, share: float, lost: Bools) -> float:
    """How far limits move for ``share`` of people to be turned down, with those ``lost`` to other checks.

    At least half of the share is left to the scores.
    """
    left = max(share / 2, share - float(weights[lost].sum() / weights.sum()))
    return turned_down_at(excesses[~lost], weights[~lost], left) if not lost.all() else 0.0


def share_out(
    sound: Scores,
    weights: Array,
    faulty: Mapping[str, Scores],
    budget: float,
    own: Mapping[str, str],
    worth: Collection[str] | None = None,
) -> dict[str, float]:
    """Tail of each check, such that sound strips of at most ``budget`` of the weight are turned down in all.

    Parameters
    ----------
    sound : Scores
        Of sound strips, from trees that did not see the person.
    weights : float64 array [strips]
        Each person's sum to 1.
    faulty : mapping of str to Scores
        The same checks of strips with a fault, by name of the fault and kind of record.
    budget : float
    own : mapping of str to str
        The key of ``faulty`` that a check was made for.
    worth : collection of str, optional
        Checks that are worth making; None finds out.

    Returns
    -------
    dict of str to float
        Checks that are not worth making are left out.
    """
    masks = {
        name: _levels(column, weights, {key: s.values[:, j] for key, s in faulty.items()})
        for j, (name, column) in enumerate(zip(sound.names, sound.values.T, strict=True))
        if np.isfinite(column).sum() >= 4
    }
    level = dict.fromkeys(masks, 0)
    weight = weights / weights.sum()
    lost = np.zeros(len(weights), dtype=bool)
    found = {key: np.zeros(len(s.values), dtype=bool) for key, s in faulty.items()}
    for name in masks:
        found = {key: found[key] | masks[name][0][1][key] for key in found}
    while True:
        best: tuple[float, str, int] | None = None
        for name, levels in masks.items():
            for k in range(level[name] + 1, len(TAILS)):
                turned_down, caught = levels[k]
                cost = float(weight[turned_down & ~lost].sum())
                if float(weight[turned_down | lost].sum()) > budget:
                    break
                gain = sum(_worth(found[key] | caught[key]) - _worth(found[key]) for key in found)
                rate = gain / (cost + LEAST_COST)
                if gain > 0.001 and (best is None or rate > best[0]):
                    best = (rate, name, k)
        if best is None:
            break
        _, name, k = best
        level[name] = k
        lost = lost | masks[name][k][0]
        found = {key: found[key] | masks[name][k][1][key] for key in found}
    if worth is None:
        finds = {
            name: float(masks[name][level[name]][1][own[name]].mean())
            for name in masks
            if own.get(name) in faulty
        }
        worth = [name for name in masks if finds.get(name, 1.0) >= WORTH]
    return {name: TAILS[level[name]] for name in masks if name in worth}


def _worth(found: Bools) -> float:
    return min(float(found.mean()), WANTED) if len(found) else 0.0


def _levels(
    column: Array, weights: Array, faulty: Mapping[str, Array]
) -> list[tuple[Bools, dict[str, Bools]]]:
    """Per tail, who of the sound is turned down and which of the faulty are found (NaN never is)."""
    seen = np.isfinite(column)
    levels = []
    for tail in TAILS:
        limit = _limit(column[seen], weights[seen], tail)
        levels.append((column > limit, {key: values > limit for key, values in faulty.items()}))
    return levels
