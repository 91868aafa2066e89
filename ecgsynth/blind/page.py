"""The sheet on paper: A4 across, five strips a page at 25 mm/s and 10 mm/mV, boxes for the answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.blind.candidates import BAND, FS, SECONDS, Candidate
from ecgsynth.paper import QUIET, TRACE, Window, label, new_page, strip
from ecgsynth.records import Record
from ecgsynth.report.leads import UNNAMED
from ecgsynth.rhythms import RHYTHMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, MARGIN = 297.0, 210.0, 12.0
PER_PAGE: Final = 5
#: mV of paper for each strip; what leaves it is cut at its edge.
TALL_MV: Final = 3.0
PITCH: Final = 37.5
INSTRUCTIONS: Final = (
    "Each strip was recorded from a person or made by a program. Half of them are real.",
    "Look at each and tick one box. If you are not sure, tick the likelier one.",
    "Confidence: how sure you are, from 50 (a guess) to 100 (certain). It may be left empty.",
    "Above each strip is the rhythm that it is said to be, whether real or synthetic. Each rhythm and lead",
    "is as often real as synthetic.",
    f"All strips: {SECONDS:g} s, 25 mm/s, 10 mm/mV, {BAND[0]:g}-{BAND[1]:g} Hz, {FS:g} Hz. One small square "
    "is 0.04 s x 0.1 mV.",
    "A trace that leaves the paper is cut at its edge.",
    "Do not look at other people's answers. Write yours into answers.csv, one line per number.",
)


def sheet_pages(strips: Sequence[Candidate], name: str) -> Iterator[Figure]:
    """All pages, the instructions first; strips are numbered from 1 in the order given."""
    total = 1 + -(-len(strips) // PER_PAGE)
    yield _cover(len(strips), name, total)
    for first in range(0, len(strips), PER_PAGE):
        figure, ax = _page(name, 2 + first // PER_PAGE, total)
        for row, candidate in enumerate(strips[first : first + PER_PAGE]):
            _draw(ax, candidate, first + row + 1, HEIGHT - MARGIN - row * PITCH)
        yield figure


def _page(name: str, number: int, total: int) -> tuple[Figure, Axes]:
    figure, ax = new_page(WIDTH, HEIGHT)
    foot = f"Blind sheet {name}   25 mm/s   10 mm/mV   {BAND[0]:g}-{BAND[1]:g} Hz"
    label(ax, MARGIN, 5, f"{foot}   Shows recordings of people: not to be passed on.", 6.5, QUIET)
    label(ax, WIDTH - MARGIN, 5, f"{number} of {total}", 6.5, QUIET, ha="right")
    return figure, ax


def _cover(n_strips: int, name: str, total: int) -> Figure:
    figure, ax = _page(name, 1, total)
    label(ax, MARGIN, HEIGHT - 25, f"Real or synthetic? {n_strips} ECG strips", 18, bold=True)
    for i, line in enumerate(INSTRUCTIONS):
        label(ax, MARGIN, HEIGHT - 42 - 8 * i, line, 10.5)
    for i, what in enumerate(("Name or initials", "Profession, years of reading ECGs", "Date")):
        y = HEIGHT - 120 - 14 * i
        label(ax, MARGIN, y, what, 10.5)
        ax.plot([MARGIN + 75, MARGIN + 190], [y - 1, y - 1], color=QUIET, lw=0.6)
    return figure


def _draw(ax: Axes, candidate: Candidate, number: int, top: float) -> None:
    title = RHYTHMS[candidate.rhythm].title
    label(ax, MARGIN, top - 3.2, f"{number}", 11, bold=True)
    label(ax, MARGIN + 11, top - 3.2, f"{title}, {_lead(candidate.lead)}", 8.5)
    below = _below(candidate.signal)
    bottom = top - 5 - 10 * TALL_MV
    window = Window(MARGIN, bottom + 10 * below, SECONDS, below, TALL_MV - below)
    strip(ax, _as_record(candidate), window, beats=False, rhythms=False)
    left, y = MARGIN + 25 * SECONDS + 8, top - 14
    for k, word in enumerate(("real", "synthetic")):
        _box(ax, left + 26 * k, y, 4.0, 4.0)
        label(ax, left + 26 * k + 6, y + 0.9, word, 9)
    label(ax, left, y - 11, "confidence, 50-100", 7.5, QUIET)
    _box(ax, left + 34, y - 13, 14.0, 6.0)


def _lead(name: str) -> str:
    return "lead not named" if name == UNNAMED else f"lead {name}"


def _below(signal: NDArray[np.float32]) -> float:
    """mV of paper below the baseline, in steps of 0.5, such that the strip lies in the middle of it."""
    middle = (float(signal.max()) + float(signal.min())) / 2
    return float(np.clip(np.round(2 * (TALL_MV / 2 - middle)) / 2, 0.5, TALL_MV - 0.5))


def _as_record(candidate: Candidate) -> Record:
    """A record that names nothing but its lead."""
    return Record("", candidate.signal[None], FS, (candidate.lead,), "", "")


def _box(ax: Axes, left: float, bottom: float, width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((left, bottom), width, height, facecolor="white", edgecolor=TRACE, lw=0.7))
