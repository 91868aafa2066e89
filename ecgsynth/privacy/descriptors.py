"""Cheap descriptors of strips: what decides which few recordings a strip is compared with exactly.

A descriptor is the shape of the amplitude spectrum, so it does not know where in the strip a beat lies, how
large the signal is or which way up it is. Stretches in time are searched by describing the stretched strip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.traces import SLOW_HZ, STRIP

Floats = NDArray[np.float32]

#: Half a strip, in samples (5.12 s): finds copies that were cut, joined, rolled or bent.
HALF: Final = 328
#: Samples from one described window to the next (1.28 s).
HOP: Final = 82
#: Numbers per descriptor. 48 keep 81 % (10.24 s) of the variance of real windows, and find as much as 96.
SIZE: Final = 48
#: Bands of the spectrum that describe, in Hz: the first harmonics of the rate up to the QRS.
BAND: Final = (0.7, 13.0)


@dataclass(frozen=True)
class Describer:
    """Turns windows of one length into unit vectors.

    Attributes
    ----------
    width : int
        Samples per window.
    mean : float32 array [bins]
    basis : float32 array [bins, size]
        Principal directions of the windows it was fitted on.
    """

    width: int
    mean: Floats
    basis: Floats

    def __call__(self, windows: Floats) -> Floats:
        """Descriptors [n, size] of windows [n, <= width]; shorter ones are filled with zeros."""
        parts = (spectrum_shape(windows) - self.mean) @ self.basis
        return np.asarray(parts / (np.linalg.norm(parts, axis=1, keepdims=True) + 1e-9), dtype=np.float32)


def spectrum_shape(windows: Floats) -> Floats:
    """Square root of the amplitude spectrum in `BAND`, unit norm: [n, bins] of windows [n, width]."""
    from scipy import fft

    width = windows.shape[1]
    size = 1024 if width > HALF else 512
    level = (windows - windows.mean(axis=1, keepdims=True)) * _taper(width)
    first, last = (round(edge * size / SLOW_HZ) for edge in BAND)
    shape = np.sqrt(np.abs(fft.rfft(level, size, axis=1)[:, first:last]))
    return np.asarray(shape / (np.linalg.norm(shape, axis=1, keepdims=True) + 1e-9), dtype=np.float32)


@lru_cache(maxsize=4)
def _taper(width: int) -> Floats:
    return np.sqrt(np.hanning(width + 2)[1:-1]).astype(np.float32)


def fit_describer(windows: Floats, size: int = SIZE) -> Describer:
    """A describer whose directions are the principal ones of ``windows`` [n, width]."""
    shapes = spectrum_shape(windows).astype(np.float64)
    mean = shapes.mean(axis=0)
    centred = shapes - mean
    vectors = np.linalg.eigh(centred.T @ centred / max(1, len(shapes)))[1]
    basis = vectors[:, ::-1][:, :size]
    # Signs of eigenvectors are arbitrary; fix them so that two machines agree.
    basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])])
    return Describer(windows.shape[1], mean.astype(np.float32), basis.astype(np.float32))


def stretched(signal: Floats, factor: float) -> Floats:
    """A strip [samples] played ``factor`` times as long about its middle, in as many samples.

    A longer one loses its ends; what a shorter one lacks at its ends is filled with the last value.
    """
    n = len(signal)
    middle = (n - 1) / 2
    where = (np.arange(n) - middle) / factor + middle
    return np.interp(where, np.arange(n), signal).astype(np.float32)


def segments(signal: Floats, width: int = HALF, step: int = HALF // 2) -> list[int]:
    """Where segments of ``width`` begin in a strip [samples]: every ``step`` and flush with its end."""
    last = len(signal) - width
    if last <= 0:
        return [0]
    starts = list(range(0, last + 1, step))
    return starts if last - starts[-1] < step // 8 else [*starts, last]


__all__ = [
    "HALF",
    "HOP",
    "SIZE",
    "STRIP",
    "Describer",
    "fit_describer",
    "segments",
    "spectrum_shape",
    "stretched",
]
