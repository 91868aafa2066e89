"""Charts of a report, drawn once for the page (as SVG) and the PDF: synthetic over real.

Colours are those of a light page. The page swaps them for its own (`ecgsynth.report.svg`), so that a chart is
legible in the dark too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ecgsynth.paper import HALF, QUIET, TRACE, Scale, Window, cut, label, new_page, span, strip
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, Episode, Record, twelve_from_eight
from ecgsynth.report.ground import Ground
from ecgsynth.report.strips import Strip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REAL_FILL, REAL_LINE, SYNTHETIC, RULE = "#cbd3de", "#64748b", "#c2410c", "#d9dce1"
FONT_SIZE: Final = 7.5
#: Leads of a strip in one column; more go in two.
ONE_COLUMN: Final = 3


def small_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of ``width`` x ``height`` inches with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="none", layout="constrained")
    return figure, figure.add_subplot()


def _bare(ax: Axes) -> None:
    ax.set_facecolor("none")
    for side, spine in ax.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)
    ax.tick_params(colors=QUIET, labelsize=FONT_SIZE - 1, length=2, width=0.6, pad=1.5)


def draw_distribution(ax: Axes, entry: Mapping[str, Any], title: str, unit: str) -> None:
    """Shares of real strips (filled) and of synthetic ones (line) per bin of a feature."""
    edges = np.asarray(entry["edges"])
    ax.stairs(entry["real"], edges, fill=True, color=REAL_FILL, zorder=1)
    ax.stairs(entry["real"], edges, color=REAL_LINE, lw=0.8, zorder=2)
    ax.stairs(entry["synthetic"], edges, color=SYNTHETIC, lw=1.4, zorder=3)
    _bare(ax)
    ax.set_yticks([])
    ax.set_ylim(0, 1.08 * max(max(entry["real"]), max(entry["synthetic"]), 1e-9))
    ax.set_title(title, fontsize=FONT_SIZE, color=TRACE, loc="left", pad=3)
    if unit:
        ax.set_xlabel(unit, fontsize=FONT_SIZE - 1, color=QUIET, labelpad=1)
    ax.locator_params(axis="x", nbins=5)


def draw_spectrum(ax: Axes, entry: Mapping[str, Any]) -> None:
    """Power spectra: median and the band between the outer quantiles, real and synthetic."""
    hz = np.asarray(entry["hz"], dtype=float)
    real, synthetic = (np.asarray(entry[k], dtype=float) for k in ("real_db", "synthetic_db"))
    ax.fill_between(hz, real[0], real[-1], color=REAL_FILL, lw=0, zorder=1)
    ax.plot(hz, real[1], color=REAL_LINE, lw=1.2, zorder=2)
    for edge in (synthetic[0], synthetic[-1]):
        ax.plot(hz, edge, color=SYNTHETIC, lw=0.6, ls=(0, (3, 2)), zorder=3)
    ax.plot(hz, synthetic[1], color=SYNTHETIC, lw=1.4, zorder=4)
    _bare(ax)
    ax.spines["left"].set_visible(True)
    ax.set_xlim(0, float(hz[-1]))
    ax.set_xlabel("Hz", fontsize=FONT_SIZE, color=QUIET, labelpad=1)
    ax.set_ylabel("dB", fontsize=FONT_SIZE, color=QUIET, labelpad=1)


def draw_correlation(ax: Axes, leads: Sequence[str], matrix: Any, title: str) -> None:
    """Correlation of leads, as numbers in tenths on colours from -1 to 1."""
    values = np.asarray(matrix, dtype=float)
    ax.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        dark = abs(value) > 0.6
        text = f"{value:.1f}".replace("-0.0", "0.0")
        ax.text(
            column, row, text, ha="center", va="center", fontsize=5, color="#fdfdfd" if dark else "#222222"
        )
    ax.set_xticks(range(len(leads)), leads)
    ax.set_yticks(range(len(leads)), leads)
    ax.tick_params(colors=QUIET, labelsize=FONT_SIZE - 1.5, length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(title, fontsize=FONT_SIZE, color=TRACE, loc="left", pad=3)


def distribution_figure(entry: Mapping[str, Any], unit: str) -> Figure:
    """A small chart of one feature, without its title."""
    figure, ax = small_figure(1.8, 1.05)
    draw_distribution(ax, entry, "", unit)
    return figure


def spectrum_figure(entry: Mapping[str, Any]) -> Figure:
    """The power spectra."""
    figure, ax = small_figure(5.2, 2.3)
    draw_spectrum(ax, entry)
    return figure


def correlation_figure(entry: Mapping[str, Any]) -> Figure:
    """Lead correlations of real and synthetic strips, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 2.75), facecolor="none", layout="constrained")
    for k, (name, title) in enumerate((("real", "Real"), ("synthetic", "Synthetic"))):
        draw_correlation(figure.add_subplot(1, 2, k + 1), entry["leads"], entry[name], title)
    return figure


def strip_record(item: Strip, ground: Ground) -> Record:
    """A strip as a record: twelve leads where the eight independent ones are there."""
    signal, leads = item.signal, (item.lead,) if ground.pooled else ground.leads
    if signal is None:
        signal = np.zeros((len(leads), ground.n_samples), dtype=np.float32)
    if leads == INDEPENDENT_LEADS:
        signal, leads = twelve_from_eight(signal), TWELVE_LEADS
    episodes = (Episode(0, signal.shape[1], ground.rhythm),)
    return Record(item.record, signal, ground.fs, leads, item.subject, "", episodes)


def strip_size(record: Record, scale: Scale = HALF) -> tuple[float, float]:
    """Width and height in mm of a strip on paper."""
    columns, rows, pitch = _layout(record, scale)[:3]
    return columns * (record.seconds * scale.mm_per_s + 4) - 4, rows * pitch


def draw_strip(ax: Axes, record: Record, left: float, top: float, scale: Scale = HALF) -> None:
    """All leads of a strip on paper, from the upper left corner in mm."""
    _, rows, pitch, below, above = _layout(record, scale)
    width = record.seconds * scale.mm_per_s
    for k, lead in enumerate(record.leads):
        x = left + (k // rows) * (width + 4)
        base = top - (k % rows) * pitch - scale.mm_per_mv * above
        window = Window(x, base, record.seconds, below, above, scale)
        strip(ax, record, window, lead=lead, beats=False, rhythms=False)
        label(ax, x + 1, top - (k % rows) * pitch - 3, lead, 6.5, bold=True)


def _layout(record: Record, scale: Scale) -> tuple[int, int, float, float, float]:
    """Columns, rows, mm from one row to the next, and mV below and above the baseline."""
    columns = 1 if len(record.leads) <= ONE_COLUMN else 2
    rows = -(-len(record.leads) // columns)
    below, above = span([cut(record, lead, 0.0, record.seconds)[1] for lead in record.leads], 0.9, most=3.0)
    return columns, rows, scale.mm_per_mv * (below + above) + (1.0 if rows > 1 else 0.0), below, above


def strip_figure(record: Record) -> Figure:
    """A strip on a page of its own size."""
    width, height = strip_size(record)
    figure, ax = new_page(width + 1, height + 1)
    figure.set_facecolor("none")
    draw_strip(ax, record, 0.5, height + 0.5)
    return figure
