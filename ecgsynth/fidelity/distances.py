"""Distances between two clouds of embeddings: KID and the Frechet distance."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.halves import Outcome

Array = NDArray[np.float64]
Points = NDArray[np.float32]
Index = NDArray[np.int64]

#: Kernel values that are held at a time, about.
_BLOCK: Final = 4_000_000
#: Variances below this share of the largest are taken for it when a covariance is inverted.
_FLOOR: Final = 1e-3


def kid(a: Points, owner_a: Index, b: Points, owner_b: Index) -> Outcome:
    """Kernel distance: squared maximum mean discrepancy with the kernel ``(x.y / width + 1) ** 3``, unbiased.

    Binkowski et al., Demystifying MMD GANs, ICLR 2018. Pairs of one person are left out, as records
    of one person are alike: without that, disjoint people would always seem apart. 0 for equal distributions,
    below 0 by chance.
    """
    in_a, mean_a = _within(a, owner_a)
    in_b, mean_b = _within(b, owner_b)
    cross_a, cross_b, mean_ab = _across(a, b)
    return Outcome(
        mean_a + mean_b - 2.0 * mean_ab,
        2.0 * ((in_a - in_a.mean()) - (cross_a - mean_ab)),
        2.0 * ((in_b - in_b.mean()) - (cross_b - mean_ab)),
    )


def _kernel(x: Points, y: Points) -> Points:
    block = x @ y.T
    block /= x.shape[1]
    block += 1.0
    return block * block * block


def _within(x: Points, owner: Index) -> tuple[Array, float]:
    """Mean kernel of each row with other people's rows [n], and that over all such pairs."""
    sums = np.empty(len(x))
    step = max(1, _BLOCK // len(x))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        block = _kernel(x[rows], x)
        block[owner[rows, None] == owner[None, :]] = 0.0
        sums[rows] = block.sum(axis=1, dtype=np.float64)
    partners = np.maximum(len(x) - np.bincount(owner)[owner], 1)
    return sums / partners, float(sums.sum() / partners.sum())


def _across(x: Points, y: Points) -> tuple[Array, Array, float]:
    """Mean kernel of each row of x with all of y, of each of y with all of x, and over all pairs."""
    by_x, by_y = np.empty(len(x)), np.zeros(len(y))
    step = max(1, _BLOCK // len(y))
    for start in range(0, len(x), step):
        block = _kernel(x[start : start + step], y)
        by_x[start : start + step] = block.mean(axis=1, dtype=np.float64)
        by_y += block.sum(axis=0, dtype=np.float64)
    return by_x, by_y / len(x), float(by_x.mean())


def frechet(a: Points, b: Points) -> Outcome:
    """Frechet distance between the Gaussians with the means and covariances of ``a`` and ``b``.

    ``|m_a - m_b|^2 + tr(A + B - 2 (A^0.5 B A^0.5)^0.5)``. Heusel et al., NeurIPS 2017; Dowson & Landau,
    J Multivar Anal 12:450-455, 1982. Biased upwards, the more the fewer records: compare only with real
    against real of as many. Influences follow from the optimal map between the two Gaussians.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b = x.mean(axis=0), y.mean(axis=0)
    cov_a, cov_b = np.cov(x.T, bias=True), np.cov(y.T, bias=True)
    root, inverse = _root(cov_a)
    middle, _ = _root(root @ cov_b @ root)
    gap = mean_a - mean_b
    value = float(gap @ gap + np.trace(cov_a) + np.trace(cov_b) - 2.0 * np.trace(middle))
    forth = inverse @ middle @ inverse  # moves a onto b
    root_b, inverse_b = _root(cov_b)
    back = inverse_b @ _root(root_b @ cov_a @ root_b)[0] @ inverse_b
    return Outcome(
        max(value, 0.0), _pull(x - mean_a, gap, cov_a, forth), _pull(y - mean_b, -gap, cov_b, back)
    )


def _root(matrix: Array) -> tuple[Array, Array]:
    """Square root of a symmetric matrix without negative eigenvalues, and its inverse."""
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(values, 0.0)
    floor = max(float(values[-1]) * _FLOOR, 1e-12)
    return (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(np.maximum(values, floor))) @ vectors.T


def _pull(level: Array, gap: Array, cov: Array, mover: Array) -> Array:
    """Influence of each row, ``level`` its distance from the mean."""
    bend = np.eye(len(gap)) - mover
    return np.asarray(2.0 * level @ gap + ((level @ bend) * level).sum(axis=1) - np.trace(bend @ cov))
