"""ECG paper: a grid, a trace and its marks, drawn on axes whose unit is the millimetre.

The scale (25 mm/s and 10 mm/mV on a full-size strip) therefore holds by construction. Traces are centred on
their median, as an AC-coupled amplifier would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ecgsynth.processes import loading
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHEET, MINOR, MAJOR = "#fffaf8", "#f9e4df", "#efbfb6"
TRACE, NORMAL, ECTOPIC, RHYTHM, QUIET = "#15181c", "#7d93a8", "#b3261e", "#1f5f4a", "#6b6f76"
FONT = "DejaVu Sans"


@dataclass(frozen=True)
class Scale:
    """Millimetres of paper per second and per millivolt."""

    mm_per_s: float = 25.0
    mm_per_mv: float = 10.0


FULL = Scale()
HALF = Scale(12.5, 5.0)


@dataclass(frozen=True)
class Window:
    """Where a strip lies.

    Attributes
    ----------
    left, base : float
        Left edge and baseline of the strip in mm.
    seconds : float
        Shown.
    below, above : float
        mV of paper below and above the baseline; the trace is cut there.
    scale : Scale
    """

    left: float
    base: float
    seconds: float
    below: float = 1.0
    above: float = 1.5
    scale: Scale = FULL

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, bottom, right and top in mm."""
        bottom = self.base - self.below * self.scale.mm_per_mv
        top = self.base + self.above * self.scale.mm_per_mv
        return self.left, bottom, self.left + self.seconds * self.scale.mm_per_s, top


