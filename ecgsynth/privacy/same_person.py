"""Whose beats are these? Synthetic records that are as like a training person as only that person is.

A copy search finds a stretch of a recording. This finds the person when another of their recordings, or none
at all, was copied: the form of the beat stays when the rhythm changes, and so do size, variation and noise.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.calibration import load_reference
from ecgsynth.privacy.intervals import lower_limit, upper_limit
from ecgsynth.privacy.representation import unit_beats
from ecgsynth.privacy.samples import NOT_CONDUCTED, Known, Sample
from ecgsynth.privacy.verifier import Verifier

Floats = NDArray[np.float64]

#: Share of records of people outside training that may be listed.
LISTED: Final = 0.004
#: Where the tail of strangers' scores is read. Beyond it not all are strangers: the two patients of PTB-XL
#: most alike of all are of one weight, a year apart in age, and were recorded by one device within weeks.
_TAIL: Final = (0.95, 0.99)
#: What a likeness is made of: the verifier's, the correlation of the beats, and less the mean distance of the
#: strips' features in robust deviations. Weights and `LEAD` were chosen on training people of public
#: recordings, 979 searched, strangers being 1,657 strips of them searched for among the others. At 0.5 % of
#: strangers, 70 % of 144 strips of a person from another time are found by beats and the lead of their mean
#: alone, 73 % with the leads of each, 76 % with features (weight 0.1 to 2 tried: 0.5 as good, 2 worse).
WEIGHTS: Final = np.array([0.5, 0.5, 0.25], dtype=np.float32)
#: What counts beside the likeness: leads over the next person, of the whole and of each part (1 to 8 tried).
LEAD: Final = 2.0
#: Robust deviations beyond which features say no more.
_FURTHEST: Final = 4.0
#: What beats of different leads are thought less alike: they look alike by chance, not by person. 0 to 0.5
#: were tried. It is no ban, as a copy may bear another lead's name.
OTHER_LEAD: Final = 0.06
#: Gate: upper 95 % limit of the share of records that are listed.
MOST_SHARE: Final = 0.03
#: Fewest holdout people behind a limit that can be passed.
FEWEST: Final = 20
#: The stored reference counts as so many strips.
_REFERENCE_AS = 100
#: Fewest training people who are each other's strangers, and the most strips of them that are searched.
_FEWEST_STRANGERS, _MOST_STRANGERS = 20, 1500
_BLOCK = 256
_SAME_LEAD: Final = {"MLII": "II"}
_STANDARD: Final = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


def same_person(
    train: Sequence[Sample],
    known: Sequence[Known],
    holdout: Sequence[Sample],
    synthetic: Sequence[Sample],
    verifier: Verifier,
) -> list[dict[str, Any]]:
    """Synthetic records by the training person that they are listed for, most alike first.

    A strip is as like a person as the most alike of the person's beats, and of the person's strips by their
    features, averaged over the leads of the strip. A record is listed when the likeness to the nearest
    person, plus `LEAD` times the leads over the others, is more than that of all but `LISTED` of strangers'
    strips: those of the holdout, and of training people who are not searched for themselves.
    """
    beats = beats_known(train, known, verifier)
    strangers = [s for s in with_beats(holdout) if s.strip.subject not in verifier.people]
    made = with_beats(synthetic)
    if len({k.subject for k in beats}) < 2 or not strangers or not made:
        return []
    gallery = BeatGallery(beats, train, verifier)
    return gallery.listed(made, gallery.limit(strangers, with_beats(train)))


def beats_known(train: Sequence[Sample], known: Sequence[Known], verifier: Verifier) -> list[Known]:
    """All beats by which training people are known, sorted by person, less the verifier's own people."""
    beats = [
        Known(s.strip.subject, s.strip.record, s.strip.lead, s.beat)
        for s in with_beats(train)
        if s.beat is not None
    ]
    usable = [k for k in [*beats, *known] if k.subject not in verifier.people]
    return sorted(usable, key=lambda k: k.subject)


def with_beats(samples: Sequence[Sample]) -> list[Sample]:
    """Samples that show the form of a person's conducted beats."""
    return [s for s in samples if s.beat is not None and s.strip.rhythm not in NOT_CONDUCTED]


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


