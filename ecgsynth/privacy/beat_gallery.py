"""Beats that people are known by, and how alike the beats and features of a strip are to everyone's."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.representation import unit_beats
from ecgsynth.privacy.samples import NOT_CONDUCTED, Known, Sample, Side
from ecgsynth.privacy.verifier import Verifier

Floats = NDArray[np.float64]

#: What a likeness is made of: the verifier's, the correlation of the beats, and less the mean distance of the
#: strips' features in robust deviations. Weights were chosen on training people of public recordings, 979
#: searched, strangers being 1,657 strips of them searched for among the others. At 0.5 % of strangers, 70 %
#: of 144 strips of a person from another time are found by beats and the lead of their mean alone, 73 % with
#: the leads of each, 76 % with features (weight 0.1 to 2 tried: 0.5 as good, 2 worse). Features weighted by
#: how steady they are within a person find no more, nor do squared distances.
WEIGHTS: Final = np.array([0.5, 0.5, 0.25], dtype=np.float32)
#: Robust deviations beyond which features say no more.
FURTHEST: Final = 4.0
#: What beats of different leads are thought less alike: they look alike by chance, not by person. 0.06 to
#: 0.5 were tried. It is no ban, as a copy may bear another lead's name.
OTHER_LEAD: Final = 0.3
#: Places compared at a time.
_BLOCK = 128
_SAME_LEAD: Final = {"MLII": "II"}
_STANDARD: Final = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True)
class Place:
    """One place of a recording, in all the leads that are compared.

    Attributes
    ----------
    samples : tuple of Sample
        The leads that everything was measured of.
    beats : tuple of (str, float64 array [BEAT])
        Lead and median beat in mV, of those leads and then of more.
    """

    samples: tuple[Sample, ...]
    beats: tuple[tuple[str, Floats], ...]

    @property
    def first(self) -> Sample:
        """The lead that names the place."""
        return self.samples[0]

    def cut(self, leads: int) -> Place:
        """The same place in its first ``leads`` leads."""
        return Place(self.samples[:leads], self.beats[:leads])


def with_beats(samples: Sequence[Sample]) -> list[Sample]:
    """Samples that show the form of a person's conducted beats."""
    return [s for s in samples if s.beat is not None and s.strip.rhythm not in NOT_CONDUCTED]


def places_of(side: Side) -> list[Place]:
    """Places with conducted beats, in the order of the samples."""
    samples: dict[tuple[str, float], list[Sample]] = {}
    for sample in with_beats(side.samples):
        samples.setdefault((sample.strip.record, sample.strip.at), []).append(sample)
    more: dict[tuple[str, float], list[tuple[str, Floats]]] = {}
    for known in side.known:
        more.setdefault((known.record, known.at), []).append((known.lead, known.beat))
    places = []
    for at, own in samples.items():
        beats = [(s.strip.lead, s.beat) for s in own if s.beat is not None]
        places.append(Place(tuple(own), (*beats, *more.get(at, ()))))
    return places


def beats_known(side: Side, verifier: Verifier) -> list[Known]:
    """All beats by which the people of a side are known, sorted by person, less the verifier's own people."""
    beats = [
        Known(s.strip.subject, s.strip.record, s.strip.lead, s.strip.at, s.beat)
        for s in with_beats(side.samples)
        if s.beat is not None
    ]
    usable = [k for k in [*beats, *side.known] if k.subject not in verifier.people]
    return sorted(usable, key=lambda k: k.subject)


class BeatGallery:
    """Beats of the people of a side, sorted by person, and the features of their strips."""

    def __init__(self, side: Side, verifier: Verifier) -> None:
        self.verifier, self.beats = verifier, beats_known(side, verifier)
        self.embedded, self.units = _both(np.array([k.beat for k in self.beats]), verifier)
        self.lead = np.array([_standard(k.lead) for k in self.beats])
        self.subjects, self.first = np.unique([k.subject for k in self.beats], return_index=True)
        known = set(self.subjects.tolist())
        own = sorted((s for s in side.samples if s.strip.subject in known), key=lambda s: s.strip.subject)
        self.features = _Features(own, self.subjects)

    def people(self, places: Sequence[Place]) -> Floats:
        """Likenesses [places, people, parts], means over the leads of a place.

        By the verifier, by plain correlation of the beats, and by features.
        """
        parts = [self._people(places[i : i + _BLOCK]) for i in range(0, len(places), _BLOCK)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.subjects), len(WEIGHTS)))

    def nearest(self, place: Place, person: int) -> Known:
        """The beat of a person that the first lead of a place is most alike."""
        start = int(self.first[person])
        stop = int(self.first[person + 1]) if person + 1 < len(self.first) else len(self.beats)
        embedded, units = _both(np.array([place.beats[0][1]]), self.verifier)
        likeness = self.embedded[start:stop] @ embedded[0] + self.units[start:stop] @ units[0]
        return self.beats[start + int(likeness.argmax())]

    def _people(self, places: Sequence[Place]) -> Floats:
        alike = self._alike([beat for place in places for beat in place.beats])
        features = self.features.likeness([sample for place in places for sample in place.samples])
        means = [
            _means(alike, [len(place.beats) for place in places]),
            _means(features, [len(place.samples) for place in places])[:, :, None],
        ]
        return np.concatenate(means, axis=2)

    def _alike(self, beats: Sequence[tuple[str, Floats]]) -> Floats:
        """Likenesses [beats, people, 2] to the most alike beat of everyone."""
        embedded, units = _both(np.array([beat for _, beat in beats]), self.verifier)
        lead = np.array([_standard(lead) for lead, _ in beats])[:, None]
        other = OTHER_LEAD * ((lead != self.lead[None]) & (lead != "") & (self.lead[None] != ""))
        both = (embedded @ self.embedded.T - other, units @ self.units.T - other)
        return np.stack([np.maximum.reduceat(one, self.first, axis=1) for one in both], axis=2).astype(
            np.float32
        )


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
        return np.clip(np.nan_to_num(scaled), -FURTHEST, FURTHEST)

    def likeness(self, samples: Sequence[Sample]) -> Floats:
        """Less the mean distance [samples, people] to everyone's nearest strip; -`FURTHEST` without any."""
        from scipy.spatial.distance import cdist

        found = np.full((len(samples), self.people), -FURTHEST)
        if len(self.rows):
            distance = cdist(self._scaled(samples), self.rows, "cityblock") / self.rows.shape[1]
            found[:, self.column] = -np.minimum.reduceat(distance, self.first, axis=1)
        return found


def _means(rows: Floats, counts: Sequence[int]) -> Floats:
    """Means [groups, ...] of ``rows`` [sum of counts, ...], so many to each group in turn."""
    starts = np.cumsum([0, *counts])[:-1]
    divisor = np.array(counts).reshape(-1, *[1] * (rows.ndim - 1))
    return np.asarray((np.add.reduceat(rows, starts, axis=0) / divisor).astype(np.float32))


def _standard(lead: str) -> str:
    """The lead by its standard name, empty for any other."""
    name = _SAME_LEAD.get(lead.upper(), lead.upper())
    return name if name in _STANDARD else ""


def _both(beats: Floats, verifier: Verifier) -> tuple[Floats, Floats]:
    """Vectors whose products are the verifier's likeness, and those whose products are the correlation."""
    return verifier.embed(beats), unit_beats(beats)
