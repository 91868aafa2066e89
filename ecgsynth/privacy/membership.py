"""Membership inference: whether the synthetic records tell who was in training.

Five attacks score every real person; a score is worth something when training people score above holdout
people. All know the real people of both sides except the person in question, so that nothing but membership
sets the sides apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.intervals import (
    allowed_rank,
    bootstrap,
    lower_limit,
    overtaking_p,
    people_needed,
    power,
    upper_limit,
)
from ecgsynth.privacy.representation import Points, nearest, represent
from ecgsynth.privacy.samples import Sample, by_person

Floats = NDArray[np.float64]
Attack = Callable[[Points, Points, np.random.Generator], Floats]

#: False-positive rate that true positives are stated at, and the gate on their upper 95 % limit.
FPR: Final = 0.01
MOST_TPR: Final = 0.02
#: Share of the training people that an audit must be able to notice, with what power.
LEAK: Final = 0.05
WANTED_POWER: Final = 0.8
#: Fewest people of a side, and the strips of a side that are looked at.
FEWEST: Final = 5
MOST_STRIPS: Final = 3000
#: Most strips of one person: more would only raise the best of them.
_PER_PERSON: Final = 6
_FOLDS: Final = 5


def beat_neighbour(real: Points, synthetic: Points, rng: np.random.Generator) -> Floats:
    """Nearness of the nearest synthetic median beat (Hayes et al., PETS 2019, as a distance attack)."""
    del rng
    return -nearest(real.beats, synthetic.beats)


def calibrated_neighbour(real: Points, synthetic: Points, rng: np.random.Generator) -> Floats:
    """The same against how near other real people come (Chen et al., GAN-Leaks, CCS 2020)."""
    del rng
    others = nearest(real.parts, real.parts, _same_person(real))
    return -np.log((nearest(real.parts, synthetic.parts) + 1e-3) / (others + 1e-3))


def density_ratio(real: Points, synthetic: Points, rng: np.random.Generator) -> Floats:
    """Log density of synthetic records over that of other real people (DOMIAS, van Breugel et al. 2023)."""
    del rng
    width = max(0.3, len(synthetic) ** (-1 / (real.parts.shape[1] + 4)))
    return _log_density(real.parts, synthetic.parts, width, None) - _log_density(
        real.parts, real.parts, width, _same_person(real)
    )


def discriminator(real: Points, synthetic: Points, rng: np.random.Generator) -> Floats:
    """How synthetic a strip looks to a judge that never saw the person (LOGAN, Hayes et al., PETS 2019)."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    names, owner = np.unique(real.people, return_inverse=True)
    folds = min(_FOLDS, len(names))
    fold = (rng.permutation(len(names)) % folds)[owner]
    scores = np.empty(len(real))
    for k in range(folds):
        learn = real.parts[fold != k]
        rows = np.concatenate([learn, synthetic.parts])
        labels = np.r_[np.zeros(len(learn)), np.ones(len(synthetic))]
        judge = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, learning_rate=0.1, random_state=int(rng.integers(2**31))
        )
        judge.fit(rows, labels)
        scores[fold == k] = judge.decision_function(real.parts[fold == k])
    return scores


def monte_carlo(real: Points, synthetic: Points, rng: np.random.Generator) -> Floats:
    """Share of synthetic records within a ball (Hilprecht et al., PETS 2019), of their median distance."""
    del rng
    distance = nearest(real.parts, synthetic.parts)
    radius = float(np.median(distance)) + 1e-9
    inside = np.zeros(len(real))
    for start in range(0, len(real), 512):
        part = real.parts[start : start + 512]
        gaps = np.sqrt(
            np.maximum(
                (part**2).sum(1)[:, None] + (synthetic.parts**2).sum(1)[None] - 2 * part @ synthetic.parts.T,
                0,
            )
        )
        inside[start : start + 512] = np.maximum(0.0, 1 - gaps / radius).sum(axis=1)
    return inside / len(synthetic) - 1e-6 * distance


ATTACKS: Final[dict[str, Attack]] = {
    "beat nearest neighbour": beat_neighbour,
    "reference-calibrated nearest neighbour": calibrated_neighbour,
    "density (DOMIAS)": density_ratio,
    "discriminator (LOGAN)": discriminator,
    "Monte Carlo": monte_carlo,
}


def _same_person(points: Points) -> NDArray[np.bool_]:
    owner = np.unique(points.people, return_inverse=True)[1]
    return np.asarray(owner[:, None] == owner[None])


def _log_density(points: Floats, centres: Floats, width: float, own: NDArray[np.bool_] | None) -> Floats:
    """Log of a Gaussian kernel density estimate, up to a constant."""
    found = np.empty(len(points))
    squares = (centres**2).sum(axis=1)
    for start in range(0, len(points), 512):
        part = points[start : start + 512]
        power_ = -((part**2).sum(1)[:, None] + squares[None] - 2 * part @ centres.T) / (2 * width**2)
        if own is not None:
            power_[own[start : start + 512]] = -np.inf
        top = power_.max(axis=1, keepdims=True)
        found[start : start + 512] = top[:, 0] + np.log(np.exp(power_ - top).sum(axis=1))
    return found - np.log(len(centres))