def new_page(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty page of ``width`` x ``height`` mm, and axes over all of it in mm, from its lower left."""
    with loading():
        from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 25.4, height / 25.4), facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height), autoscale_on=False)
    ax.set_axis_off()
    return figure, ax


def strip(
    ax: Axes,
    record: Record,
    window: Window,
    *,
    lead: str | None = None,
    start: float = 0.0,
    beats: bool = True,
    rhythms: bool = True,
    grid: bool = True,
) -> None:
    """Draw one lead of a record.

    Parameters
    ----------
    ax : matplotlib Axes
        In mm, as :func:`new_page` makes them.
    record : Record
    window : Window
        Where, and how much.
    lead : str, optional
        Name of the lead; by default II where there is one, else the first.
    start : float
        Second of the record at the left edge.
    beats : bool
        Mark beats along the top edge: a tick, and a letter where the beat is not ``N``.
    rhythms : bool
        Write rhythm marks, such as ``(AFIB``, where they start.
    grid : bool
        Draw the paper first.
    """
    if grid:
        draw_grid(ax, window)
    first, trace = cut(record, lead, start, window.seconds)
    _draw_trace(ax, record, window, trace)
    last = first + trace.size
    if beats and record.beats is not None:
        _beat_marks(ax, record, window, first, last)
    if rhythms:
        _rhythm_marks(ax, record, window, first, last)


def _draw_trace(ax: Axes, record: Record, window: Window, trace: NDArray[np.float32]) -> None:
    """The line; what leaves the paper is cut off at its edge rather than drawn flat along it."""
    from matplotlib.patches import Rectangle

    left, bottom, right, top = window.box
    x = left + np.arange(trace.size) / record.fs * window.scale.mm_per_s
    y = window.base + trace * window.scale.mm_per_mv
    weight = 0.8 if window.scale == FULL else 0.6
    (line,) = ax.plot(x, y, color=TRACE, lw=weight, zorder=3, solid_joinstyle="round")
    line.set_clip_path(Rectangle((left, bottom), right - left, top - bottom, transform=ax.transData))


def cut(record: Record, lead: str | None, start: float, seconds: float) -> tuple[int, NDArray[np.float32]]:
    """First sample and the trace [samples] in mV of one lead, less its median; NaN stays a gap."""
    name = lead or ("II" if "II" in record.leads else record.leads[0])
    row = record.signal[record.leads.index(name)]
    first = round(start * record.fs)
    trace = row[first : first + round(seconds * record.fs) + 1]
    real = trace[np.isfinite(trace)]
    return first, trace - (np.median(real) if real.size else np.float32(0))


def span(
    traces: Sequence[NDArray[np.float32]], quantile: float = 1.0, most: float = 4.0
) -> tuple[float, float]:
    """mV below and above the baseline that hold ``quantile`` of the traces, in steps of 0.5."""
    real = [trace[np.isfinite(trace)] for trace in traces]
    lows = [-float(trace.min()) for trace in real if trace.size] or [0.0]
    highs = [float(trace.max()) for trace in real if trace.size] or [0.0]
    below, above = (np.ceil(2 * np.quantile(side, quantile) + 0.4) / 2 for side in (lows, highs))
    return float(np.clip(below, 1.0, most)), float(np.clip(above, 1.5, most))


def draw_grid(ax: Axes, window: Window, before: float = 0.0) -> None:
    """Paper with lines every 1 and 5 mm of a full-size strip (0.2 s x 0.5 mV), ``before`` mm further left."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Rectangle

    left, bottom, right, top = window.box
    left -= before
    ax.add_patch(
        Rectangle((left, bottom), right - left, top - bottom, facecolor=SHEET, edgecolor="none", zorder=0)
    )
    steps = ((1, MINOR, 0.35), (5, MAJOR, 0.5)) if window.scale == FULL else ((5, MAJOR, 0.35),)
    for step, colour, weight in steps:
        dx, dy = step * window.scale.mm_per_s / 25, step * window.scale.mm_per_mv / 10
        xs = left + dx * np.arange(int((right - left) / dx + 1e-6) + 1)
        ys = bottom + dy * np.arange(int((top - bottom) / dy + 1e-6) + 1)
        lines = [((x, bottom), (x, top)) for x in xs] + [((left, y), (right, y)) for y in ys]
        ax.add_collection(LineCollection(lines, colors=colour, linewidths=weight, zorder=1), autolim=False)


def draw_pulse(ax: Axes, window: Window, width: float) -> None:
    """Paper ``width`` mm further left than the strip, with the calibration pulse: 1 mV for 0.2 s."""
    draw_grid(ax, window, before=width)
    step, high = window.scale.mm_per_s / 5, window.base + window.scale.mm_per_mv
    start = window.left - width + (width - step) / 2
    xs = [start - 1.5, start, start, start + step, start + step, start + step + 1.5]
    ys = [window.base, window.base, high, high, window.base, window.base]
    ax.plot(xs, ys, color=TRACE, lw=0.8, zorder=3, solid_joinstyle="miter")


def label(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    size: float = 8.0,
    colour: str = TRACE,
    *,
    ha: Literal["left", "center", "right"] = "left",
    bold: bool = False,
) -> None:
    """Text in pt at ``x``, ``y`` in mm, from its baseline."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    ax.text(x, y, text, fontproperties=font, color=colour, zorder=5, ha=ha)


def _beat_marks(ax: Axes, record: Record, window: Window, first: int, last: int) -> None:
    from matplotlib.collections import LineCollection

    assert record.beats is not None
    left, _, _, top = window.box
    size = 1.6 * window.scale.mm_per_mv / 10 + 0.4
    ticks, colours = [], []
    for sample, symbol in zip(record.beats.samples, record.beats.symbols, strict=True):
        if not first <= sample < last:
            continue
        x = left + (sample - first) / record.fs * window.scale.mm_per_s
        colour = NORMAL if symbol == "N" else ECTOPIC
        ticks.append(((x, top), (x, top - size)))
        colours.append(colour)
        if symbol != "N":
            label(ax, x, top + 0.5, symbol, 3.2 + 0.28 * window.scale.mm_per_mv, colour, ha="center")
    ax.add_collection(LineCollection(ticks, colors=colours, linewidths=0.9, zorder=4), autolim=False)


def _rhythm_marks(ax: Axes, record: Record, window: Window, first: int, last: int) -> None:
    left, bottom, _, top = window.box
    for episode in record.episodes:
        at = max(episode.start, first)
        if episode.stop <= first or at >= last:
            continue
        x = left + (at - first) / record.fs * window.scale.mm_per_s
        mark = RHYTHMS[episode.rhythm].aux if episode.rhythm in RHYTHMS else "?"
        if at > first:
            ax.plot([x, x], [bottom, top], color=RHYTHM, lw=0.6, ls=(0, (3, 2)), zorder=2)
        label(ax, x + 0.8, bottom + 0.9, mark, 4.5 + 0.25 * window.scale.mm_per_mv, RHYTHM, bold=True)
