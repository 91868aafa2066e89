"""Intervals and exact tests over people, and how many people an audit needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def upper_limit(hits: int, n: int, level: float = 0.95) -> float:
    """One-sided upper limit of a rate (Clopper & Pearson, Biometrika 26:404-413, 1934); 1 where n is 0."""
    from scipy.stats import beta

    return 1.0 if hits >= n else float(beta.ppf(level, hits + 1, n - hits))


def lower_limit(hits: int, n: int, level: float = 0.95) -> float:
    """One-sided lower limit of a rate (Clopper & Pearson 1934); 0 where n is 0."""
    from scipy.stats import beta

    return 0.0 if hits <= 0 else float(beta.ppf(1 - level, hits, n - hits + 1))


def bootstrap(
    statistic: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
    n_first: int,
    n_second: int,
    rng: np.random.Generator,
    resamples: int = 500,
) -> tuple[float, float]:
    """5 and 95 % points of ``statistic(rows of first, rows of second)`` when people are redrawn."""
    values = [
        statistic(rng.integers(0, n_first, n_first), rng.integers(0, n_second, n_second))
        for _ in range(resamples)
    ]
    low, high = np.quantile(values, (0.05, 0.95))
    return float(low), float(high)


@lru_cache(maxsize=512)
def overtaken(members: int, strangers: int, rank: int) -> Floats:
    """Chances [members + 1] that so many members score above the ``rank``-th highest of the strangers.

    When membership means nothing, all orders of the scores are equally likely and the count is negative
    hypergeometric: ``C(t + r - 1, t) C(m - t + s - r, m - t) / C(m + s, m)``.
    """
    from scipy.special import gammaln

    def log_choose(n: Floats, k: Floats) -> Floats:
        return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

    t = np.arange(members + 1, dtype=np.float64)
    total = log_choose(np.asarray(float(members + strangers)), np.asarray(float(members)))
    logs = log_choose(t + rank - 1, t) + log_choose(members - t + strangers - rank, members - t) - total
    return np.asarray(np.exp(logs))


def allowed_rank(strangers: int, fpr: float) -> int:
    """Rank of the stranger whose score is the threshold at a false-positive rate of at most ``fpr``."""
    return int(np.floor(fpr * strangers)) + 1


def overtaking_p(above: int, members: int, strangers: int, fpr: float = 0.01) -> float:
    """Chance of at least ``above`` members over the threshold if membership means nothing."""
    return float(min(1.0, overtaken(members, strangers, allowed_rank(strangers, fpr))[above:].sum()))


def power(
    members: int, strangers: int, leak: float, fpr: float = 0.01, level: float = 0.05, found: float = 1.0
) -> float:
    """Chance that the exact test notices that a share ``leak`` of the members is known.

    Parameters
    ----------
    members, strangers : int
        People in training and holdout.
    leak : float
        Share of the members whose recordings leaked.
    fpr, level : float
        False-positive rate of the attack's threshold, and of the test.
    found : float
        Share of the leaked people whom the attack scores above everyone else.
    """
    from scipy.stats import binom

    rank = allowed_rank(strangers, fpr)
    tail = np.cumsum(overtaken(members, strangers, rank)[::-1])[::-1]
    needed = int(np.argmax(tail <= level)) if (tail <= level).any() else members + 1
    leaked = round(leak * members)
    innocent = overtaken(members - leaked, strangers, rank)
    above = np.cumsum(innocent[::-1])[::-1]
    chance = 0.0
    for k in range(leaked + 1):
        rest = max(0, needed - k)
        chance += float(binom.pmf(k, leaked, found)) * (float(above[rest]) if rest < len(above) else 0.0)
    return chance


@lru_cache(maxsize=64)
def people_needed(
    leak: float = 0.05, wanted: float = 0.8, fpr: float = 0.01, level: float = 0.05, found: float = 1.0
) -> int | None:
    """Fewest people, as many in training as in holdout, for power ``wanted``; None above 5,000."""
    return next(
        (
            n
            for n in [*range(20, 400, 10), *range(400, 5001, 100)]
            if power(n, n, leak, fpr, level, found) >= wanted
        ),
        None,
    )
