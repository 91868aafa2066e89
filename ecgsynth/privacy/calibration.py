"""How alike two different people may be: the limits of the copy search, from people of the holdout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import CheckpointError
from ecgsynth.privacy.copies import STATISTICS, Match
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
TAIL: Final = 0.05
_TAIL_LEAST = 10
#: What the stored reference counts as: so many people for mean and spread, so many strips for the tail.
_MEAN_OF, _SPREAD_OF, _TAIL_OF = 5, 20, 300
#: What strangers have, learned by ``scripts/calibrate_copies.py`` on several databases.
REFERENCE: Final = Path(__file__).parent.parent / "weights" / "copy_reference.json"
#: Half a strip may hold four beats, and four beats agree by chance: less |NCC| than this says nothing then.
FLOOR: Final = 0.97
#: Strips shorter than this, in samples, count as half ones.
_LONG = round(0.75 * STRIP)
#: Score of a strip that no statistic may speak of.
_LEAST: Final = -9.0
#: Least spread of a statistic, so that a handful of strips that agree by chance do not make a limit of
#: nothing.
SPREAD_LEAST: Final = 0.1
#: Least mean excess of a tail, in deviations, for the same reason.
EXCESS_LEAST: Final = 0.2


@dataclass(frozen=True)
class Reference:
    """What strangers have, over several databases.

    Attributes
    ----------
    weights : float64 array [traits, statistics]
        What strips of some traits have more than others, by least squares.
    centre, spread : float64 array [statistics]
        Mean and standard deviation of what is left.
    tails : float64 array [statistics, 2]
        Of each statistic, the deviation that a share `TAIL` of strips exceeds, and their mean excess over it.
    tail : tuple of (float, float)
        The same of the scores.
    same_person : tuple of (tuple of int, tuple of float)
        People searched, and the likeness to a person that one in 125 strangers exceeds among so many.
    """

    weights: Floats
    centre: Floats
    spread: Floats
    tails: Floats
    tail: tuple[float, float]
    same_person: tuple[tuple[int, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Limits:
    """Limits of one rhythm: those of its holdout people, with the reference for what few people cannot tell.

    Attributes
    ----------
    reference : Reference
    centre, spread : float64 array [statistics]
        Mean and standard deviation of what is left of the statistics, over holdout strips of this rhythm.
    scores : float64 array [strips]
        Scores of those strips, ascending.
    people : int
        Holdout people behind them.
    """

    reference: Reference
    centre: Floats
    spread: Floats
    scores: Floats
    people: int

    def score(self, match: Match) -> float:
        """How far the most striking statistic of a match lies above what strangers have; see `strongest`."""
        return float(_scores([match], self.reference, self.centre, self.spread)[0])

    def limit(self, share: float) -> float:
        """The score that a share ``share`` of strangers' strips exceeds.

        By an exponential tail (Pickands, Ann Stat 3:119-131, 1975, with shape 0) of the holdout's own scores,
        averaged with that of the reference, which counts as 300 strips.
        """
        first, mean = self.reference.tail
        stored = first + mean * np.log(max(TAIL / share, 1.0))
        n = len(self.scores)
        start, excess, part = tail_of(self.scores)
        own = start + max(excess, 0.25) * np.log(max(part / share, 1.0))
        return float((n * own + _TAIL_OF * stored) / (n + _TAIL_OF))


def tail_of(scores: Floats) -> tuple[float, float, float]:
    """Where the tail of ascending scores starts, its mean excess, and the share of scores in it."""
    n = len(scores)
    kept = int(np.clip(round(TAIL * n), min(_TAIL_LEAST, n), n))
    tail = scores[-kept:]
    return float(tail[0]), float((tail - tail[0]).mean()), kept / n


@lru_cache(maxsize=2)
def load_reference(path: Path = REFERENCE) -> Reference:
    """Read the reference.

    Raises
    ------
    CheckpointError
        If the file is missing or not such a reference.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        names = ("weights", "centre", "spread", "tails")
        weights, centre, spread, tails = (np.array(said[name], dtype=np.float64) for name in names)
        people, limits = (tuple(row) for row in said["same_person"])
        tail = float(said["tail"][0]), float(said["tail"][1])
        return Reference(weights, centre, spread, tails, tail, (people, limits))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise CheckpointError(
            f"{path}: not a reference of the copy search ({type(error).__name__}); expected what "
            "scripts/calibrate_copies.py writes. Install the package again, or make one."
        ) from error


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


