"""Metrics of sets that rest on nearest neighbours, found in blocks and never as one large matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.halves import Outcome

Array = NDArray[np.float64]
Points = NDArray[np.float32]
Index = NDArray[np.int64]

#: Neighbours that make up the surroundings of a real record (Naeem et al. recommend 5).
NEIGHBOURS: Final = 5
#: Distances that are held at a time, about; 16 MB of them.
_BLOCK: Final = 4_000_000
#: Shares of a set's support at which precision and recall are read.
ALPHAS: Final = np.linspace(0.0, 1.0, 31)[1:-1]


@dataclass(frozen=True)
class Surroundings:
    """Of each point among those of other people: distance to the nearest and to the k-th nearest, [n]."""

    nearest: Points
    radius: Points


@dataclass(frozen=True)
class Meeting:
    """How the points of two sets lie to each other; ``a`` has surroundings.

    Attributes
    ----------
    inside_a : int64 array [a]
        Points of b within the surroundings of each a.
    inside_b : int64 array [b]
        Points of a within whose surroundings each b lies.
    nearest_a, nearest_b : float32 array [a], [b]
        Distance to the nearest point of the other set.
    at_a, at_b : int64 array [a], [b]
        Which one that is.
    """

    inside_a: Index
    inside_b: Index
    nearest_a: Points
    nearest_b: Points
    at_a: Index
    at_b: Index


def surroundings(points: Points, owner: Index, k: int = NEIGHBOURS) -> Surroundings:
    """Of each of ``points`` [n, width], among those of other people (``owner`` [n]).

    With fewer than k points of other people, the farthest of them.
    """
    others = len(points) - np.bincount(owner)[owner]
    rank = max(0, min(k, int(others.min())) - 1)
    nearest, radius = np.empty(len(points), np.float32), np.empty(len(points), np.float32)
    for rows, squared in _squared_distances(points, points):
        squared[owner[rows, None] == owner[None, :]] = np.inf
        part = np.partition(squared, rank, axis=1)[:, : rank + 1]
        nearest[rows], radius[rows] = np.sqrt(part.min(axis=1)), np.sqrt(part[:, rank])
    return Surroundings(nearest, radius)


def meeting(a: Points, around_a: Surroundings, b: Points) -> Meeting:
    """How the points ``b`` [m, width] lie to the points ``a`` [n, width]."""
    n, m = len(a), len(b)
    inside_a, inside_b = np.empty(n, np.int64), np.zeros(m, np.int64)
    nearest_a, at_a = np.empty(n, np.float32), np.empty(n, np.int64)
    nearest_b, at_b = np.full(m, np.inf, np.float32), np.zeros(m, np.int64)
    for rows, squared in _squared_distances(a, b):
        inside = squared <= np.square(around_a.radius[rows, None])
        inside_a[rows] = inside.sum(axis=1)
        inside_b += inside.sum(axis=0)
        at_a[rows] = squared.argmin(axis=1)
        nearest_a[rows] = squared.min(axis=1)
        first = squared.argmin(axis=0)
        least = squared[first, np.arange(m)]
        closer = least < nearest_b
        nearest_b[closer], at_b[closer] = least[closer], rows.start + first[closer]
    return Meeting(inside_a, inside_b, np.sqrt(nearest_a), np.sqrt(nearest_b), at_a, at_b)


def _squared_distances(a: Points, b: Points) -> Iterator[tuple[slice, Points]]:
    """Blocks of rows of ``a``, and their squared distances to all of ``b``."""
    step = max(1, _BLOCK // max(1, len(b)))
    length_b = np.square(b).sum(axis=1)
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        squared = a[rows] @ b.T
        squared *= -2.0
        squared += length_b
        squared += np.square(a[rows]).sum(axis=1)[:, None]
        yield rows, np.maximum(squared, 0.0, out=squared)


def density_coverage(near: Meeting, k: int = NEIGHBOURS) -> dict[str, Outcome]:
    """Density and coverage: how deep in real surroundings ``b`` lies, and how many real ones it reaches.

    Density is the mean number of real surroundings that a record lies in, over k; coverage the share
    of real surroundings with a record in them. Naeem et al., Reliable fidelity and diversity metrics for
    generative models, ICML 2020, equations 3 and 4.
    """
    n, m = len(near.inside_a), len(near.inside_b)
    density = float(near.inside_b.mean()) / k
    covered = (near.inside_a > 0).astype(np.float64)
    return {
        "density": Outcome(density, near.inside_a * n / (k * m) - density, near.inside_b / k - density),
        "coverage": Outcome(float(covered.mean()), covered - covered.mean(), None),
    }


def alpha_precision(a: Points, b: Points) -> Outcome:
    """How far ``b`` fills the inner share alpha of the real ``a`` as real records do, over all alpha.

    ``1 - 2 * integral |P(alpha) - alpha|``, P(alpha) the share of b within the ball around the mean of a that
    holds the share alpha of a. Alaa et al., How faithful is your synthetic data?, ICML 2022, section 3.
    """
    centre = a.mean(axis=0, dtype=np.float64)
    from_a, from_b = _lengths(a - centre), _lengths(b - centre)
    radii = np.quantile(from_a, ALPHAS)
    within_a, within_b = from_a[:, None] <= radii, from_b[:, None] <= radii
    gap = within_b.mean(axis=0) - ALPHAS
    pull = np.sign(gap) / ALPHAS.sum()
    return Outcome(
        1.0 - float(np.abs(gap).sum() / ALPHAS.sum()),
        (within_a - within_a.mean(axis=0)) @ pull,
        -(within_b - within_b.mean(axis=0)) @ pull,
    )


def beta_recall(near: Meeting, around_a: Surroundings, b: Points) -> Outcome:
    """How far the inner share beta of ``b`` reaches real records, over all beta.

    ``1 - 2 * integral |R(beta) - beta|``, R(beta) the share of real records whose nearest record of b lies
    within their surroundings and within the ball around the mean of b that holds the share beta of b. Alaa et
    al. 2022, section 3.
    """
    from_centre = _lengths(b - b.mean(axis=0, dtype=np.float64))
    radii = np.quantile(from_centre, ALPHAS)
    reached = (near.nearest_a <= around_a.radius)[:, None] & (from_centre[near.at_a, None] <= radii)
    gap = reached.mean(axis=0) - ALPHAS
    pull = np.sign(gap) / ALPHAS.sum()
    value = 1.0 - float(np.abs(gap).sum() / ALPHAS.sum())
    return Outcome(value, -(reached - reached.mean(axis=0)) @ pull, None)


def authenticity(near: Meeting, around_a: Surroundings) -> Outcome:
    """Share of ``b`` farther from the nearest real record than that one is from other people's.

    Alaa et al. 2022, section 3: below what real people reach among each other, records are copies.
    """
    own = (near.nearest_b > around_a.nearest[near.at_b]).astype(np.float64)
    return Outcome(float(own.mean()), None, own - own.mean())


def _lengths(points: NDArray[np.floating]) -> Array:
    return np.asarray(np.sqrt(np.square(points, dtype=np.float64).sum(axis=1)))
