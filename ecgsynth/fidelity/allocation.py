"""Sharing out false alarms: which of the scores that tell faults may turn down how many sound records.

The scores of a handful of noisy strips are high for several faults at once, so limits that are set one by
one either turn down too many people or miss too much. Here all limits of a rhythm move together: each step
tightens the one that finds most further faults per sound person it turns down in addition, until the budget
is used up (greedy maximum coverage, Khuller, Moss, Naor, Inf Process Lett 70:39-45, 1999).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Shares of people whom one limit may turn down, from the loosest on.
TAILS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.011, 0.015, 0.02)
#: How many steps ahead a limit may jump: the first ones often only pass noisy strips.
JUMP = 6
#: Share of a fault's strips that is asked for; finding more is worth nothing.
WANTED, WANTED_OF = 0.97, {"splice": 0.88, "reversed": 0.90}
#: A limit that finds less than this share of its own fault is left out: it costs sound records for nothing.
WORTH = 0.15
#: Distance of the loosest limit above all sound scores, in log-odds, for people who were not seen.
MARGIN = 0.75
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


def share_out(
    sound: Scores, weights: Array, faulty: Mapping[str, Scores], budget: float, own: Mapping[str, str]
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
            for k in range(level[name] + 1, min(level[name] + JUMP, len(TAILS) - 1) + 1):
                turned_down, caught = levels[k]
                cost = float(weight[turned_down & ~lost].sum())
                if float(weight[turned_down | lost].sum()) > budget:
                    break
                gain = sum(_worth(key, found[key] | caught[key]) - _worth(key, found[key]) for key in found)
                rate = gain / (cost + LEAST_COST)
                if gain > 0.001 and (best is None or rate > best[0]):
                    best = (rate, name, k)
        if best is None:
            break
        _, name, k = best
        level[name] = k
        lost = lost | masks[name][k][0]
        found = {key: found[key] | masks[name][k][1][key] for key in found}
    return {
        name: TAILS[level[name]]
        for name, levels in masks.items()
        if own.get(name) not in faulty or float(levels[level[name]][1][own[name]].mean()) >= WORTH
    }


def _worth(key: str, found: Bools) -> float:
    return min(float(found.mean()), WANTED_OF.get(key.removesuffix("_12"), WANTED)) if len(found) else 0.0


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
