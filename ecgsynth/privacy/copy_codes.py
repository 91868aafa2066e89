"""Strips as the copy index knows them: some numbers of four bits that an amplitude spectrum comes down to.

The directions that numbers are read along (`fit_coder`) are those in which windows of training people differ
most beside what noise, a shift by a few samples and a stretch by a little change in one of them (linear
discriminant analysis), so that a copy that was tampered with keeps its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.descriptors import HALF, Describer, signed, spectrum_shape, stretched
from ecgsynth.privacy.traces import FLAT_MV, STRIP

Floats = NDArray[np.float32]
Codes = NDArray[np.int8]
Counts = NDArray[np.int64]

KINDS: Final = ("full", "half")
WIDTHS: Final = {"full": STRIP, "half": HALF}
#: Numbers of a code. On people of the part val, 64 find no more than 48; 40 find fewer noisy copies.
SIZE: Final = 48
#: Power of the amplitude spectrum that is described. With 1 instead of the audit's 0.5, noise does less.
POWER: Final = 1.0
#: Stretches that a whole strip is looked up at: to 6 %, as `STRETCH_COST` leaves room for.
STRETCHES: Final = tuple(float(f) for f in np.round(1 + np.arange(-8, 9) * 0.0075, 4))
#: What a stretch of 1 % takes off the `atanh` of a cosine: among 17 stretches one fits a stranger by chance.
STRETCH_COST: Final = 0.033
#: Samples from one half to the next that is looked up (0.3 s). The index holds two halves of each strip only;
#: a copy that begins between them is found because one of the halves looked up falls on one it holds.
STEP: Final = 20
LEVELS: Final = 7
_DEVIATIONS: Final = 3.0
#: Length of a code as whole numbers. Any partial sum of a product of two stays below 2**24, where float32 is
#: exact: a likeness does not depend on how many records are looked up at once, or in which order it is added.
LENGTH: Final = 4000
#: Largest cosine that is told apart: what an exact copy has, less rounding.
_SAME: Final = 0.9999
#: What a window is disturbed by where directions are fitted: white noise in mV at `SLOW_HZ`, a stretch, and
#: the most samples that a half looked up lies beside one that is held.
_NOISES: Final = (0.009, 0.022, 0.036)
_STRETCH: Final = 0.0025
_SHIFTS: Final = (3, 12)
#: Share of the mean disturbance that counts in every direction.
_FLOOR: Final = 0.02
#: Power of a direction's worth (variance over disturbance) that its numbers are divided by, as a deviation: 0
#: lets the best few decide, 1 gives all the same say.
_EVEN: Final = 0.5
_FIT_ON, _DISTURBED = 6000, 3000


@dataclass(frozen=True)
class Coder:
    """Turns windows of one length into codes.

    Attributes
    ----------
    describe : Describer
    scale : float32 array [size]
        Typical size of each number of a descriptor; three of them are the largest that a code holds.
    """

    describe: Describer
    scale: Floats

    def __call__(self, windows: NDArray[Any]) -> Codes:
        """Codes [n, size], from -7 to 7, of windows [n, <= width]."""
        return self.coded(self.describe.numbers(windows.astype(np.float64)))

    def coded(self, numbers: NDArray[np.float64]) -> Codes:
        """Unit vectors [n, size] in four bits each."""
        top = _DEVIATIONS * self.scale.astype(np.float64)
        return np.clip(np.rint(numbers / top * LEVELS), -LEVELS, LEVELS).astype(np.int8)

    def vectors(self, codes: Codes) -> Floats:
        """Codes as vectors of length `LENGTH` made of whole numbers."""
        numbers = codes * self.scale.astype(np.float64)
        length = np.linalg.norm(numbers, axis=1, keepdims=True)
        return np.rint(LENGTH * numbers / np.maximum(length, 1e-9)).astype(np.float32)


def halves_of(signals: Sequence[Floats]) -> tuple[Floats, Counts]:
    """The halves that strips are looked up as [rows, HALF], and how many of each; short ones end in zeros."""
    starts = [range(0, max(1, len(signal) - HALF + 1), STEP) for signal in signals]
    rows = [signal[a : a + HALF] for signal, own in zip(signals, starts, strict=True) for a in own]
    return padded(rows, HALF), np.array([len(own) for own in starts], dtype=np.int64)


def padded(rows: Sequence[Floats], width: int) -> Floats:
    """Rows of at most ``width`` samples as an array [rows, width] that ends in zeros."""
    out = np.zeros((len(rows), width), dtype=np.float32)
    for line, row in zip(out, rows, strict=True):
        line[: min(width, len(row))] = row[:width]
    return out


def stretch_cost() -> Floats:
    """What each of `STRETCHES` costs, in `atanh` of the cosine."""
    away = np.abs(np.array(STRETCHES) - 1)
    return (100 * STRETCH_COST * away).astype(np.float32)


def fisher(cosine: Any) -> Any:
    """Fisher's transform, which spreads what lies near 1."""
    return np.arctanh(np.clip(cosine, -_SAME, _SAME))


