"""The unusual few: the people who stand out most are the first whom a synthetic dataset gives away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ecgsynth.privacy.attributes import attribute_risks
from ecgsynth.privacy.membership import membership
from ecgsynth.privacy.representation import represent
from ecgsynth.privacy.samples import Sample, Side, by_person

#: Share of the people of each side that count as unusual.
SHARE: Final = 0.05
#: A rhythm shown by fewer training people is a rare class.
RARE: Final = 10


def unusual_few(
    synthetic: Side, train: Side, holdout: Side, pairs: Sequence[dict[str, Any]], seed: int = 0
) -> dict[str, Any]:
    """The attacks on the most atypical `SHARE` of people, and near-duplicates of them and of rare classes.

    A person is as atypical as their strips are far from the middle of all people, in principal components of
    unit variance (a Mahalanobis distance).

    Returns
    -------
    dict
        ``people`` (of training), ``near_duplicates`` of them; ``rare``: per rare class its people and
        near-duplicates; ``gates``: verdicts of near-duplicates, membership and the attribute attacks.
    """
    made = {s.strip.rhythm for s in synthetic.samples}
    sides = [[s for s in side.samples if s.strip.rhythm in made] for side in (train, holdout)]
    chosen = _most_atypical(*sides)
    inside, outside = ([s for s in side if s.strip.subject in chosen] for side in sides)
    people = {s.strip.subject for s in inside}
    hits = [pair for pair in pairs if pair["subject"] in people]
    certain = sum(pair["certain"] for pair in hits)
    # Few people cannot give a pass: a certain copy fails, none leaves the question open.
    gates: dict[str, Any] = {
        "near-duplicates": {
            "count": len(hits),
            "certain": certain,
            "verdict": "fail" if certain else "not assessable",
        },
        "membership": membership(inside, outside, synthetic.samples, seed=seed),
    }
    gates |= attribute_risks(inside, outside, synthetic.samples, seed=seed)
    return {
        "people": len(people),
        "near_duplicates": len(hits),
        "rare": _rare(train, made, pairs),
        "gates": gates,
    }


def _most_atypical(train: Sequence[Sample], holdout: Sequence[Sample]) -> set[str]:
    if len(by_person(train)) + len(by_person(holdout)) < 2 or not train or not holdout:
        return set()
    inside, outside, _ = represent(train, holdout, train[:2])
    chosen: set[str] = set()
    for side in (inside, outside):
        apart = np.linalg.norm(side.parts, axis=1)
        names = np.array(side.people)
        people = np.unique(names)
        far = np.array([np.median(apart[names == person]) for person in people])
        chosen |= set(people[np.argsort(-far, kind="stable")[: max(1, round(SHARE * len(people)))]].tolist())
    return chosen


def _rare(train: Side, made: set[str], pairs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for rhythm in sorted(made):
        people = len({s.strip.subject for s in train.of(rhythm)})
        if people < RARE:
            found[rhythm] = {"people": people, "near_duplicates": sum(p["rhythm"] == rhythm for p in pairs)}
    return found
