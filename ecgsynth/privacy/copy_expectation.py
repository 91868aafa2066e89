"""How near strangers come to a strip, by what the strip is like: what a copy has to be nearer than.

A regular, quiet strip is near to hundreds of people's; one that is noisy, or fibrillates, to nobody's but its
own. So a likeness alone says little, and noise laid over a copy hides it from any one limit for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import middle
from ecgsynth.privacy.descriptors import amplitudes
from ecgsynth.privacy.traces import SLOW_HZ, STRIP

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

#: Bands in Hz whose median amplitude, beside the rms of the last, says how noisy and spiky a strip is.
_BANDS: Final = ((15.0, 20.0), (10.0, 13.0), (0.7, 13.0))
#: Bins of the spectrum that traits are read from.
_BINS: Final = 1024
#: Numbers of `traits`, and of what is expected by.
TRAITS: Final = 4
TERMS: Final = TRAITS + 3
#: How strongly least squares draws the weights to nothing.
_RIDGE: Final = 1e-6


@dataclass(frozen=True)
class Expectation:
    """What the nearest of many strangers' windows reaches, in `atanh` of the cosine.

    Attributes
    ----------
    mean : float32 array [size]
        Mean of the unit codes of all windows.
    second : float32 array [size, size]
        Mean of their outer products.
    weights : float64 array [TERMS]
        By least squares over strips of training people, as they are and with noise added, against all others.
    """

    mean: Floats
    second: Floats
    weights: Doubles

    def __call__(self, units: Floats, about: Doubles) -> Doubles:
        """Expected `atanh` [n] of unit codes [n, size] of one strip whose `traits` are ``about``."""
        return np.asarray(self.terms(units, about) @ self.weights)

    def terms(self, units: Floats, about: Doubles) -> Doubles:
        """What is expected by [n, TERMS]: mean and spread of the cosine with all windows, and the traits."""
        rows = units.astype(np.float64)
        mean = rows @ self.mean
        square = ((rows @ self.second.astype(np.float64)) * rows).sum(axis=1)
        spread = np.sqrt(np.maximum(square - mean**2, 1e-9))
        return np.column_stack([np.ones(len(rows)), mean, spread, np.repeat(about[None], len(rows), axis=0)])


def traits(signal: Floats) -> Doubles:
    """How noisy, rough, spiky and regular a strip [samples] at `SLOW_HZ` is: [TRAITS]."""
    row = np.zeros((1, STRIP), dtype=np.float32)
    row[0, : min(STRIP, len(signal))] = signal[:STRIP]
    spectrum = amplitudes(row, _BINS)[0].astype(np.float64)
    first, last = (round(edge * _BINS / SLOW_HZ) for edge in _BANDS[-1])
    power = spectrum[first:last] ** 2
    size = np.sqrt(power.mean()) + 1e-12
    quiet = [middle(spectrum[slice(*(round(e * _BINS / SLOW_HZ) for e in band))]) for band in _BANDS]
    share = power / (power.sum() + 1e-12)
    return np.array([*np.log(np.array(quiet) / size + 1e-3), np.log((share**2).sum() + 1e-12)])


def moments(units: Floats) -> tuple[Floats, Floats]:
    """Mean [size] and mean outer product [size, size] of unit codes [n, size]."""
    rows = units.astype(np.float64)
    return rows.mean(axis=0).astype(np.float32), (rows.T @ rows / len(rows)).astype(np.float32)


def fit_weights(terms: Doubles, nearest: Doubles) -> Doubles:
    """Weights [TERMS] that explain ``nearest`` [n], `atanh` of the largest cosine with others."""
    normal = terms.T @ terms + _RIDGE * len(terms) * np.eye(terms.shape[1])
    return np.asarray(np.linalg.solve(normal, terms.T @ nearest))
