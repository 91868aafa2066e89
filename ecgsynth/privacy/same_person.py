"""Whose beats are these? Synthetic records that are as like a training person as only that person is.

A copy search finds a stretch of a recording. This finds the person when another of their recordings, or none
at all, was copied: the form of the beat stays when the rhythm changes, and so do size, variation and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.beat_gallery import (
    FURTHEST,
    WEIGHTS,
    BeatGallery,
    Place,
    beats_known,
    places_of,
    with_beats,
)
from ecgsynth.privacy.calibration import load_reference
from ecgsynth.privacy.intervals import lower_limit, upper_limit
from ecgsynth.privacy.samples import Sample, Side
from ecgsynth.privacy.verifier import Verifier

Floats = NDArray[np.float64]

#: Share of strips of people outside training that may be listed. A record has up to three strips of a rhythm:
#: limits from half of the training people of public recordings list 0.3 % of the other half's records of one
#: lead, 0.5 % of two and 0.5 % of eight. At 0.2 % it would be 0.3, 1.3 and 0.6 %, where 1 % may be.
LISTED: Final = 0.0015
#: Where the tail of strangers' scores is read. Beyond it not all are strangers: the two patients of PTB-XL
#: most alike of all are of one weight, a year apart in age, and were recorded by one device within weeks.
#: They are one in a hundred of the strips of more than two leads.
_TAIL: Final = (0.9, 0.98)
#: Numbers of leads that have a limit of their own. Two leads of a stranger are less often alike by chance
#: than one: of training people of public recordings, searched for among each other, `LISTED` reach 1.53 in
#: one lead, 1.27 in two and 1.16 in eight. One limit for all is that of one lead.
TIERS: Final = (1, 2, 8)
#: What counts beside the likeness: leads over the next person, of the whole and of each part. Chosen with
#: `WEIGHTS` (1 to 8 tried).
LEAD: Final = 2.0
#: Gate: upper 95 % limit of the share of records that are listed.
MOST_SHARE: Final = 0.03
#: Fewest holdout people behind a limit that can be passed.
FEWEST: Final = 20
#: The stored reference, and the limit of fewer leads, count as so many strips.
_REFERENCE_AS = 100
#: Fewest training people who are each other's strangers, and the most strips of them that are searched.
_FEWEST_STRANGERS, _MOST_STRANGERS = 20, 1500
#: Places whose likenesses are held at a time.
_BLOCK = 2048


def same_person(train: Side, holdout: Side, synthetic: Side, verifier: Verifier) -> list[dict[str, Any]]:
    """Synthetic records by the training person that they are listed for, furthest over their limit first.

    A strip is as like a person as the most alike of the person's beats, and of the person's strips by their
    features, averaged over the leads of the strip. A record is listed when the likeness to the nearest
    person, plus `LEAD` times the leads over the others, is more than that of all but `LISTED` of strangers'
    strips of as many leads: those of the holdout, and of training people who are not searched for themselves.
    """
    strangers = [p for p in places_of(holdout) if p.first.strip.subject not in verifier.people]
    made = places_of(synthetic)
    if len({known.subject for known in beats_known(train, verifier)}) < 2 or not strangers or not made:
        return []
    gallery = BeatGallery(train, verifier)
    return listed(gallery, made, limits_of(gallery, strangers, places_of(train)))


def score(likeness: Floats) -> Floats:
    """Likeness [strips, people, parts] to the most alike person, plus `LEAD` times the leads over others."""
    whole = likeness @ WEIGHTS
    rows, best = np.arange(len(whole)), whole.argmax(axis=1)
    top, value = likeness[rows, best], whole[rows, best]
    others = likeness.copy()
    others[rows, best], whole[rows, best] = -np.inf, -np.inf
    leads = value - whole.max(axis=1) + (top - others.max(axis=1)) @ WEIGHTS
    return np.asarray(value + LEAD * leads)


def limit_of(scores: Floats) -> float:
    """The score [strips] that `LISTED` of strangers exceed, by an exponential tail through `_TAIL`."""
    start, far = np.quantile(scores, _TAIL)
    mean = (far - start) / np.log((1 - _TAIL[0]) / (1 - _TAIL[1]))
    return float(start + mean * np.log((1 - _TAIL[0]) / LISTED))


def judge_listed(
    rows: Sequence[dict[str, Any]], synthetic: Sequence[Sample], holdout: Sequence[Sample]
) -> dict[str, Any]:
    """Per rhythm, how many records are listed against the `LISTED` that chance would list; with a verdict."""
    rhythms: dict[str, set[str]] = {}
    for sample in with_beats(synthetic):
        rhythms.setdefault(sample.strip.rhythm, set()).add(sample.strip.record)
    people = len({s.strip.subject for s in with_beats(holdout)})
    counts = {rhythm: len({row["synthetic"] for row in rows} & own) for rhythm, own in rhythms.items()}
    return {
        rhythm: _judged(counts[rhythm], len(own), people, len(rhythms))
        for rhythm, own in sorted(rhythms.items())
    }


def _judged(count: int, n: int, people: int, rhythms: int) -> dict[str, Any]:
    """The row of a rhythm, one of ``rhythms`` that are asked: a failure is one at 5 % over all of them."""
    high = upper_limit(count, n)
    sure = lower_limit(count, n, 1 - 0.05 / rhythms) > LISTED
    verdict = "fail" if sure else "pass" if high <= MOST_SHARE else "not assessable"
    return {
        "records": n,
        "count": count,
        "share": round(count / n, 4),
        "share_low": round(lower_limit(count, n), 4),
        "share_high": round(high, 4),
        "expected": LISTED,
        "gate": MOST_SHARE,
        "verdict": verdict if people >= FEWEST else "not assessable",
    }


def limits_of(
    gallery: BeatGallery, strangers: Sequence[Place], train: Sequence[Place] = ()
) -> dict[int, float]:
    """For each of `TIERS`, the score that `LISTED` of strangers' strips of so many leads exceed.

    Strangers are the holdout, and training people among all others of training. Their own limit is drawn
    towards the stored reference's for one lead, and then towards that of fewer leads. Among few people the
    second most alike is far from anyone, so leads are larger there.
    """
    limit = _at(len(gallery.subjects), *load_reference().same_person)
    limits = {}
    for leads in TIERS:
        some, others = ([p.cut(leads) for p in side if len(p.beats) >= leads] for side in (strangers, train))
        found = score(gallery.people(some)) if some else np.empty(0)
        found = np.concatenate([found, _among_themselves(gallery, others)])
        if len(found) >= _FEWEST_STRANGERS:
            limit = (len(found) * limit_of(found) + _REFERENCE_AS * limit) / (len(found) + _REFERENCE_AS)
        limits[leads] = float(limit)
    return limits


def _among_themselves(gallery: BeatGallery, train: Sequence[Place]) -> Floats:
    """Scores of training people's strips, searched for among all others."""
    if len(gallery.subjects) < _FEWEST_STRANGERS:
        return np.empty(0)
    known = set(gallery.subjects.tolist())
    own = [p for p in train if p.first.strip.subject in known]
    # Every so manyth person, so that all strips of one stay together.
    names = sorted({p.first.strip.subject for p in own})
    some = set(names[:: max(1, -(-len(own) // _MOST_STRANGERS))])
    strips = [p for p in own if p.first.strip.subject in some]
    if not strips:
        return np.empty(0)
    likeness = gallery.people(strips)
    column = np.searchsorted(gallery.subjects, [p.first.strip.subject for p in strips])
    likeness[np.arange(len(strips)), column] = -FURTHEST
    return score(likeness)


def listed(gallery: BeatGallery, places: Sequence[Place], limits: dict[int, float]) -> list[dict[str, Any]]:
    """Records with a strip over the limit for its number of leads, furthest over it first."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(places), _BLOCK):
        for row in _rows(gallery, places[start : start + _BLOCK], limits):
            kept = found.get(row["synthetic"])
            if kept is None or _over(row) > _over(kept):
                found[row["synthetic"]] = row
    return sorted(found.values(), key=lambda row: (-_over(row), row["synthetic"]))


def _over(row: dict[str, Any]) -> float:
    return float(row["score"] - row["limit"])


def _rows(gallery: BeatGallery, places: Sequence[Place], limits: dict[int, float]) -> list[dict[str, Any]]:
    """The places over their limits, each with its nearest person.

    ``ncc`` is the likeness of the beats, ``margin`` the lead over the next person.
    """
    both = gallery.people(places)
    people = both @ WEIGHTS
    top = np.sort(np.partition(people, -2, axis=1)[:, -2:], axis=1)
    scores = score(both)
    limit = np.array([limits[max(n for n in TIERS if n <= len(place.beats))] for place in places])
    found = []
    for k in np.flatnonzero(scores > limit).tolist():
        strip, person = places[k].first.strip, int(people[k].argmax())
        near = gallery.nearest(places[k], person)
        found.append(
            {
                "synthetic": strip.record,
                "rhythm": strip.rhythm,
                "lead": strip.lead,
                "leads": len(places[k].beats),
                "at_s": round(strip.at, 2),
                "subject": near.subject,
                "train": near.record,
                "train_lead": near.lead,
                "train_at_s": None,
                "ncc": round(float(both[k, person, :2].mean()), 4),
                "margin": round(float(top[k, 1] - top[k, 0]), 3),
                "score": round(float(scores[k]), 4),
                "limit": round(float(limit[k]), 4),
            }
        )
    return found


def _at(people: int, searched: Sequence[int], limits: Sequence[float]) -> float:
    """The stored limit for so many people: a line over their logarithm, also beyond the largest number."""
    slope, level = np.polyfit(np.log(searched), limits, 1)
    return float(level + slope * np.log(people))
