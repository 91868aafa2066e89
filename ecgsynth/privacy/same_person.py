"""Whose beats are these? Synthetic records that are as like a training person as only that person is.

A copy search finds a stretch of a recording. This finds the person when another of their recordings, or none
at all, was copied: the form of the beat stays when the rhythm changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.intervals import lower_limit, upper_limit
from ecgsynth.privacy.representation import unit_beats
from ecgsynth.privacy.samples import Known, Sample
from ecgsynth.privacy.verifier import Verifier

Floats = NDArray[np.float64]

#: Share of people outside training who may be listed.
LISTED: Final = 0.01
#: What counts beside the likeness: the lead over the second most alike person. 0, 0.5, 1 and 2 were tried on
#: public recordings; 1 found most.
LEAD: Final = 1.0
#: Gate: upper 95 % limit of the share of records that are listed.
MOST_SHARE: Final = 0.03
#: Fewest holdout people behind a limit that can be passed.
FEWEST: Final = 20
_BLOCK = 256


def same_person(
    train: Sequence[Sample],
    known: Sequence[Known],
    holdout: Sequence[Sample],
    synthetic: Sequence[Sample],
    verifier: Verifier,
) -> list[dict[str, Any]]:
    """Synthetic records by the training person that they are listed for, most alike first.

    The likeness of two beats is the mean of the verifier's and of their plain correlation. A record is listed
    when its likeness to the nearest person, plus the lead over the second nearest, is more than that of all
    but `LISTED` of holdout people.
    """
    beats = [*(Known(s.strip.subject, s.strip.record, s.beat) for s in train if s.beat is not None), *known]
    beats = [k for k in beats if k.subject not in verifier.people]
    strangers = [s for s in holdout if s.beat is not None and s.strip.subject not in verifier.people]
    made = [s for s in synthetic if s.beat is not None]
    if len({k.subject for k in beats}) < 2 or not strangers or not made:
        return []
    order = np.argsort([k.subject for k in beats], kind="stable")
    beats = [beats[i] for i in order]
    gallery = _Gallery(beats, verifier)
    people = np.unique([s.strip.subject for s in strangers], return_inverse=True)[1]
    best = np.full(people.max() + 1, -np.inf)
    np.maximum.at(best, people, gallery.scores(strangers)[0])
    limit = float(np.quantile(best, 1 - LISTED))
    scores, nearest = gallery.scores(made)
    rows: dict[str, dict[str, Any]] = {}
    for sample, score, at in zip(made, scores, nearest, strict=True):
        if score > limit and score > rows.get(sample.strip.record, {"score": -1.0})["score"]:
            rows[sample.strip.record] = {
                "synthetic": sample.strip.record,
                "rhythm": sample.strip.rhythm,
                "subject": beats[at].subject,
                "train": beats[at].record,
                "score": round(float(score), 4),
                "limit": round(limit, 4),
            }
    return sorted(rows.values(), key=lambda row: (-row["score"], row["synthetic"]))


def judge_listed(
    rows: Sequence[dict[str, Any]], synthetic: Sequence[Sample], holdout: Sequence[Sample]
) -> dict[str, Any]:
    """Per rhythm, how many records are listed against the `LISTED` that chance would list; with a verdict."""
    rhythms: dict[str, set[str]] = {}
    for sample in synthetic:
        if sample.beat is not None:
            rhythms.setdefault(sample.strip.rhythm, set()).add(sample.strip.record)
    people = len({s.strip.subject for s in holdout if s.beat is not None})
    found = {}
    for rhythm, records in sorted(rhythms.items()):
        count, n = len({row["synthetic"] for row in rows} & records), len(records)
        low, high = lower_limit(count, n), upper_limit(count, n)
        verdict = "fail" if low > LISTED else "pass" if high <= MOST_SHARE else "not assessable"
        found[rhythm] = {
            "records": n,
            "count": count,
            "share": round(count / n, 4),
            "share_low": round(low, 4),
            "share_high": round(high, 4),
            "expected": LISTED,
            "gate": MOST_SHARE,
            "verdict": verdict if people >= FEWEST else "not assessable",
        }
    return found


class _Gallery:
    """Beats of known people, sorted by person."""

    def __init__(self, beats: Sequence[Known], verifier: Verifier) -> None:
        self.verifier = verifier
        shapes = np.array([k.beat for k in beats])
        self.vectors = _vectors(shapes, verifier)
        self.first = np.unique([k.subject for k in beats], return_index=True)[1]

    def scores(self, samples: Sequence[Sample]) -> tuple[Floats, NDArray[np.int64]]:
        """Score of each sample, and the number of the beat that it is most like."""
        vectors = _vectors(np.array([s.beat for s in samples]), self.verifier)
        scores, nearest = np.empty(len(samples)), np.empty(len(samples), dtype=np.int64)
        for start in range(0, len(samples), _BLOCK):
            likeness = vectors[start : start + _BLOCK] @ self.vectors.T
            person = np.maximum.reduceat(likeness, self.first, axis=1)
            top = np.partition(person, -2, axis=1)[:, -2:]
            scores[start : start + _BLOCK] = top[:, 1] + LEAD * (top[:, 1] - top[:, 0])
            nearest[start : start + _BLOCK] = likeness.argmax(axis=1)
        return scores, nearest


def _vectors(beats: Floats, verifier: Verifier) -> Floats:
    """Vectors whose product is the mean of both likenesses."""
    return np.concatenate([verifier.embed(beats), unit_beats(beats)], axis=1) / np.sqrt(2)
