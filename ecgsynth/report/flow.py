"""Pages of A4 (landscape) that fill from the top: text, rows of columns, pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from ecgsynth.paper import QUIET, TRACE, label, new_page
from ecgsynth.report.charts import RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, MARGIN = 297.0, 210.0, 14.0
#: Width of an average character in mm per pt of size (DejaVu Sans), and of a line.
CHARACTER: Final = 0.199
LINE: Final = 0.5


class Flow:
    """A document that grows downwards; a new page begins where something does not fit.

    Parameters
    ----------
    foot : str
        At the foot of every page.
    done : callable
        Takes each full page.
    """

    def __init__(self, foot: str, done: Callable[[Figure], None]) -> None:
        self.foot, self._done = foot, done
        self.page = 0
        self.figure: Figure | None = None
        self.ax: Axes
        self.top = 0.0
        self.new_page()

    def new_page(self) -> None:
        """Begin a page."""
        self.close()
        self.figure, self.ax = new_page(WIDTH, HEIGHT)
        self.page += 1
        label(self.ax, MARGIN, 7, self.foot, 6.5, QUIET)
        label(self.ax, WIDTH - MARGIN, 7, str(self.page), 6.5, QUIET, ha="right")
        self.top = HEIGHT - MARGIN

    def close(self) -> None:
        """Hand over the page that is begun."""
        if self.figure is not None:
            self._done(self.figure)
            self.figure = None

    def need(self, height: float) -> None:
        """Begin a page unless ``height`` mm are left on this one."""
        if self.top - height < MARGIN:
            self.new_page()

    def text(
        self,
        words: str,
        size: float = 8.5,
        colour: str = TRACE,
        *,
        bold: bool = False,
        before: float = 0.0,
        left: float = MARGIN,
        width: float = WIDTH - 2 * MARGIN,
    ) -> None:
        """A paragraph, wrapped."""
        lines = wrapped(words, size, width)
        self.need(before + LINE * size)
        self.top -= before
        for line in lines:
            self.need(LINE * size)
            self.top -= LINE * size
            label(self.ax, left, self.top, line, size, colour, bold=bold)

    def rule(self) -> None:
        """A line across the page."""
        self.top -= 2.0
        self.ax.plot([MARGIN, WIDTH - MARGIN], [self.top, self.top], color=RULE, lw=0.6)
        self.top -= 1.0

    def rows(
        self,
        heads: Sequence[str],
        widths: Sequence[float],
        rows: Sequence[Sequence[str]],
        size: float = 7.5,
    ) -> None:
        """A table; ``widths`` are shares of the page's width."""
        room = WIDTH - 2 * MARGIN
        self._row(heads, [room * w for w in widths], size, QUIET)
        for row in rows:
            self._row(row, [room * w for w in widths], size, TRACE)

    def _row(self, cells: Sequence[str], widths: Sequence[float], size: float, colour: str) -> None:
        columns = [wrapped(cell, size, width - 3) for cell, width in zip(cells, widths, strict=True)]
        height = LINE * size * max(len(lines) for lines in columns) + 1.4
        self.need(height)
        left = MARGIN
        for lines, width in zip(columns, widths, strict=True):
            for k, line in enumerate(lines):
                label(self.ax, left, self.top - LINE * size * (k + 1), line, size, colour)
            left += width
        self.top -= height
        self.ax.plot([MARGIN, WIDTH - MARGIN], [self.top, self.top], color=RULE, lw=0.4)
        self.top -= 0.6

    def axes(self, left: float, width: float, height: float, below: float = 0.0) -> Axes:
        """Axes of ``width`` x ``height`` mm, their upper left corner at ``left``, ``below`` mm under here."""
        if self.figure is None:
            self.new_page()
        figure = self.ax.figure
        bottom = self.top - below - height
        return figure.add_axes((left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT))


def wrapped(words: str, size: float, width: float) -> list[str]:
    """Lines of text that fit ``width`` mm."""
    return textwrap.wrap(words, max(8, int(width / (CHARACTER * size)))) or [""]
