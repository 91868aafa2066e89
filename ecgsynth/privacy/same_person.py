"""Whose beats are these? Synthetic records that are as like a training person as only that person is.

A copy search finds a stretch of a recording. This finds the person when another of their recordings, or none
at all, was copied: the form of the beat stays when the rhythm changes.
"""

from __future__ import annotations

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
LISTED: Final = 0.008
#: What counts beside the likeness: the lead over the second most alike person. 0 to 10 were tried on public
#: recordings, 979 people searched; at 0.8 % of strangers, 44 % are found with 0, 72 % with 1.5, 81 % with 4.
LEAD: Final = 4.0
#: What beats of different leads are thought less alike: they look alike by chance, not by person. 0 to 0.5
#: were tried. It is no ban, as a copy may bear another lead's name.
OTHER_LEAD: Final = 0.06
#: Gate: upper 95 % limit of the share of records that are listed.
MOST_SHARE: Final = 0.03
#: Fewest holdout people behind a limit that can be passed.
FEWEST: Final = 20
#: The stored reference counts as so many strips of the holdout.
_REFERENCE_AS = 100
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

    The likeness of two beats is the mean of the verifier's and of their plain correlation; that of a strip
    to a person is the best of the person's beats, averaged over the leads of the strip. A record is listed
    when the likeness to the nearest person, plus `LEAD` times the lead over the second nearest, is more than
    that of all but `LISTED` of the holdout's strips.
    """
    beats = beats_known(train, known, verifier)
    strangers = [s for s in with_beats(holdout) if s.strip.subject not in verifier.people]
    made = with_beats(synthetic)
    if len({k.subject for k in beats}) < 2 or not strangers or not made:
        return []
    gallery = BeatGallery(beats, verifier)
    return gallery.listed(made, gallery.limit(strangers))


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
    """Likeness [strips, people] to the most alike person, plus `LEAD` times the lead over the next."""
    top = np.partition(likeness, -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] + LEAD * (top[:, 1] - top[:, 0]))


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
    """Beats of known people, sorted by person."""

    def __init__(self, beats: Sequence[Known], verifier: Verifier) -> None:
        self.verifier, self.beats = verifier, beats
        self.vectors = _vectors(np.array([k.beat for k in beats]), verifier)
        self.lead = np.array([_standard(k.lead) for k in beats])
        self.first = np.unique([k.subject for k in beats], return_index=True)[1]

    def limit(self, strangers: Sequence[Sample]) -> float:
        """The score that `LISTED` of strangers' strips exceed: what the holdout says, and the reference.

        Among few people the second most alike is far from anyone, so leads are larger there.
        """
        searched, limits = load_reference().same_person
        stored = _at(len(self.first), searched, limits)
        found = score(self.people(strangers)[1])
        own = float(np.quantile(found, 1 - LISTED))
        return (len(found) * own + _REFERENCE_AS * stored) / (len(found) + _REFERENCE_AS)

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
        strips, people = self.people(samples)
        top = np.partition(people, -2, axis=1)[:, -2:]
        found = []
        for own, person, best, value in zip(strips, people.argmax(axis=1), top, score(people), strict=True):
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
                    "ncc": round(float(best[1]), 4),
                    "margin": round(float(best[1] - best[0]), 3),
                    "score": round(float(value), 4),
                }
            )
        return found

    def people(self, samples: Sequence[Sample]) -> tuple[list[Sample], Floats]:
        """The first lead of each strip, and its likeness [strips, people] to everyone, over all its leads."""
        places: dict[tuple[str, float], list[Sample]] = {}
        for sample in samples:
            places.setdefault((sample.strip.record, sample.strip.at), []).append(sample)
        ordered = [sample for own in places.values() for sample in own]
        likeness = np.concatenate([self._people(part) for part in _blocks(ordered)])
        starts = np.cumsum([0] + [len(own) for own in places.values()])[:-1]
        counts = np.diff([*starts, len(ordered)])[:, None]
        return [own[0] for own in places.values()], np.add.reduceat(likeness, starts, axis=0) / counts

    def _nearest(self, sample: Sample, person: int) -> Known:
        """The beat of a person that a sample is most alike."""
        start = int(self.first[person])
        stop = int(self.first[person + 1]) if person + 1 < len(self.first) else len(self.beats)
        likeness = self.vectors[start:stop] @ _vectors(np.array([sample.beat]), self.verifier)[0]
        return self.beats[start + int(likeness.argmax())]

    def _people(self, samples: Sequence[Sample]) -> Floats:
        """Likeness [samples, people] to the most alike beat of everyone."""
        likeness = _vectors(np.array([s.beat for s in samples]), self.verifier) @ self.vectors.T
        lead = np.array([_standard(s.strip.lead) for s in samples])[:, None]
        other = (lead != self.lead[None]) & (lead != "") & (self.lead[None] != "")
        return np.maximum.reduceat(likeness - OTHER_LEAD * other, self.first, axis=1)


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


def _vectors(beats: Floats, verifier: Verifier) -> Floats:
    """Vectors whose product is the mean of both likenesses."""
    return np.concatenate([verifier.embed(beats), unit_beats(beats)], axis=1) / np.sqrt(2)
