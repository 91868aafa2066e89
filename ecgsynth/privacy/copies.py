"""Search for copies: the place in these recordings that a strip is most like (shifted, bent, mixed)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgsynth.engine import ALONE, Engine, in_order
from ecgsynth.privacy.bending import bend, polish
from ecgsynth.privacy.correlation import STRETCHES, Fit, PageSpectra, Whole, fits_of, halves, whole
from ecgsynth.privacy.descriptors import HALF, segments, stretched
from ecgsynth.privacy.gallery import Floats, Gallery, Index
from ecgsynth.privacy.mixing import Mixed, mixed
from ecgsynth.privacy.traces import SLOW_HZ, STRIP, Strip

#: Pages taken from each index for the exact comparison.
NEAREST: Final = {"full": 20, "half": 24}
#: Stretches that descriptors are looked up at, as numbers of `STRETCHES`, and those around each that are
#: compared exactly: the whole strip in many on the nearest `CLOSE` pages.
LOOK_UP: Final = {"full": tuple(range(0, 25, 3)), "half": tuple(range(2, 25, 5))}
AROUND: Final = {"full": (-3, -2, -1, 0, 1, 2, 3), "far": (0,), "half": (-2, 0, 2)}
CLOSE: Final = 10
#: Share of the pages that one person may take.
SHARE: Final = 0.6
#: Fits of each kind that are refined by bending.
REFINED: Final = 2
#: Fits nearer than this, in samples, start in the same valley.
_SAME_PLACE: Final = 8
#: Names of the numbers that a match is judged by.
STATISTICS: Final = ("full", "half", "bent", "margin", "mixed")
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
    mixed : Mixed
        The two people who together explain most of the whole strip, as it is.
    margin : float
        How far the best person is ahead of the second best in fits of the whole strip, as a difference of
        ``atanh |NCC|``. Noise, and a second person mixed in, lower every NCC; the one whom it was taken from
        still stands out.
    """

    strip: Strip
    full: Fit
    half: Fit
    bent: Fit
    mixed: Mixed
    margin: float

    def statistics(self) -> list[float]:
        """The numbers of `STATISTICS`, each larger the more a strip is like someone's."""
        fits = (_z(fit.ncc) for fit in (self.full, self.half, self.bent))
        return [*fits, self.margin, _z(self.mixed.ncc)]


