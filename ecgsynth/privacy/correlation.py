"""Normalised cross-correlation of a strip with pages, at every lag, stretch and polarity."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.descriptors import HALF, segments, stretched
from ecgsynth.privacy.gallery import PAGE

Floats = NDArray[np.float32]

_SIZE: Final = 2048
#: Stretches that whole and half strips are correlated at; `bending` finds what lies between them.
STRETCHES: Final = tuple(float(f) for f in np.round(1 + np.arange(-4, 5) * 0.015, 4))


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

    def ncc(self, strips: Floats, which: NDArray[np.int64] | slice = slice(None)) -> Floats:
        """NCC [strips, pages, lags] of equally long strips [strips, n] with the pages ``which``.

        ``sum(q * x) / (|q| |x|)`` over the n samples of the page from each lag on. Where the page is nearly
        silent there the value is 0: a flat line is not evidence of anything.
        """
        n = strips.shape[1]
        lags = PAGE - n + 1
        spectra = self._fft.rfft(strips, _SIZE, axis=1).conj()
        product = spectra[:, None, :] * self._spectra[which][None]
        cross = self._fft.irfft(product, _SIZE, axis=2)[:, :, :lags]
        energy = self._energy[which]
        local = energy[:, n : n + lags] - energy[:, :lags]
        loudest = local.max(axis=1, keepdims=True)
        scale = np.where(local > 0.02 * loudest + 1e-9, 1 / np.sqrt(np.maximum(local, 1e-12)), 0.0)
        own = np.sqrt((strips.astype(np.float64) ** 2).sum(axis=1))[:, None, None]
        return np.asarray(cross * (scale[None] / np.maximum(own, 1e-9)).astype(np.float32))


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


def best_fits(cut: Cut, values: Floats, pages: NDArray[np.int64]) -> list[Fit]:
    """The fit with the largest |NCC| in each page of ``values`` [stretches, pages, lags]."""
    lags = np.abs(values).argmax(axis=2)
    peaks = np.take_along_axis(values, lags[:, :, None], axis=2)[:, :, 0]
    rows = np.abs(peaks).argmax(axis=0)
    fits = []
    for number, (page, row) in enumerate(zip(pages, rows, strict=True)):
        middle = float(lags[row, number] + cut.middles[row])
        stretch = cut.stretches[int(row)]
        fits.append(Fit(float(peaks[row, number]), int(page), middle, stretch, cut.first, cut.last))
    return fits
