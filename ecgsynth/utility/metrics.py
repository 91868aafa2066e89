"""Numbers of one classifier on test people, and what a test set can show: people are the unit throughout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.ssl.probe import weighted_auprc

#: Resampled sets of people behind an interval.
RESAMPLES: Final = 1000
#: z for 95 % two-sided plus z for 80 % power: the smallest effect a test finds four times out of five.
POWER_Z: Final = 1.960 + 0.842
_BINS = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """Strips of a test set: whether each shows the rhythm, and whose it is.

    Attributes
    ----------
    truth : bool array [N]
    person : int array [N]
    """

    truth: NDArray[np.bool_]
    person: NDArray[np.int64]

    @property
    def weight(self) -> Floats:
        """One in all for each person and class, however many strips they have."""
        key = self.person * 2 + self.truth
        _, own, count = np.unique(key, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / count[own])

    @property
    def positives(self) -> int:
        """People with the rhythm."""
        return len(np.unique(self.person[self.truth]))

    @property
    def negatives(self) -> int:
        """People without it, or with stretches without it."""
        return len(np.unique(self.person[~self.truth]))


def people_weights(tested: Labelled, resamples: int, seed: int) -> Floats:
    """Weights [resamples, N] of strips in sets of people drawn with replacement, as many of each class.

    People who have both classes are drawn with those who have the rhythm.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xB0,)))
    people = np.unique(tested.person)
    rare = np.isin(people, tested.person[tested.truth])
    times = np.zeros((resamples, len(people)))
    for group in (np.flatnonzero(rare), np.flatnonzero(~rare)):
        if len(group):
            times[:, group] = rng.multinomial(len(group), np.full(len(group), 1 / len(group)), size=resamples)
    return np.asarray(times[:, np.searchsorted(people, tested.person)] * tested.weight)


def auprc(tested: Labelled, score: Floats) -> float:
    """Average precision with people weighing the same."""
    return float(weighted_auprc(tested.truth, score, tested.weight[None])[0])


def f1_threshold(tested: Labelled, score: Floats) -> float:
    """The score at which F1 is largest; for validation people."""
    order = np.argsort(-score, kind="stable")
    weight = tested.weight[order]
    hits = np.cumsum(weight * tested.truth[order])
    f1 = 2 * hits / (np.cumsum(weight) + hits[-1])
    return float(score[order][int(np.argmax(f1))])


def numbers(tested: Labelled, score: Floats, threshold: float) -> dict[str, float]:
    """All metrics of one classifier on one test set.

    Returns
    -------
    dict
        ``auprc``; ``f1``, ``sensitivity`` and ``specificity`` at the validation threshold (1 - specificity is
        the harm to the common rhythm); ``sensitivity_at_95`` (at 95 % specificity); ``brier``; ``ece``
        (Naeini et al., AAAI 2015, ten bins). People weigh the same.
    """
    weight, truth = tested.weight, tested.truth
    called = score >= threshold
    hits, rare = float(weight[called & truth].sum()), float(weight[truth].sum())
    alarms, common = float(weight[called & ~truth].sum()), float(weight[~truth].sum())
    return {
        "auprc": auprc(tested, score),
        "f1": 2 * hits / (hits + alarms + rare),
        "sensitivity": hits / rare,
        "specificity": 1 - alarms / common,
        "sensitivity_at_95": _sensitivity_at(tested, score, 0.95),
        "brier": float(np.average((score - truth) ** 2, weights=weight)),
        "ece": _ece(tested, score),
    }


def _sensitivity_at(tested: Labelled, score: Floats, specificity: float) -> float:
    weight, truth = tested.weight, tested.truth
    order = np.argsort(-score, kind="stable")
    alarms = np.cumsum(weight[order] * ~truth[order])
    hits = np.cumsum(weight[order] * truth[order])
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    allowed = last[alarms[last] <= (1 - specificity) * alarms[-1] + 1e-9]
    return float(hits[allowed[-1]] / hits[-1]) if len(allowed) else 0.0


def _ece(tested: Labelled, score: Floats) -> float:
    weight = tested.weight
    bins = np.minimum((score * _BINS).astype(int), _BINS - 1)
    total = 0.0
    for b in np.unique(bins):
        own = bins == b
        gap = np.average(score[own] - tested.truth[own], weights=weight[own])
        total += float(weight[own].sum() * abs(gap))
    return total / float(weight.sum())


@dataclass(frozen=True)
class Difference:
    """One arm beside another on the same people.

    Attributes
    ----------
    mean, low, high : float
        Difference of AUPRC with its 95 % interval.
    p : float
        Two-sided, from the share of resamples on the other side of zero.
    smallest : float
        The smallest effect that these people can show with 80 % power.
    seeds_better, seeds : int
        In how many draws of the training people the first is higher.
    """

    mean: float
    low: float
    high: float
    p: float
    smallest: float
    seeds_better: int
    seeds: int


def auprc_draws(tested: Labelled, scores: list[Floats], weights: Floats) -> Floats:
    """AUPRC [seeds, resamples]."""
    return np.stack([weighted_auprc(tested.truth, score, weights) for score in scores])


def difference(first: Floats, second: Floats, points: list[tuple[float, float]], seed: int) -> Difference:
    """Paired difference from AUPRC [seeds, resamples] on the same resampled people; seeds are resampled too.

    Parameters
    ----------
    first, second : float array [seeds, resamples]
        From `auprc_draws` with the same weights; seed by seed they trained on the same people.
    points : list of (float, float)
        AUPRC of both on the people as they are, per seed.
    seed : int
    """
    gaps = first - second
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xD1,)))
    picked = rng.integers(0, len(gaps), gaps.shape[::-1])
    drawn = np.take_along_axis(gaps.T, picked, axis=1).mean(axis=1)
    own = np.array([a - b for a, b in points])
    low, high = np.quantile(drawn, [0.025, 0.975])
    tail = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    p = min(1.0, 2 * max(tail, 1 / (len(drawn) + 1)))
    return Difference(
        float(own.mean()),
        float(low),
        float(high),
        p,
        float(POWER_Z * drawn.std()),
        int((own > 0).sum()),
        len(own),
    )


def holm(p: list[float]) -> list[float]:
    """p values adjusted for how many there are (Holm, Scand J Statist 6:65-70, 1979).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    adjusted, worst = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = worst
    return adjusted


def words(gap: Difference, adjusted: float) -> str:
    """``better`` or ``worse`` only where the test people can show an effect of this size.

    Returns
    -------
    str
        ``better``, ``worse``, ``higher, but less than these people can show``, ``lower, but ...``, or
        ``no difference shown``.
    """
    sign = gap.low > 0 or gap.high < 0
    if sign and adjusted < 0.05 and abs(gap.mean) >= gap.smallest:
        return "better" if gap.mean > 0 else "worse"
    if sign:
        return f"{'higher' if gap.mean > 0 else 'lower'}, but less than these people can show"
    return "no difference shown"
