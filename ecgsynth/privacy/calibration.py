"""How alike two different people may be: the limits of the copy search, from people of the holdout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.copies import Match
from ecgsynth.privacy.traces import SLOW_HZ, STRIP

Floats = NDArray[np.float64]

#: How often a strip of someone who was not in training may be called a near-duplicate.
FALSE_HITS: Final = 0.001
#: How often a whole audit may call a stranger's strip a certain copy.
FALSE_CERTAIN: Final = 0.01
#: Fewest holdout people for a rhythm to have limits of its own; below, those of all rhythms together count
#: too.
OWN_LIMITS: Final = 20
#: Share of the largest scores that the tail is fitted on, and the fewest of them.
_TAIL, _TAIL_LEAST = 0.1, 10
#: Half a strip may hold four beats, and four beats agree by chance: less |NCC| than this says nothing then.
FLOOR: Final = 0.97
#: Strips shorter than this, in samples, count as half ones.
_LONG = round(0.75 * STRIP)
#: Score of a strip that no statistic may speak of.
_LEAST: Final = -9.0
#: Fewest holdout strips for expectations by traits.
_FOR_TRAITS = 150
#: Least spread of a statistic, so that a handful of strips that agree by chance do not make a limit of
#: nothing.
_SPREAD_LEAST: Final = 0.1


@dataclass(frozen=True)
class Limits:
    """Limits of one rhythm.

    Attributes
    ----------
    weights : float64 array [traits, statistics]
        What strips of some traits are expected to have, by least squares over holdout people of all rhythms.
    centre, spread : float64 array [statistics]
        Mean and standard deviation of what is left, over holdout strips of this rhythm.
    scores : float64 array [strips]
        Scores of those strips, ascending.
    people : int
        Holdout people behind them.
    """

    weights: Floats
    centre: Floats
    spread: Floats
    scores: Floats
    people: int

    def score(self, match: Match) -> float:
        """How far the most striking statistic of a match lies above what strangers have, in deviations."""
        return float(_scores([match], self.weights, self.centre, self.spread)[0])

    def limit(self, share: float) -> float:
        """The score that a share ``share`` of strangers' strips exceeds.

        The empirical quantile where there are strips enough, and never under an exponential tail fitted on
        the largest tenth (Pickands, Ann Stat 3:119-131, 1975, with shape 0): a few hundred strips say little
        of one in a thousand.
        """
        n = len(self.scores)
        kept = int(np.clip(round(_TAIL * n), min(_TAIL_LEAST, n), n))
        tail = self.scores[-kept:]
        mean_excess = max(float((tail - tail[0]).mean()), 0.25)
        fitted = float(tail[0]) + mean_excess * np.log(max(kept / n / share, 1.0))
        return float(max(fitted, np.quantile(self.scores, max(0.0, 1 - share))))


def traits(match: Match) -> Floats:
    """What makes a strip like other people's without being a copy: [traits].

    Whether it is all spikes (participation ratio), regular (largest autocorrelation from 0.3 to 2.5 s), rough
    or slow (shares of power over 12 Hz and under 3 Hz), short, and quiet between the beats.
    """
    signal = match.strip.signal.astype(np.float64)
    signal = signal - signal.mean()
    n = len(signal)
    power = np.abs(np.fft.rfft(signal, 2048)) ** 2
    lags = np.fft.irfft(power)[:160] / np.maximum(n - np.arange(160), 1)
    regular = float(lags[19:].max() / max(lags[0], 1e-12))
    square = signal**2
    spikes = np.log(square.sum() ** 2 / (n * (square**2).sum() + 1e-12) + 1e-9)
    frequency = np.fft.rfftfreq(2048, 1 / SLOW_HZ)
    total = power.sum() + 1e-12
    quiet = np.log(np.median(np.abs(signal)) / (np.abs(signal).max() + 1e-12) + 1e-3)
    rough, slow = power[frequency > 12].sum() / total, power[frequency < 3].sum() / total
    return np.array([1.0, spikes, regular, regular**2, np.log(rough + 1e-3), slow, np.log(n / STRIP), quiet])


def fit_limits(holdout: Sequence[Match]) -> dict[str, Limits]:
    """Limits per rhythm and, under ``""``, of all rhythms together.

    Parameters
    ----------
    holdout : sequence of Match
        Strips of holdout people against the training recordings.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not holdout:
        raise ValueError("copy search: no holdout strips; without them nothing says how alike strangers are.")
    known = np.array([traits(match) for match in holdout])
    if len(holdout) < _FOR_TRAITS:
        known[:, 1:] = 0.0
    # Ridge of the weight of one strip per trait, so that traits that hardly vary change nothing.
    normal = known.T @ known + np.eye(known.shape[1])
    weights = np.linalg.solve(normal, known.T @ np.array([match.statistics() for match in holdout]))
    if len(holdout) < _FOR_TRAITS:
        weights[1:] = 0.0
    groups: dict[str, list[Match]] = {"": list(holdout)}
    for match in holdout:
        groups.setdefault(match.strip.rhythm, []).append(match)
    return {rhythm: _fit(matches, weights) for rhythm, matches in groups.items()}


def _fit(matches: Sequence[Match], weights: Floats) -> Limits:
    values = _above(matches, weights)
    centre, spread = values.mean(axis=0), np.maximum(values.std(axis=0), _SPREAD_LEAST)
    scores = np.sort(_scores(matches, weights, centre, spread))
    return Limits(weights, centre, spread, scores, len({m.strip.subject for m in matches}))


def _above(matches: Sequence[Match], weights: Floats) -> Floats:
    """Statistics [matches, statistics] less what their traits let expect."""
    return np.array([m.statistics() for m in matches]) - np.array([traits(m) for m in matches]) @ weights


def _scores(matches: Sequence[Match], weights: Floats, centre: Floats, spread: Floats) -> Floats:
    deviations = (_above(matches, weights) - centre) / spread
    for row, match in zip(deviations, matches, strict=True):
        row[~_evidence(match)] = -np.inf
    return np.asarray(np.maximum(deviations.max(axis=1), _LEAST))


def _evidence(match: Match) -> NDArray[np.bool_]:
    """Which statistics may speak: of a few beats, only a correlation that leaves no room for chance."""
    short = len(match.strip.signal) < _LONG
    sure = [abs(fit.ncc) >= FLOOR for fit in (match.full, match.half, match.bent)]
    return np.array([not short or sure[0], sure[1], not short or sure[2], not short])


def is_near(match: Match, limits: dict[str, Limits], share: float) -> tuple[bool, float]:
    """Whether a match exceeds what a share ``share`` of strangers do, and its score.

    With fewer than `OWN_LIMITS` holdout people of its rhythm it must also exceed what all rhythms together
    allow: two people in paced or regular rhythm are more alike than two in fibrillation.
    """
    everyone = limits[""]
    own = limits.get(match.strip.rhythm)
    if own is not None and own.people >= OWN_LIMITS:
        return own.score(match) > own.limit(share), own.score(match)
    near = everyone.score(match) > everyone.limit(share)
    if own is not None and own.people >= 3:
        near = near and own.score(match) > own.limit(share)
    return near, everyone.score(match)
