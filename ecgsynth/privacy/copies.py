"""Search for copies: the place in these recordings that a strip is most like, shifted, scaled or bent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.bending import bend, polish
from ecgsynth.privacy.correlation import Fit, PageSpectra, best_fits, halves, whole
from ecgsynth.privacy.descriptors import HALF, segments, stretched
from ecgsynth.privacy.gallery import Floats, Gallery, Index
from ecgsynth.privacy.traces import SLOW_HZ, STRIP, Strip

#: Pages taken from each index for the exact comparison, and how many of each are also stretched.
NEAREST: Final = {"full": 16, "half": 32}
BENT: Final = {"full": 5, "half": 5, "exact": 3}
#: Stretches that descriptors are looked up at.
LOOK_UP: Final = {
    "full": (0.94, 0.955, 0.97, 0.985, 1.0, 1.015, 1.03, 1.045, 1.06),
    "half": (0.95, 0.975, 1.0, 1.025, 1.05),
}
#: Share of the pages that one person may take.
SHARE: Final = 0.6
#: Fits of each kind that are refined by bending.
REFINED: Final = 2
#: Names of the numbers that a match is judged by.
STATISTICS: Final = ("full", "half", "bent", "margin")
#: Floats of one block of descriptor products (32 MB): what is held instead of strips x windows.
_BLOCK = 8_000_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Match:
    """The recording that a strip is most like.

    Attributes
    ----------
    strip : Strip
    full : Fit
        Best rigid or evenly stretched fit of the whole strip.
    half : Fit
        Best fit of half a strip: finds what was cut, joined or rolled.
    bent : Fit
        Best fit of the whole strip with a smoothly bent time axis.
    margin : float
        How far the best person is ahead of the second best in fits of the whole strip, as a difference of
        ``atanh |NCC|``. Noise, and a second person mixed in, lower every NCC; the one whom it was taken from
        still stands out.
    """

    strip: Strip
    full: Fit
    half: Fit
    bent: Fit
    margin: float

    def statistics(self) -> list[float]:
        """The numbers of `STATISTICS`, each larger the more a strip is like someone's."""
        return [*(_z(fit.ncc) for fit in (self.full, self.half, self.bent)), self.margin]


