"""Two people in one strip: what a strip leaves beside its best fit is searched for, too.

Half of each of two recordings fits neither well, so its NCC is a stranger's; both together explain all of it.
This is one step of matching pursuit (Mallat and Zhang, IEEE Trans Signal Process 41:3397-3415, 1993) over
recordings, and least squares on both at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.bending import played, polish
from ecgsynth.privacy.correlation import Fit, PageSpectra, fits_of, whole
from ecgsynth.privacy.gallery import Floats, Gallery

#: People whose fits are taken off a strip in turn. In 163 of 166 planted mixtures of two training people one
#: of the two is then named.
FIRST: Final = 3
#: Pages that what is left is compared with exactly.
SECOND: Final = 8

#: The pages that are nearest to each of some strips [n, samples], so many of each.
Nearest = Callable[[Floats, int], Sequence[NDArray[np.int64]]]


class Mixed(NamedTuple):
    """The two people whose recordings together explain most of a strip.

    ``ncc`` is the correlation of the strip with the best sum of both, ``first`` and ``second`` where each
    lies; ``second`` is None where nobody else is there.
    """

    ncc: float
    first: Fit
    second: Fit | None


def mixed(gallery: Gallery, signal: Floats, fits: Sequence[Fit], nearest: Nearest) -> Mixed:
    """Explain a strip [samples] by two people, the first of them by one of ``fits``, best first."""
    strip = signal.astype(np.float64)
    firsts = _of_different_people(gallery, fits)
    placed = [_placed(gallery, strip, fit) for fit in firsts]
    left = np.stack([strip - own * _share(strip, own) for _, own in placed]).astype(np.float32)
    found = [Mixed(abs(fit.ncc), fit, None) for fit, _ in placed]
    for (fit, own), rest, pages in zip(placed, left, nearest(left, SECOND), strict=True):
        others = pages[gallery.page_person[pages] != gallery.page_person[fit.page]]
        if not len(others):
            continue
        rows = np.zeros(len(others), dtype=np.int64)
        cut = whole(rest, (1.0,))
        best = fits_of(PageSpectra(gallery.pages(others)), cut, rows, np.arange(len(others)), others)
        second, other = _placed(gallery, rest.astype(np.float64), max(best, key=lambda f: abs(f.ncc)))
        found.append(Mixed(_together(strip, own, other), fit, second))
    return max(found, key=lambda one: one.ncc)


def _of_different_people(gallery: Gallery, fits: Sequence[Fit]) -> list[Fit]:
    """The best fits of the `FIRST` people."""
    kept: dict[int, Fit] = {}
    for fit in fits:
        kept.setdefault(int(gallery.page_person[fit.page]), fit)
        if len(kept) == FIRST:
            break
    return list(kept.values())


def _placed(gallery: Gallery, strip: NDArray[np.float64], fit: Fit) -> tuple[Fit, NDArray[np.float64]]:
    """A fit placed to a fraction of a sample, and the recording there [samples]."""
    trace = gallery.traces[gallery.page_trace[fit.page]].signal
    start = float(gallery.page_start[fit.page])
    ncc, middle, stretch = polish(strip, trace, start + fit.middle, fit.stretch, 0, len(strip))
    at = fit._replace(ncc=ncc, middle=middle - start, stretch=stretch)
    return at, played(trace, middle, stretch, len(strip))


def _share(strip: NDArray[np.float64], own: NDArray[np.float64]) -> float:
    return float(own @ strip) / max(float(own @ own), 1e-12)


def _together(strip: NDArray[np.float64], own: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The multiple correlation of a strip with two recordings, without a constant."""
    both = np.stack([own, other], axis=1)
    gains = np.linalg.lstsq(both, strip, rcond=None)[0]
    explained = 1 - float(((strip - both @ gains) ** 2).sum()) / max(float(strip @ strip), 1e-12)
    return float(np.sqrt(np.clip(explained, 0.0, 1.0)))
