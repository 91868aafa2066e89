"""Cheap descriptors of strips: what decides which few recordings a strip is compared with exactly.

A descriptor is the shape of the amplitude spectrum, so it does not know where in the strip a beat lies, how
large the signal is or which way up it is. Stretches in time are searched by describing the stretched strip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.traces import SLOW_HZ, STRIP

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

#: Half a strip, in samples (5.12 s): finds copies that were cut, joined, rolled or bent.
HALF: Final = 328
#: Samples from one described window to the next (1.28 s).
HOP: Final = 82
#: Numbers per descriptor. 48 keep 81 % (10.24 s) of the variance of real windows, and find as much as 96.
SIZE: Final = 48
#: Bands of the spectrum that describe, in Hz: the first harmonics of the rate up to the QRS.
BAND: Final = (0.7, 13.0)
#: Bins of the transform that stretches are read from, per bin that is described.
_FINER: Final = 4


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
    power : float
        Of the amplitude spectrum: 0.5 weighs quiet frequencies more, 1 suffers less from noise.
    """

    width: int
    mean: Floats
    basis: Floats
    power: float = 0.5

    def __call__(self, windows: Floats) -> Floats:
        """Descriptors [n, size] of windows [n, <= width]; shorter ones are filled with zeros."""
        return np.asarray(self.along(spectrum_shape(windows, self.power)), dtype=np.float32)

    def numbers(self, windows: Doubles) -> Doubles:
        """The same in double precision: rounding does not depend on what is described together."""
        return self.along(spectrum_shape(windows, self.power))

    def at_stretches(self, fine: Doubles, factors: tuple[float, ...]) -> Doubles:
        """Descriptors [n, factors, size] as if windows were played so many times as long.

        ``fine`` [n, bins] are their `fine_spectra`.
        """
        shapes = stretched_shapes(fine, self.width, factors, self.power)
        flat = self.along(shapes.reshape(-1, shapes.shape[2]))
        return flat.reshape(len(fine), len(factors), flat.shape[1])

    def along(self, shapes: Any) -> Any:
        """Spectra's shapes [n, bins] along the basis, unit norm."""
        parts = (shapes - self.mean) @ self.basis
        return parts / (np.linalg.norm(parts, axis=1, keepdims=True) + 1e-9)


def spectrum_shape(windows: Any, power: float = 0.5) -> Any:
    """A power of the amplitude spectrum in `BAND`, unit norm: [n, bins] of windows [n, width]."""
    first, last, size = _bins(windows.shape[1])
    shapes = amplitudes(windows, size)[:, first:last]
    return _unit(shapes if power == 1 else shapes**power)


def fine_spectra(windows: Any) -> Any:
    """Amplitude spectra [n, bins] of windows [n, width] on four times as many bins as are described."""
    return amplitudes(windows, _FINER * _bins(windows.shape[1])[2])


def coarse_spectra(fine: Any) -> Any:
    """Of `fine_spectra` the bins that are described."""
    return fine[:, ::_FINER]


def stretched_shapes(fine: Any, width: int, factors: tuple[float, ...], power: float = 0.5) -> Any:
    """`spectrum_shape` [n, factors, bins] of windows of ``width`` samples at several stretches.

    Read from their `fine_spectra`: what is played g times as long has at the frequency f what it had at g f;
    four times as many bins as are described make room for a straight line between them.
    """
    first, last, _ = _bins(width)
    base, part = _between(first, last, factors)
    shapes = fine[:, base] * (1 - part) + fine[:, base + 1] * part
    return _unit(shapes if power == 1 else shapes**power)


def amplitudes(windows: Any, size: int) -> Any:
    """Amplitude spectra [n, size / 2 + 1] of windows [n, width], tapered, in the precision of the windows."""
    level = (windows - windows.mean(axis=1, keepdims=True)) * _taper(windows.shape[1])
    if level.dtype == np.float64:
        return np.abs(np.fft.rfft(level, size, axis=1))
    # Of single precision, numpy's takes twice as long.
    from scipy import fft

    return np.abs(fft.rfft(level, size, axis=1))


@lru_cache(maxsize=8)
def _between(first: int, last: int, factors: tuple[float, ...]) -> tuple[NDArray[np.int64], Floats]:
    """The fine bin below each bin [factors, bins] at each stretch, and how far above it that lies."""
    at = np.arange(first, last)[None] * (_FINER * np.array(factors)[:, None])
    base = at.astype(np.int64)
    return base, (at - base).astype(np.float32)


@lru_cache(maxsize=8)
def _taper(width: int) -> Floats:
    return np.sqrt(np.hanning(width + 2)[1:-1]).astype(np.float32)


def _bins(width: int) -> tuple[int, int, int]:
    """First bin of `BAND`, the one after the last, and the size of the transform of so many samples."""
    size = 1024 if width > HALF else 512
    first, last = (round(edge * size / SLOW_HZ) for edge in BAND)
    return first, last, size


def _unit(shape: Any) -> Any:
    return shape / (np.linalg.norm(shape, axis=-1, keepdims=True) + 1e-9)


def fit_describer(windows: Floats, size: int = SIZE, power: float = 0.5) -> Describer:
    """A describer whose directions are the principal ones of ``windows`` [n, width]."""
    shapes = spectrum_shape(windows, power).astype(np.float64)
    mean = shapes.mean(axis=0)
    centred = shapes - mean
    vectors = np.linalg.eigh(centred.T @ centred / max(1, len(shapes)))[1]
    basis = signed(vectors[:, ::-1][:, :size])
    return Describer(windows.shape[1], mean.astype(np.float32), basis.astype(np.float32), power)


def signed(basis: Doubles) -> Doubles:
    """Directions [bins, size] with their largest number positive.

    Signs of eigenvectors are arbitrary; fixed, two machines agree.
    """
    return np.asarray(basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])]))


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
    "amplitudes",
    "coarse_spectra",
    "fine_spectra",
    "fit_describer",
    "segments",
    "signed",
    "spectrum_shape",
    "stretched",
    "stretched_shapes",
]
