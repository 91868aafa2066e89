"""Normalised cross-correlation of a strip with pages, at every lag, stretch and polarity."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.descriptors import HALF, segments, stretched
from ecgsynth.privacy.gallery import PAGE

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]

_SIZE: Final = 2048
#: Stretches that whole and half strips are correlated at; `bending` finds what lies between them. At half a
#: step off, the ends of a strip of ten seconds are 12 ms off; at 37 ms half of the correlation is gone.
STRETCHES: Final = tuple(float(f) for f in np.round(1 + np.arange(-12, 13) * 0.005, 4))


class Fit(NamedTuple):
    """Where a strip fits best.

    ``ncc`` is signed: negative where the strip is upside down. ``middle`` is the sample of the page that the
    middle of the strip falls on, ``stretch`` how much longer the strip had to be played to fit; samples
    ``first`` to ``last`` of the strip were compared.
    """

    ncc: float
    page: int
    middle: float
    stretch: float
    first: int
    last: int


class PageSpectra:
    """Pages transformed once, to be correlated with many strips.

    Parameters
    ----------
    pages : float32 array [pages, PAGE]
    """

    def __init__(self, pages: Floats) -> None:
        from scipy import fft

        self._fft = fft
        self._spectra = fft.rfft(pages, _SIZE, axis=1)
        squares = np.cumsum(pages.astype(np.float64) ** 2, axis=1)
        self._energy = np.concatenate([np.zeros((len(pages), 1)), squares], axis=1)
        self._scales: dict[int, Floats] = {}

    def ncc(self, strips: Floats, rows: Whole, pages: Whole) -> Floats:
        """NCC [pairs, lags] of strips ``rows`` [pairs] of ``strips`` [strips, n] with ``pages`` [pairs].

        ``sum(q * x) / (|q| |x|)`` over the n samples of the page from each lag on. Where the page is nearly
        silent there the value is 0: a flat line is not evidence of anything.
        """
        n = strips.shape[1]
        lags = PAGE - n + 1
        spectra = self._fft.rfft(strips, _SIZE, axis=1).conj()
        product = spectra[rows]
        product *= self._spectra[pages]
        cross = self._fft.irfft(product, _SIZE, axis=1, overwrite_x=True)[:, :lags]
        own = np.sqrt((strips.astype(np.float64) ** 2).sum(axis=1)).astype(np.float32)
        cross *= self._scale(n)[pages] / np.maximum(own[rows], 1e-9)[:, None]
        return np.asarray(cross)

    def _scale(self, n: int) -> Floats:
        """One over the norm of the n samples of each page from each lag on [pages, lags], kept for reuse."""
        if n not in self._scales:
            lags = PAGE - n + 1
            local = self._energy[:, n : n + lags] - self._energy[:, :lags]
            loudest = local.max(axis=1, keepdims=True)
            scale = np.where(local > 0.02 * loudest + 1e-9, 1 / np.sqrt(np.maximum(local, 1e-12)), 0.0)
            self._scales[n] = scale.astype(np.float32)
        return self._scales[n]


class Cut(NamedTuple):
    """A piece of a strip at each stretch.

    ``rows`` [stretches, n]; ``middles`` [stretches], the sample of a row that the middle of the strip has;
    ``first`` and ``last``, the samples of the unstretched strip that it is.
    """

    rows: Floats
    middles: NDArray[np.float64]
    stretches: tuple[float, ...]
    first: int
    last: int


def whole(signal: Floats, stretches: tuple[float, ...] = STRETCHES) -> Cut:
    """The whole strip [samples] at each stretch, less the ends that the shortest of them lacks."""
    lost = int(np.ceil(len(signal) * (1 - min(1.0, *stretches)) / 2))
    rows = np.stack([stretched(signal, factor)[lost : len(signal) - lost] for factor in stretches])
    middles = np.full(len(stretches), (len(signal) - 1) / 2 - lost)
    return Cut(rows, middles, stretches, lost, len(signal) - lost)


def halves(signal: Floats, stretches: tuple[float, ...] = STRETCHES) -> list[Cut]:
    """Segments of half a strip at each stretch."""
    width = min(HALF, len(signal))
    every = [stretched(signal, factor) for factor in stretches]
    middle = (len(signal) - 1) / 2
    cuts = []
    for start in segments(signal):
        # A stretch moves a segment away from where it was; cut it where its middle has gone.
        centre = start + width / 2 - middle
        moved = [round(middle + centre * f - width / 2) for f in stretches]
        places = [int(np.clip(at, 0, len(signal) - width)) for at in moved]
        rows = np.stack([line[at : at + width] for line, at in zip(every, places, strict=True)])
        middles = middle - np.array(places, dtype=np.float64)
        cuts.append(Cut(rows, middles, stretches, start, start + width))
    return cuts


def fits_of(spectra: PageSpectra, cut: Cut, rows: Whole, pages: Whole, number: Whole) -> list[Fit]:
    """The fit with the largest |NCC| of each pair of a row of a cut with a page.

    ``pages`` [pairs] count within ``spectra``, ``number`` [pages] tells what they are called outside.
    """
    values = spectra.ncc(cut.rows, rows, pages)
    lags = values.argmax(axis=1)
    low = values.argmin(axis=1)
    at = np.arange(len(values))
    lags = np.where(-values[at, low] > values[at, lags], low, lags)
    return [
        Fit(float(ncc), int(page), float(lag + cut.middles[row]), cut.stretches[row], cut.first, cut.last)
        for ncc, page, lag, row in zip(values[at, lags], number[pages], lags, rows.tolist(), strict=True)
    ]