def find_copies(
    gallery: Gallery, strips: Sequence[Strip], engine: Engine = ALONE, progress: Progress | None = None
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
    for part in in_order(partial(_search, gallery), blocks, engine, batch=1, what="searching for copies"):
        found += part
        if progress is not None:
            progress(len(found), len(strips))
    return found


def _search(gallery: Gallery, strips: Sequence[Strip]) -> list[Match]:
    full = _nearest(gallery, gallery.full, [_full_variants(s.signal) for s in strips], NEAREST["full"])
    half = _nearest(gallery, gallery.half, [_half_variants(s.signal) for s in strips], NEAREST["half"])
    return [_compare(gallery, *one) for one in zip(strips, full, half, strict=True)]


class _Pages(NamedTuple):
    """Pages whose best window is nearest to any variant of a strip, nearest first, and which variant."""

    pages: Whole
    variant: Whole


def _full_variants(signal: Floats) -> Floats:
    rows = np.zeros((len(LOOK_UP["full"]), STRIP), dtype=np.float32)
    for row, number in zip(rows, LOOK_UP["full"], strict=True):
        row[: len(signal)] = stretched(signal, STRETCHES[number])
    return rows


def _half_variants(signal: Floats) -> Floats:
    width = min(HALF, len(signal))
    rows = []
    for number in LOOK_UP["half"]:
        bent = stretched(signal, STRETCHES[number])
        rows += [np.pad(bent[s : s + width], (0, HALF - width)) for s in segments(signal)]
    return np.stack(rows)


def _nearest(gallery: Gallery, index: Index, variants: list[Floats], most: int) -> list[_Pages]:
    """The ``most`` pages nearest to each strip.

    At most `SHARE` of them are of one person, so that a long recording leaves room for others.
    """
    likeness = index.describe(np.concatenate(variants)) @ index.vectors.T
    found, row = [], 0
    for one in variants:
        mine = likeness[row : row + len(one)]
        best = np.maximum.reduceat(mine.max(axis=0), index.first)
        chosen = _spread(best, gallery.page_person, most)
        found.append(_Pages(chosen, np.array([_variant(mine, index, page) for page in chosen])))
        row += len(one)
    return found


def _pages_of(gallery: Gallery, signals: Floats, most: int) -> list[Whole]:
    """The ``most`` pages nearest to each of ``signals`` [n, samples], as they are."""
    padded = np.pad(signals, ((0, 0), (0, STRIP - signals.shape[1])))
    return [found.pages for found in _nearest(gallery, gallery.full, list(padded[:, None]), most)]


def _variant(likeness: Floats, index: Index, page: int) -> int:
    """Which row of ``likeness`` [variants, windows] is most like a page."""
    last = index.first[page + 1] if page + 1 < len(index.first) else likeness.shape[1]
    return int(likeness[:, index.first[page] : last].max(axis=1).argmax())


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


def _compare(gallery: Gallery, strip: Strip, full: _Pages, half: _Pages) -> Match:
    """Exact comparison: all pages as they are and near the stretch they were found at, the best bent."""
    number = np.unique(np.concatenate([full.pages, half.pages]))
    spectra = PageSpectra(gallery.pages(number))
    every, once = np.arange(len(number)), np.zeros(len(number), dtype=np.int64)
    at_full, at_half = np.searchsorted(number, full.pages), np.searchsorted(number, half.pages)
    straight = fits_of(spectra, whole(strip.signal, (1.0,)), once, every, number)
    both = mixed(gallery, strip.signal, sorted(straight, key=_strength), partial(_pages_of, gallery))
    full_fits = straight + fits_of(spectra, whole(strip.signal), *_whole_pairs(full, at_full), number)
    half_fits = []
    cuts = halves(strip.signal)
    stretch, segment = np.divmod(half.variant, len(cuts))
    for k, (as_it_is, cut) in enumerate(zip(halves(strip.signal, (1.0,)), cuts, strict=True)):
        half_fits += fits_of(spectra, as_it_is, once[at_half], at_half, number)
        mine = np.flatnonzero(segment == k)
        half_fits += fits_of(spectra, cut, *_pairs("half", stretch[mine], at_half[mine]), number)
    # Where time swings, no rigid fit is good, but descriptors still know the page.
    likely = [_best_on(full_fits + half_fits, page) for page in (*full.pages[:1], *half.pages[:2])]
    full_fits, half_fits = (_polished(gallery, strip, fits) for fits in (full_fits, half_fits))
    # What half a strip has found may be all of it, at a stretch that the whole was not tried at.
    whole_of = half_fits[0]._replace(ncc=0.0, first=0, last=len(strip.signal))
    full_fits = sorted([*full_fits, *_polished(gallery, strip, [whole_of])], key=_strength)
    starts = _apart([full_fits[0], half_fits[0], *likely])
    bent = [_bent(gallery, strip, fit) for fit in starts]
    margin = _margin(gallery, full_fits)
    return Match(strip, full_fits[0], half_fits[0], min(bent, key=_strength), both, margin)


def _best_on(fits: list[Fit], page: int) -> Fit:
    return min((fit for fit in fits if fit.page == page), key=_strength)


def _whole_pairs(full: _Pages, places: Whole) -> tuple[Whole, Whole]:
    close = _pairs("full", full.variant[:CLOSE], places[:CLOSE]), _pairs("far", full.variant, places)
    rows, pages = (np.concatenate(part) for part in zip(*close, strict=True))
    return rows, pages


def _pairs(kind: str, looked_up: Whole, places: Whole) -> tuple[Whole, Whole]:
    """Rows of `STRETCHES` around those of descriptors, each with its page."""
    middle = np.array(LOOK_UP["half" if kind == "half" else "full"])[looked_up]
    rows = np.clip(middle[:, None] + np.array(AROUND[kind])[None], 0, len(STRETCHES) - 1)
    return rows.ravel(), np.repeat(places, rows.shape[1])


def _apart(fits: list[Fit]) -> list[Fit]:
    """Fits less those that lie where another does: they would be bent to the same."""
    places = {(fit.page, round(fit.middle / _SAME_PLACE), round(fit.stretch, 2)): fit for fit in fits[::-1]}
    return list(places.values())


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
