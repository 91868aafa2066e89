"""Rows of the people behind them: folds that keep a person together, weights that count each person once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def folds_of(owner: NDArray[np.int64], folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Fold [rows] of each row; all rows of a person, numbered from 0 in ``owner`` [rows], are in one."""
    return np.random.default_rng(seed).permutation(int(owner.max()) + 1)[owner] % folds


def person_weights(owner: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights [rows] that sum to 1 for each person, numbered from 0 in ``owner`` [rows]."""
    return np.asarray(1.0 / np.bincount(owner)[owner], dtype=np.float64)
