"""How near strangers come to a strip, by what the strip is like: what a copy has to be nearer than.

A regular, quiet strip is near to hundreds of people's; one that is noisy, or fibrillates, to nobody's but its
own. So a likeness alone says little, and noise laid over a copy hides it from any one limit for all. The
index keeps its people in blocks, all windows of one person in the same one. The person of a copy is in one
block only; the nearest windows of the others tell what strangers are like.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import middle
from ecgsynth.privacy.copy_codes import fisher
from ecgsynth.privacy.traces import SLOW_HZ

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

#: Bands in Hz whose median amplitude, beside the rms of the last, says how noisy and spiky a strip is.
_BANDS: Final = ((15.0, 20.0), (10.0, 13.0), (0.7, 13.0))
#: Numbers of `traits`, and of what is expected by.
TRAITS: Final = 4
TERMS: Final = TRAITS + 4
#: How strongly least squares draws the weights to nothing.
_RIDGE: Final = 1e-6


def traits(spectra: Doubles) -> Doubles:
    """How noisy, rough, spiky and regular strips are [n, TRAITS], by their amplitude spectra [n, bins]."""
    bins = 2 * (spectra.shape[1] - 1)
    edges = [[round(edge * bins / SLOW_HZ) for edge in band] for band in _BANDS]
    power = spectra[:, slice(*edges[-1])] ** 2
    size = np.sqrt(power.mean(axis=1)) + 1e-12
    quiet = [np.log(middle(spectra[:, slice(*band)], 1) / size + 1e-3) for band in edges]
    share = power / (power.sum(axis=1, keepdims=True) + 1e-12)
    return np.column_stack([*quiet, np.log((share**2).sum(axis=1) + 1e-12)])


def terms(about: Doubles, nearest: Floats) -> Doubles:
    """What is expected by [rows, TERMS]: `traits` [rows, TRAITS], and the `atanh` of the blocks' nearest.

    Of the largest cosines [rows, blocks] with each block of people: the second largest, that a quarter of
    the blocks exceed, and that half of them do.
    """
    blocks = nearest.shape[1]
    # What is largest would be the copy itself, and is never among these where there are two blocks.
    places = [min(1, blocks - 1), max(1, blocks // 4), max(1, blocks // 2)] if blocks > 1 else [0, 0, 0]
    ordered = -np.partition(-nearest, sorted(set(places)), axis=1)
    return np.column_stack([np.ones(len(about)), about, *(fisher(ordered[:, place]) for place in places)])


def fit_weights(by: Doubles, nearest: Doubles) -> Doubles:
    """Weights [TERMS] that explain ``nearest`` [n], `atanh` of the largest cosine with others."""
    normal = by.T @ by + _RIDGE * len(by) * np.eye(by.shape[1])
    return np.asarray(np.linalg.solve(normal, by.T @ nearest))
