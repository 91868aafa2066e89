"""Strips as points: features and beat shape on one scale, as the attacks see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.samples import BEAT, Sample

Floats = NDArray[np.float64]

#: Principal components kept of the features and of the beats.
FEATURE_PARTS: Final = 12
BEAT_PARTS: Final = 12
#: Features further out than this many deviations say no more about a person than this.
_FURTHEST: Final = 5.0


@dataclass(frozen=True)
class Points:
    """Strips of one side as points.

    Attributes
    ----------
    people : tuple of str
        Whose strip each row is.
    beats : float64 array [rows, BEAT]
        Median beats of unit length, their largest deflection upward; zeros where there is none.
    parts : float64 array [rows, parts]
        Principal components of features and beats, each of unit variance among real people.
    """

    people: tuple[str, ...]
    beats: Floats
    parts: Floats

    def __len__(self) -> int:
        return len(self.parts)


def beats_of(samples: Sequence[Sample]) -> Floats:
    """Beats [n, BEAT] of samples in mV, zeros where there is none."""
    return np.array([np.zeros(BEAT) if s.beat is None else s.beat for s in samples]).reshape(-1, BEAT)


def unit_beats(beats: Floats) -> Floats:
    """Beats [n, BEAT] of unit length, largest deflection upward; zeros stay zeros."""
    top = beats[np.arange(len(beats)), np.abs(beats).argmax(axis=1)] if len(beats) else np.ones(0)
    rows = beats * np.where(top < 0, -1.0, 1.0)[:, None]
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def represent(
    train: Sequence[Sample], holdout: Sequence[Sample], synthetic: Sequence[Sample]
) -> list[Points]:
    """The three sides as points, scaled by the real people of both sides alike.

    An attacker would scale by what they have; scaling by training people alone would itself tell who was
    in training.
    """
    real = [*train, *holdout]
    tables = [np.array([s.features for s in side]) for side in (real, train, holdout, synthetic)]
    beats = [unit_beats(beats_of(side)) for side in (real, train, holdout, synthetic)]
    feature_parts = _principal(_standardised(tables), FEATURE_PARTS)
    beat_parts = _principal(beats, BEAT_PARTS)
    sides = (train, holdout, synthetic)
    return [
        Points(
            tuple(s.strip.subject for s in side),
            beats[k + 1],
            np.concatenate([feature_parts[k], beat_parts[k]], axis=1),
        )
        for k, side in enumerate(sides)
    ]


def _standardised(tables: list[Floats]) -> list[Floats]:
    """Tables in robust deviations from the first one's medians; what is missing lies at the median."""
    reference = tables[0]
    with np.errstate(invalid="ignore"):
        known = np.where(np.isfinite(reference), reference, np.nan)
        centre = np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in known.T])
        low, high = (
            np.array([np.quantile(c[np.isfinite(c)], q) if np.isfinite(c).any() else 0.0 for c in known.T])
            for q in (0.25, 0.75)
        )
    spread = np.maximum((high - low) / 1.349, 1e-6)
    return [np.clip(np.nan_to_num((t - centre) / spread, nan=0.0), -_FURTHEST, _FURTHEST) for t in tables]


def _principal(tables: list[Floats], most: int) -> list[Floats]:
    """Components of unit variance in the first table, for the other tables."""
    reference = tables[0]
    centre = reference.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((reference - centre).T))
    kept = [k for k in np.argsort(-values)[:most] if values[k] > 1e-6 * values.max()]
    scale = vectors[:, kept] / np.sqrt(np.maximum(values[kept], 1e-12))
    return [(table - centre) @ scale for table in tables[1:]]


def nearest(points: Floats, others: Floats, own: NDArray[np.bool_] | None = None, block: int = 512) -> Floats:
    """Distance [n] from each of ``points`` [n, d] to the nearest of ``others`` [m, d].

    ``own`` [n, m] marks pairs that do not count, such as strips of one person.
    """
    squares = (others**2).sum(axis=1)
    found = np.empty(len(points))
    for start in range(0, len(points), block):
        part = points[start : start + block]
        distance = (part**2).sum(axis=1)[:, None] + squares[None] - 2 * part @ others.T
        if own is not None:
            distance[own[start : start + block]] = np.inf
        found[start : start + block] = distance.min(axis=1)
    return np.sqrt(np.maximum(found, 0.0))