def membership(
    train: Sequence[Sample],
    holdout: Sequence[Sample],
    synthetic: Sequence[Sample],
    seed: int = 0,
    level: float = 0.05 / 5,
) -> dict[str, Any]:
    """All attacks on one rhythm; an attack counts as better than chance at a significance of ``level``.

    Returns
    -------
    dict
        ``train_people``, ``holdout_people``, ``power_at_5_percent``, ``people_needed``; per attack ``tpr`` at
        `FPR` with one-sided 95 % limits by people, exact ``p`` and informational ``auc``; the ``worst``; and
        the ``verdict``: fail when an attack beats chance (p under ``level``), pass when
        every upper limit is at most `MOST_TPR`, else not assessable.
    """
    people = [len({s.strip.subject for s in side}) for side in (train, holdout)]
    result: dict[str, Any] = {"train_people": people[0], "holdout_people": people[1], "gate": MOST_TPR}
    result |= _how_many(people[0], people[1], level)
    if min(people) < FEWEST or len(synthetic) < FEWEST:
        return result | {"verdict": "not assessable", "attacks": {}}
    rng = np.random.default_rng(seed)
    inside, outside, made = represent(*_thinned(train, holdout, synthetic, rng))
    real = Points(
        inside.people + outside.people,
        np.concatenate([inside.beats, outside.beats]),
        np.concatenate([inside.parts, outside.parts]),
    )
    has_beats = bool(np.any(real.beats)) and bool(np.any(made.beats))
    rows = {}
    for name, attack in ATTACKS.items():
        if attack is beat_neighbour and not has_beats:
            continue
        scores = attack(real, made, rng)
        first, second = (
            _per_person(part, side.people)
            for part, side in ((scores[: len(inside)], inside), (scores[len(inside) :], outside))
        )
        rows[name] = judge_attack(first, second, rng)
    worst = max(rows, key=lambda name: (rows[name]["tpr_high"], -rows[name]["p"]))
    return result | {"attacks": rows, "worst": worst, "verdict": _verdict(rows, level)}


def judge_attack(members: Floats, strangers: Floats, rng: np.random.Generator) -> dict[str, Any]:
    """TPR at `FPR` of one attack from the scores of training people and of holdout people."""
    tpr = _tpr(members, strangers)
    above = round(tpr * len(members))
    drawn = bootstrap(
        lambda i, j: _tpr(members[i], strangers[j]), len(members), len(strangers), rng, resamples=300
    )
    both = np.concatenate([members, strangers])
    ranks = np.argsort(np.argsort(both)) + 1.0
    auc = (ranks[: len(members)].sum() - len(members) * (len(members) + 1) / 2) / (
        len(members) * len(strangers)
    )
    return {
        "tpr": round(tpr, 4),
        "tpr_low": round(min(drawn[0], lower_limit(above, len(members))), 4),
        "tpr_high": round(max(drawn[1], upper_limit(above, len(members))), 4),
        "p": round(overtaking_p(above, len(members), len(strangers), FPR), 5),
        "auc": round(float(auc), 3),
    }


def _how_many(members: int, strangers: int, level: float) -> dict[str, Any]:
    enough = members >= FEWEST and strangers >= FEWEST
    return {
        "power_at_5_percent": round(power(members, strangers, LEAK, FPR, level), 3) if enough else 0.0,
        "people_needed": people_needed(LEAK, WANTED_POWER, FPR, level),
    }


def _tpr(members: Floats, strangers: Floats) -> float:
    threshold = np.sort(strangers)[-allowed_rank(len(strangers), FPR)]
    return float((members > threshold).mean())


def _per_person(scores: Floats, people: tuple[str, ...]) -> Floats:
    """The highest score of each person's strips."""
    names, owner = np.unique(people, return_inverse=True)
    best = np.full(len(names), -np.inf)
    np.maximum.at(best, owner, scores)
    return best


def _thinned(
    train: Sequence[Sample], holdout: Sequence[Sample], synthetic: Sequence[Sample], rng: np.random.Generator
) -> list[list[Sample]]:
    """About `MOST_STRIPS` strips a side at most, as many of a training person as of a holdout person."""
    groups = [by_person(side) for side in (train, holdout)]
    most = int(np.clip(MOST_STRIPS // max(len(group) for group in groups), 1, _PER_PERSON))
    sides = []
    for group in groups:
        some = list(group.values())
        if len(some) > MOST_STRIPS:
            some = [some[i] for i in np.sort(rng.permutation(len(some))[:MOST_STRIPS])]
        sides.append([s for own in some for s in (own[i] for i in sorted(rng.permutation(len(own))[:most]))])
    made = np.sort(rng.permutation(len(synthetic))[:MOST_STRIPS])
    return [*sides, [synthetic[i] for i in made]]


def _verdict(rows: dict[str, dict[str, Any]], level: float) -> str:
    if any(row["p"] < level for row in rows.values()):
        return "fail"
    return "pass" if all(row["tpr_high"] <= MOST_TPR for row in rows.values()) else "not assessable"