def fit_coder(windows: Floats, strips: Floats, rng: np.random.Generator) -> Coder:
    """A coder of ``windows`` [n, width]; ``strips`` [m, >= width + 12] hold some that shifts are tried on."""
    some = windows[np.sort(rng.permutation(len(windows))[:_FIT_ON])]
    shapes = spectrum_shape(some.astype(np.float64), POWER)
    mean = shapes.mean(axis=0)
    between = _outer(shapes - mean)
    within = _disturbance(some[:_DISTURBED], strips, rng)
    within += _FLOOR * np.trace(within) / len(within) * np.eye(len(within))
    inverse = np.linalg.inv(np.linalg.cholesky(within))
    worth, vectors = np.linalg.eigh(inverse @ between @ inverse.T)
    worth, vectors = np.maximum(worth[::-1][:SIZE], 1e-12), vectors[:, ::-1][:, :SIZE]
    basis = signed(inverse.T @ vectors * worth ** (-_EVEN / 2))
    basis /= np.abs(basis).max()
    describe = Describer(windows.shape[1], mean.astype(np.float32), basis.astype(np.float32), POWER)
    return Coder(describe, describe.numbers(some.astype(np.float64)).std(axis=0).astype(np.float32))


def _disturbance(windows: Floats, strips: Floats, rng: np.random.Generator) -> NDArray[np.float64]:
    """Mean outer product [bins, bins] of what disturbances change in the spectrum's shape."""

    def shape(rows: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(spectrum_shape(rows.astype(np.float64), POWER), dtype=np.float64)

    width = windows.shape[1]
    clean = shape(windows)
    found = [_outer(shape(windows + rng.normal(0, noise, windows.shape)) - clean) for noise in _NOISES]
    by = 1 + rng.choice([-_STRETCH, _STRETCH], len(windows))
    played = np.stack([stretched(row, factor) for row, factor in zip(windows, by, strict=True)])
    found.append(_outer(shape(played) - clean))
    room = strips.shape[1] - width - _SHIFTS[1]
    if room > 0:
        rows = strips[np.sort(rng.permutation(len(strips))[:_DISTURBED])]
        at = rng.integers(0, room, len(rows))
        by = rng.integers(_SHIFTS[0], _SHIFTS[1] + 1, len(rows))
        pairs = [
            (row[a : a + width], row[a + s : a + s + width]) for row, a, s in zip(rows, at, by, strict=True)
        ]
        first, second = (np.stack([pair[k] for pair in pairs]) for k in (0, 1))
        told = first.std(axis=1) > FLAT_MV
        found.append(_outer(shape(second)[told] - shape(first)[told]))
    return np.asarray(np.mean(found, axis=0))


def _outer(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows.T @ rows / max(1, len(rows)))
