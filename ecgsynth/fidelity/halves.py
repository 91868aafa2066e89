"""Real people in two halves, again and again: what a metric says of people who were not in the other half.

A metric of two sets depends on how many records they have, and even two sets of real people differ. So the
real people are halved at random: one half is compared with the other, and with as many synthetic records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """A metric of two sets, and what each record contributes to it.

    Attributes
    ----------
    value : float
    first, second : float64 array [records of the set] or None
        First-order influence of each record, mean 0: the value moves by their weighted mean when records
        weigh differently (Hampel, J Am Stat Assoc 69:383-393, 1974). None where a set has none.
    """

    value: float
    first: Array | None = None
    second: Array | None = None


@dataclass(frozen=True)
class Halving:
    """Rows, equally many: of one half of the real people, of the other half, and of synthetic records."""

    first: Index
    second: Index
    synthetic: Index


@dataclass(frozen=True)
class Spread:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def number_people(people: Sequence[str]) -> Index:
    """A number from 0 for each row's person."""
    return np.unique(np.asarray(people), return_inverse=True)[1].astype(np.int64)


def halvings(
    real_owner: Index, synthetic_owner: Index, count: int, rng: np.random.Generator
) -> list[Halving]:
    """``count`` random halvings of the real people, each with as many synthetic records.

    All three parts of a halving get the same number of rows: that of the smallest.
    """
    found = []
    people = int(real_owner.max()) + 1
    for _ in range(count):
        order = rng.permutation(people)
        inside = np.isin(real_owner, order[: people // 2])
        halves = [np.flatnonzero(inside), np.flatnonzero(~inside)]
        size = min(len(halves[0]), len(halves[1]), len(synthetic_owner))
        first, second = (_some(rows, size, rng) for rows in halves)
        found.append(Halving(first, second, _some(_whole_people(synthetic_owner, size, rng), size, rng)))
    return found


def _some(rows: Index, size: int, rng: np.random.Generator) -> Index:
    return np.sort(rng.choice(rows, size, replace=False))


def _whole_people(owner: Index, size: int, rng: np.random.Generator) -> Index:
    """Rows of as many people, in random order, as have at least ``size`` rows together."""
    order = rng.permutation(int(owner.max()) + 1)
    enough = int(np.searchsorted(np.cumsum(np.bincount(owner)[order]), size)) + 1
    return np.flatnonzero(np.isin(owner, order[:enough]))


@dataclass(frozen=True)
class People:
    """The people of one side and how often each was drawn: ``draws`` float64 [resamples, people]."""

    owner: Index
    draws: Array


def draw_people(owner: Index, resamples: int, rng: np.random.Generator) -> People:
    """As many people drawn with replacement as there are, ``resamples`` times."""
    people = int(owner.max()) + 1
    draws = rng.multinomial(people, np.full(people, 1.0 / people), size=resamples)
    return People(owner, draws.astype(np.float64))


def spread(
    outcomes: Sequence[Outcome],
    sides: tuple[People, People],
    rows: Sequence[tuple[Index, Index]],
    rng: np.random.Generator,
    *,
    single: bool,
) -> Spread:
    """Mean over halvings with a 95 % interval from resampling people.

    Parameters
    ----------
    outcomes : sequence of Outcome
        One per halving.
    sides : (People, People)
        Those of the first and of the second set.
    rows : sequence of (int64 array, int64 array)
        Per halving, which records of each side were compared.
    rng : Generator
    single : bool
        True: the interval is of one comparison, so it also holds how halvings differ. This is how far two
        halves of real people stray. False: of the mean over halvings.

    Notes
    -----
    The bootstrap is first-order: people are drawn with replacement and the metric moves by the mean influence
    of their records. Where an outcome has no influences, the standard deviation over halvings stands for it:
    that of a statistic over random halves estimates its standard error (delete-half jackknife; Shao & Wu, Ann
    Stat 17:1176-1197, 1989).
    """
    values = np.array([outcome.value for outcome in outcomes])
    moves = np.stack([_moves(outcome, sides, at, rng) for outcome, at in zip(outcomes, rows, strict=True)])
    count, resamples = moves.shape
    centre = float(values.mean())
    if not resamples:
        return Spread(centre, centre, centre)
    picks = rng.integers(0, count, (count, resamples))
    if outcomes[0].first is None and outcomes[0].second is None and count > 1:
        moves = moves + rng.normal(0.0, values.std(ddof=1), resamples)
    drawn = values[picks[0]] + moves[picks[0], np.arange(resamples)] if single else values[picks].mean(axis=0)
    if not single:
        drawn = drawn + moves.mean(axis=0)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Spread(centre, min(float(low), centre), max(float(high), centre))


def _moves(
    outcome: Outcome, sides: tuple[People, People], rows: tuple[Index, Index], rng: np.random.Generator
) -> Array:
    """By how much the value moves in each resample [resamples]."""
    total = np.zeros(len(sides[0].draws))
    for influence, side, at in zip((outcome.first, outcome.second), sides, rows, strict=True):
        if influence is None:
            continue
        people = side.draws.shape[1]
        owner = side.owner[at]
        weight = side.draws @ np.bincount(owner, minlength=people).astype(np.float64)
        moved = side.draws @ np.bincount(owner, weights=influence, minlength=people)
        total += moved / np.maximum(weight, 1e-12)
    return total