class BeatGallery:
    """Beats of known people, sorted by person, and the features of their strips among ``samples``."""

    def __init__(self, beats: Sequence[Known], samples: Sequence[Sample], verifier: Verifier) -> None:
        self.verifier, self.beats = verifier, beats
        self.embedded, self.units = _both(np.array([k.beat for k in beats]), verifier)
        self.lead = np.array([_standard(k.lead) for k in beats])
        self.subjects, self.first = np.unique([k.subject for k in beats], return_index=True)
        known = set(self.subjects.tolist())
        own = sorted((s for s in samples if s.strip.subject in known), key=lambda s: s.strip.subject)
        self.features = _Features(own, self.subjects)

    def limit(self, strangers: Sequence[Sample], train: Sequence[Sample] = ()) -> float:
        """The score that `LISTED` of strangers' strips exceed, drawn towards that of the reference.

        Strangers are the holdout, and training people among all others of training. Among few people the
        second most alike is far from anyone, so leads are larger there.
        """
        searched, limits = load_reference().same_person
        stored = _at(len(self.first), searched, limits)
        found = np.concatenate([score(self.people(strangers)[1]), self._among_themselves(train)])
        own = limit_of(found)
        return (len(found) * own + _REFERENCE_AS * stored) / (len(found) + _REFERENCE_AS)

    def _among_themselves(self, train: Sequence[Sample]) -> Floats:
        """Scores of training people's strips, searched for among all others."""
        if len(self.subjects) < _FEWEST_STRANGERS:
            return np.empty(0)
        known = set(self.subjects.tolist())
        own = [s for s in train if s.strip.subject in known]
        # Every so manyth person, so that all leads and strips of one stay together.
        names = sorted({s.strip.subject for s in own})
        step = -(-len(own) // _MOST_STRANGERS)
        some = set(names[:: max(1, step)])
        strips, likeness = self.people([s for s in own if s.strip.subject in some])
        own_column = np.searchsorted(self.subjects, [s.strip.subject for s in strips])
        likeness[np.arange(len(strips)), own_column] = -_FURTHEST
        return score(likeness)

    def listed(self, samples: Sequence[Sample], limit: float) -> list[dict[str, Any]]:
        """Records with a strip over the limit, most alike first."""
        found: dict[str, dict[str, Any]] = {}
        for row in self.rows(samples, limit):
            if row["score"] > max(limit, found.get(row["synthetic"], {"score": limit})["score"]):
                found[row["synthetic"]] = row | {"limit": round(limit, 4)}
        return sorted(found.values(), key=lambda row: (-row["score"], row["synthetic"]))

    def rows(self, samples: Sequence[Sample], above: float = np.inf) -> list[dict[str, Any]]:
        """For each strip, all of its leads together, the nearest person and the score.

        ``ncc`` is the likeness of the beats, ``margin`` the lead over the next person. Which of a person's
        recordings it is, is only looked up where the score is over ``above``.
        """
        strips, both = self.people(samples)
        people = both @ WEIGHTS
        top = np.partition(people, -2, axis=1)[:, -2:]
        who = people.argmax(axis=1)
        beats = both[np.arange(len(who)), who, :2].mean(axis=1)
        found = []
        for own, person, alike, best, value in zip(strips, who, beats, top, score(both), strict=True):
            beat = self.beats[self.first[person]]
            near = self._nearest(own, int(person)) if value > above else beat
            found.append(
                {
                    "synthetic": own.strip.record,
                    "rhythm": own.strip.rhythm,
                    "lead": own.strip.lead,
                    "at_s": round(own.strip.at, 2),
                    "subject": near.subject,
                    "train": near.record,
                    "train_lead": near.lead,
                    "train_at_s": None,
                    "ncc": round(float(alike), 4),
                    "margin": round(float(best[1] - best[0]), 3),
                    "score": round(float(value), 4),
                }
            )
        return found

    def people(self, samples: Sequence[Sample]) -> tuple[list[Sample], Floats]:
        """The first lead of each strip, and its likenesses [strips, people, parts], over its leads.

        By the verifier, by plain correlation of the beats, and by features.
        """
        places: dict[tuple[str, float], list[Sample]] = {}
        for sample in samples:
            places.setdefault((sample.strip.record, sample.strip.at), []).append(sample)
        ordered = [sample for own in places.values() for sample in own]
        likeness = np.concatenate([self._people(part) for part in _blocks(ordered)])
        starts = np.cumsum([0] + [len(own) for own in places.values()])[:-1]
        counts = np.diff([*starts, len(ordered)])[:, None, None].astype(np.float32)
        return [own[0] for own in places.values()], np.add.reduceat(likeness, starts, axis=0) / counts

    def _nearest(self, sample: Sample, person: int) -> Known:
        """The beat of a person that a sample is most alike."""
        start = int(self.first[person])
        stop = int(self.first[person + 1]) if person + 1 < len(self.first) else len(self.beats)
        embedded, units = _both(np.array([sample.beat]), self.verifier)
        likeness = self.embedded[start:stop] @ embedded[0] + self.units[start:stop] @ units[0]
        return self.beats[start + int(likeness.argmax())]

    def _people(self, samples: Sequence[Sample]) -> Floats:
        """Likenesses [samples, people, parts] to the most alike beat, and strip, of everyone."""
        embedded, units = _both(np.array([s.beat for s in samples]), self.verifier)
        lead = np.array([_standard(s.strip.lead) for s in samples])[:, None]
        other = OTHER_LEAD * ((lead != self.lead[None]) & (lead != "") & (self.lead[None] != ""))
        both = (embedded @ self.embedded.T - other, units @ self.units.T - other)
        best = [np.maximum.reduceat(one, self.first, axis=1) for one in both]
        return np.stack([*best, self.features.likeness(samples)], axis=2).astype(np.float32)


class _Features:
    """Features of known people's strips, sorted by person, in robust deviations from their medians."""

    def __init__(self, samples: Sequence[Sample], subjects: NDArray[np.str_]) -> None:
        self.people = len(subjects)
        table = self._table(samples)
        with warnings.catch_warnings():
            # A feature that no strip has is left at nothing below.
            warnings.simplefilter("ignore", RuntimeWarning)
            self.centre = np.nanmedian(table, axis=0)
            self.spread = 1.4826 * np.nanmedian(np.abs(table - self.centre), axis=0)
        self.rows = self._scaled(samples)
        found, self.first = np.unique([s.strip.subject for s in samples], return_index=True)
        self.column = np.searchsorted(subjects, found)

    @staticmethod
    def _table(samples: Sequence[Sample]) -> Floats:
        table = np.array([s.features for s in samples]).reshape(len(samples), -1)
        return np.where(np.isfinite(table), table, np.nan)

    def _scaled(self, samples: Sequence[Sample]) -> Floats:
        scaled = (self._table(samples) - self.centre) / (self.spread + 1e-9)
        return np.clip(np.nan_to_num(scaled), -_FURTHEST, _FURTHEST)

    def likeness(self, samples: Sequence[Sample]) -> Floats:
        """Less the mean distance [samples, people] to everyone's nearest strip; -`_FURTHEST` without any."""
        from scipy.spatial.distance import cdist

        found = np.full((len(samples), self.people), -_FURTHEST)
        if len(self.rows):
            distance = cdist(self._scaled(samples), self.rows, "cityblock") / self.rows.shape[1]
            found[:, self.column] = -np.minimum.reduceat(distance, self.first, axis=1)
        return found


def _at(people: int, searched: Sequence[int], limits: Sequence[float]) -> float:
    """The stored limit for so many people: a line over their logarithm, also beyond the largest number."""
    slope, level = np.polyfit(np.log(searched), limits, 1)
    return float(level + slope * np.log(people))


def _blocks(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    return (samples[i : i + _BLOCK] for i in range(0, len(samples), _BLOCK))


def _standard(lead: str) -> str:
    """The lead by its standard name, empty for any other."""
    name = _SAME_LEAD.get(lead.upper(), lead.upper())
    return name if name in _STANDARD else ""


def _both(beats: Floats, verifier: Verifier) -> tuple[Floats, Floats]:
    """Vectors whose products are the verifier's likeness, and those whose products are the correlation."""
    return verifier.embed(beats), unit_beats(beats)