def fit_limits(holdout: Sequence[Match], reference: Reference | None = None) -> dict[str, Limits]:
    """Limits per rhythm and, under ``""``, of all rhythms together.

    Parameters
    ----------
    holdout : sequence of Match
        Strips of holdout people against the training recordings.
    reference : Reference, optional
        The shipped one by default.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not holdout:
        raise ValueError("copy search: no holdout strips; without them nothing says how alike strangers are.")
    reference = reference or load_reference()
    everyone = _fit(list(holdout), reference, reference.centre)
    groups: dict[str, list[Match]] = {}
    for match in holdout:
        groups.setdefault(match.strip.rhythm, []).append(match)
    own = {rhythm: _fit(matches, reference, everyone.centre) for rhythm, matches in groups.items()}
    return {"": everyone, **own}


def _fit(matches: list[Match], reference: Reference, prior: Floats) -> Limits:
    """Limits from some strips; few people are drawn towards ``prior`` and the spread of the reference."""
    values = above(matches, reference.weights)
    people = len({m.strip.subject for m in matches})
    centre = (people * values.mean(axis=0) + _MEAN_OF * prior) / (people + _MEAN_OF)
    square = (people * values.var(axis=0) + _SPREAD_OF * reference.spread**2) / (people + _SPREAD_OF)
    spread = np.maximum(np.sqrt(square), SPREAD_LEAST)
    scores = np.sort(_scores(matches, reference, centre, spread))
    return Limits(reference, centre, spread, scores, people)


def above(matches: Sequence[Match], weights: Floats) -> Floats:
    """Statistics [matches, statistics] less what their traits let expect."""
    return np.array([m.statistics() for m in matches]) - np.array([traits(m) for m in matches]) @ weights


def _scores(matches: Sequence[Match], reference: Reference, centre: Floats, spread: Floats) -> Floats:
    deviations = (above(matches, reference.weights) - centre) / spread
    return strongest(deviations, matches, reference.tails)


def strongest(deviations: Floats, matches: Sequence[Match], tails: Floats) -> Floats:
    """The most striking of the statistics [matches, statistics] that may speak of each match.

    Each counts in mean excesses of its own tail: strangers' bent fits hardly ever lie 2.2 deviations above
    their mean, their margins often lie 4 above it, so one limit in deviations for all of them hides what was
    bent.
    """
    return np.asarray(np.maximum(_in_excesses(deviations, matches, tails).max(axis=1), _LEAST))


def most_striking(match: Match, limits: Limits) -> str:
    """The statistic of `STATISTICS` that the score of a match comes from."""
    reference = limits.reference
    deviations = (above([match], reference.weights) - limits.centre) / limits.spread
    return STATISTICS[int(_in_excesses(deviations, [match], reference.tails)[0].argmax())]


def _in_excesses(deviations: Floats, matches: Sequence[Match], tails: Floats) -> Floats:
    """Deviations [matches, statistics] in mean excesses of each one's tail; -inf where one may not speak."""
    allowed = np.array([_evidence(match) for match in matches])
    return np.where(allowed, (deviations - tails[:, 0]) / tails[:, 1], -np.inf)


def tails_of(deviations: Floats, matches: Sequence[Match]) -> Floats:
    """Tails [statistics, 2] of deviations [matches, statistics] of strangers; see `Reference`.

    A statistic that may speak of few strips has the tail of those few, and of none the longest of the others.
    """
    allowed = np.array([_evidence(match) for match in matches])
    most = max(1, round(TAIL * len(matches)))
    tails = np.full((deviations.shape[1], 2), np.nan)
    for row, values, may in zip(tails, deviations.T, allowed.T, strict=True):
        kept = np.sort(values[may])[-most:]
        if len(kept):
            excess = max(float((kept - kept[0]).mean()), EXCESS_LEAST)
            row[:] = kept[0] - excess * np.log(most / len(kept)), excess
    return np.where(np.isnan(tails), np.nanmax(tails, axis=0), tails)


def _evidence(match: Match) -> NDArray[np.bool_]:
    """Which statistics may speak: of a few beats, only a correlation that leaves no room for chance."""
    short = len(match.strip.signal) < _LONG
    sure = [abs(fit.ncc) >= FLOOR for fit in (match.full, match.half, match.bent)]
    return np.array([not short or sure[0], sure[1], not short or sure[2], not short, not short])


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