def find_copies(
    gallery: Gallery, strips: Sequence[Strip], workers: int = 1, progress: Progress | None = None
) -> list[Match]:
    """The nearest place in the gallery for each strip, in the order of ``strips``.

    Descriptors choose about 50 pages of the gallery for a strip; the exact correlation runs on those. Memory
    holds a block of strips times the windows of the gallery at most.
    """
    widest = max(len(gallery.full.vectors), len(gallery.half.vectors))
    per_strip = max(len(LOOK_UP["full"]), 3 * len(LOOK_UP["half"]))
    size = int(np.clip(_BLOCK // (widest * per_strip), 1, 64))
    blocks = [strips[i : i + size] for i in range(0, len(strips), size)]
    found: list[Match] = []
    for part in _mapped(lambda block: _search(gallery, block), blocks, workers):
        found += part
        if progress is not None:
            progress(len(found), len(strips))
    return found


def _mapped(
    work: Callable[[Sequence[Strip]], list[Match]], blocks: list[Sequence[Strip]], workers: int
) -> Iterator[list[Match]]:
    if workers <= 1 or len(blocks) == 1:
        yield from map(work, blocks)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(work, blocks)


def _search(gallery: Gallery, strips: Sequence[Strip]) -> list[Match]:
    full = _nearest(gallery, gallery.full, [_full_variants(s.signal) for s in strips], NEAREST["full"])
    half = _nearest(gallery, gallery.half, [_half_variants(s.signal) for s in strips], NEAREST["half"])
    return [_compare(gallery, *one) for one in zip(strips, full, half, strict=True)]


def _full_variants(signal: Floats) -> Floats:
    rows = np.zeros((len(LOOK_UP["full"]), STRIP), dtype=np.float32)
    for row, factor in zip(rows, LOOK_UP["full"], strict=True):
        row[: len(signal)] = stretched(signal, factor)
    return rows


def _half_variants(signal: Floats) -> Floats:
    width = min(HALF, len(signal))
    rows = []
    for factor in LOOK_UP["half"]:
        bent = stretched(signal, factor)
        rows += [np.pad(bent[s : s + width], (0, HALF - width)) for s in segments(signal)]
    return np.stack(rows)


def _nearest(gallery: Gallery, index: Index, variants: list[Floats], most: int) -> list[NDArray[np.int64]]:
    """The ``most`` pages whose best window is nearest to any variant of a strip, nearest first.

    At most `SHARE` of them are of one person, so that a long recording leaves room for others.
    """
    likeness = index.describe(np.concatenate(variants)) @ index.vectors.T
    pages, row = [], 0
    for one in variants:
        best = np.maximum.reduceat(likeness[row : row + len(one)].max(axis=0), index.first)
        pages.append(_spread(best, gallery.page_person, most))
        row += len(one)
    return pages


def _spread(best: Floats, person: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    order = np.argsort(-best, kind="stable")
    allowed = round(SHARE * most)
    mine = person[order]
    # The k-th page of a person, in the order of likeness.
    by_person = np.argsort(mine, kind="stable")
    grouped = mine[by_person]
    first = np.searchsorted(grouped, grouped)
    turn = np.empty(len(order), dtype=np.int64)
    turn[by_person] = np.arange(len(order)) - first
    return order[turn < allowed][:most]


def _compare(gallery: Gallery, strip: Strip, full: NDArray[np.int64], half: NDArray[np.int64]) -> Match:
    """Exact comparison: all pages as they are, the likeliest also stretched, the best of those bent."""
    pages = np.unique(np.concatenate([full, half]))
    spectra = PageSpectra(gallery.pages(pages))
    plain = whole(strip.signal, (1.0,))
    values = spectra.ncc(plain.rows)
    likely = np.searchsorted(pages, np.concatenate([full[: BENT["full"]], half[: BENT["half"]]]))
    strongest = np.argsort(-np.abs(values[0]).max(axis=1), kind="stable")[: BENT["exact"]]
    some = np.unique(np.concatenate([likely, strongest]))
    cut = whole(strip.signal)
    full_fits = best_fits(plain, values, pages) + best_fits(cut, spectra.ncc(cut.rows, some), pages[some])
    half_fits = []
    for straight, cut in zip(halves(strip.signal, (1.0,)), halves(strip.signal), strict=True):
        half_fits += best_fits(straight, spectra.ncc(straight.rows), pages)
        half_fits += best_fits(cut, spectra.ncc(cut.rows, some), pages[some])
    full_fits, half_fits = (_polished(gallery, strip, fits) for fits in (full_fits, half_fits))
    bent = [_bent(gallery, strip, fit) for fit in full_fits[:REFINED] + half_fits[:REFINED]]
    return Match(strip, full_fits[0], half_fits[0], min(bent, key=_strength), _margin(gallery, full_fits))


def _polished(gallery: Gallery, strip: Strip, fits: list[Fit]) -> list[Fit]:
    """Fits, best first, the best `REFINED` of them placed to a fraction of a sample."""
    fits = sorted(fits, key=_strength)
    signal = strip.signal.astype(np.float64)
    for k, fit in enumerate(fits[:REFINED]):
        trace = gallery.traces[gallery.page_trace[fit.page]].signal
        start = float(gallery.page_start[fit.page])
        ncc, middle, stretch = polish(signal, trace, start + fit.middle, fit.stretch, fit.first, fit.last)
        fits[k] = fit._replace(ncc=ncc, middle=middle - start, stretch=stretch)
    return sorted(fits, key=_strength)


def _strength(fit: Fit) -> float:
    return -abs(fit.ncc)


def _z(ncc: float) -> float:
    """Fisher's transform, which spreads what lies near 1; exact copies end at 6."""
    return float(np.arctanh(min(abs(ncc), 0.99999)))


def _margin(gallery: Gallery, fits: list[Fit]) -> float:
    who = gallery.page_person[[fit.page for fit in fits]]
    other = np.flatnonzero(who != who[0])
    return _z(fits[0].ncc) - (_z(fits[other[0]].ncc) if len(other) else 0.0)


def _bent(gallery: Gallery, strip: Strip, fit: Fit) -> Fit:
    trace = gallery.traces[gallery.page_trace[fit.page]].signal
    start = float(gallery.page_start[fit.page])
    found = bend(strip.signal.astype(np.float64), trace, start + fit.middle, fit.stretch)
    return fit._replace(ncc=found.ncc)


def place_of(gallery: Gallery, fit: Fit) -> tuple[int, float]:
    """Number of the trace, and seconds into it, that the middle of a strip falls on."""
    return int(gallery.page_trace[fit.page]), float(gallery.page_start[fit.page] + fit.middle) / SLOW_HZ
