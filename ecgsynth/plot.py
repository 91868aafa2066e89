"""Pages of records on ECG paper: one record true to scale, a contact sheet, a page to compare strips.

The same records give the same bytes: nothing of the date, the software or the user's settings gets in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ecgsynth.errors import OptionError, RecordError
from ecgsynth.paper import (
    HALF,
    QUIET,
    TRACE,
    Window,
    cut,
    draw_pulse,
    label,
    new_page,
    span,
    strip,
)
from ecgsynth.records import TWELVE_LEADS, Record
from ecgsynth.rhythms import RHYTHMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Window",
    "contact_sheet",
    "new_page",
    "plot_record",
    "plot_records",
    "save_pages",
    "strip",
    "strips_page",
]

MARGIN = 8.0
PULSE = 10.0
ROW_SECONDS = 10.0
COLUMNS_12 = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))


def plot_record(
    record: Record,
    path: Path,
    *,
    start: float = 0.0,
    seconds: float = 10.0,
    beats: bool = True,
    dpi: int = 150,
) -> None:
    """Write a record to ``path`` (PNG or PDF) on ECG paper, 25 mm/s and 10 mm/mV.

    Twelve leads are laid out as usual: four columns of three leads, and lead II below them. Other records
    get a strip of at most 10 s per lead and line.

    Raises
    ------
    OptionError
        If ``path`` ends in neither ``.png`` nor ``.pdf``, or ``start`` lies outside the record.
    """
    save_pages([record_page(record, start=start, seconds=seconds, beats=beats)], path, dpi)


def plot_records(
    records: Iterable[Record], path: Path, *, start: float = 0.0, seconds: float = 10.0, beats: bool = True
) -> None:
    """Write a PDF with one page per record, each as :func:`plot_record` draws it.

    Raises
    ------
    OptionError
        If ``path`` does not end in ``.pdf``, or ``start`` lies outside a record.
    """
    if path.suffix.lower() != ".pdf":
        raise OptionError(f"cannot write several pages to {path}: only a PDF has pages, name it .pdf.")
    save_pages(
        (record_page(record, start=start, seconds=seconds, beats=beats) for record in records), path, 150
    )


def contact_sheet(
    records: Iterable[Record],
    path: Path,
    *,
    limit: int = 32,
    columns: int = 3,
    start: float = 0.0,
    seconds: float = 10.0,
    beats: bool = True,
) -> None:
    """Write small multiples of the first ``limit`` records, 12.5 mm/s and 5 mm/mV, with name and rhythm.

    Raises
    ------
    RecordError
        If there is no record.
    OptionError
        If ``path`` ends in neither ``.png`` nor ``.pdf``, or ``start`` lies outside a record.
    """
    shown = [_part(record, start, seconds) for record in islice(records, limit)]
    save_pages([_sheet([("", shown)], columns, seconds, titles=True, beats=beats)], path, 110)


def strips_page(
    groups: Sequence[tuple[str, Sequence[Record]]],
    path: Path,
    *,
    columns: int = 2,
    seconds: float = 10.0,
    beats: bool = False,
) -> None:
    """Write groups of untitled strips, one heading per group, such as real among synthetic, unlabelled.

    Parameters
    ----------
    groups : sequence of (str, sequence of Record)
        Heading and strips, filled row by row.
    path : Path
        PNG or PDF.
    columns : int
    seconds : float
        Shown of each record, from its start.
    beats : bool
        Mark the beats.
    """
    save_pages([_sheet(groups, columns, seconds, titles=False, beats=beats)], path, 130)


def record_page(record: Record, *, start: float = 0.0, seconds: float = 10.0, beats: bool = True) -> Figure:
    """The page that :func:`plot_record` writes."""
    part = _part(record, start, seconds)
    twelve = set(TWELVE_LEADS) <= set(record.leads)
    figure, ax = _twelve_page(part, beats) if twelve else _rows_page(part, start, beats)
    _footer(ax, 25, 10)
    return figure


def _part(record: Record, start: float, seconds: float) -> Record:
    """What is to be drawn of a record; the full length is not kept in memory."""
    if not 0 <= start < record.seconds:
        raise OptionError(
            f"start {start:g} s lies outside {record.name}; give 0 or more, below {record.seconds:g}."
        )
    if not seconds > 0:
        raise OptionError(f"cannot draw {seconds:g} s of {record.name}; give more than 0.")
    first = round(start * record.fs)
    part = record.slice(first, min(first + max(round(seconds * record.fs), 1), record.n_samples))
    return replace(part, signal=part.signal.copy())


def _rows_page(record: Record, start: float, beats: bool) -> tuple[Figure, Axes]:
    """One strip of paper per lead and 10 s, each with the calibration pulse."""
    per_row = min(record.seconds, ROW_SECONDS)
    n_rows = max(1, -int(-(record.seconds - 0.01) // per_row))
    rows = [(lead, i * per_row) for i in range(n_rows) for lead in record.leads]
    spans = [span([cut(record, lead, at, per_row)[1]]) for lead, at in rows]
    height = sum(10 * (below + above) + 5 for below, above in spans)
    figure, ax = new_page(per_row * 25 + PULSE + 2 * MARGIN, height + 2 * MARGIN + 2)
    top = _heading(ax, record) - 4
    for (lead, at), (below, above) in zip(rows, spans, strict=True):
        window = Window(MARGIN + PULSE, top - 10 * above, per_row, below, above)
        draw_pulse(ax, window, PULSE)
        strip(ax, record, window, lead=lead, start=at, beats=beats, grid=False)
        label(ax, MARGIN + 1, window.box[3] - 3.5, lead, bold=True)
        if start + at:
            label(ax, MARGIN + 1, window.box[1] + 1, f"{start + at:g} s", 6, QUIET)
        top -= 10 * (below + above) + 5
    return figure, ax


def _twelve_page(record: Record, beats: bool) -> tuple[Figure, Axes]:
    """Four columns of three leads, a quarter of the time each, and lead II for all of it."""
    seconds = min(record.seconds, ROW_SECONDS)
    part = seconds / 4
    below, above = span([cut(record, lead, 0.0, seconds)[1] for lead in TWELVE_LEADS], most=2.5)
    pitch = 10 * (below + above)
    figure, ax = new_page(seconds * 25 + PULSE + 2 * MARGIN, 4 * pitch + 2 * MARGIN + 6)
    top = _heading(ax, record) - 3
    windows = [
        Window(MARGIN + PULSE, top - 10 * above - pitch * row, seconds, below, above) for row in range(4)
    ]
    for window in windows:
        draw_pulse(ax, window, PULSE)
    for column, leads in enumerate(COLUMNS_12):
        left, at = MARGIN + PULSE + column * part * 25, column * part
        for lead, window in zip(leads, windows[:3], strict=True):
            place = replace(window, left=left, seconds=part)
            strip(ax, record, place, lead=lead, start=at, beats=False, rhythms=False, grid=False)
            label(ax, left + 1.2, window.base + 6.5, lead, bold=True)
            if column:
                ax.plot([left, left], [window.base - 4, window.base + 4], color=TRACE, lw=0.6, zorder=3)
    strip(ax, record, windows[3], lead="II", beats=beats, grid=False)
    label(ax, MARGIN + PULSE + 1.2, windows[3].base + 6.5, "II", bold=True)
    return figure, ax


def _sheet(
    groups: Sequence[tuple[str, Sequence[Record]]], columns: int, seconds: float, titles: bool, beats: bool
) -> Figure:
    records = [record for _, group in groups for record in group]
    if not records:
        raise RecordError("no record to draw: a page of strips needs at least 1.")
    seconds = min(seconds, max(record.seconds for record in records))
    below, above = span([cut(record, None, 0.0, seconds)[1] for record in records], quantile=0.9, most=2.5)
    columns = min(columns, max(len(group) for _, group in groups))
    width = HALF.mm_per_s * seconds + 5
    pitch = HALF.mm_per_mv * (below + above) + (7.5 if titles else 4.0)
    height = sum(-(-len(group) // columns) * pitch + (7 if heading else 0) for heading, group in groups)
    figure, ax = new_page(columns * width - 5 + 2 * MARGIN, height + 2 * MARGIN)
    top = height + MARGIN + 2
    for heading, group in groups:
        if heading:
            label(ax, MARGIN, top - 3.5, heading, 10, bold=True)
            top -= 7
        for i, record in enumerate(group):
            head = top - (i // columns) * pitch - (5.5 if titles else 2.0)
            base = head - HALF.mm_per_mv * above
            window = Window(MARGIN + (i % columns) * width, base, seconds, below, above, HALF)
            strip(ax, record, window, beats=beats, rhythms=len(record.episodes) > 1)
            if titles:
                _title(ax, record, window, head + 2.6)
        top -= -(-len(group) // columns) * pitch
    _footer(ax, HALF.mm_per_s, HALF.mm_per_mv)
    return figure


def _heading(ax: Axes, record: Record) -> float:
    """Who and what, along the top; returns the height in mm below which the page is free."""
    top = ax.get_ylim()[1] - MARGIN
    label(ax, MARGIN, top, record.name, 11, bold=True)
    about = [_rhythms(record), f"{record.fs:g} Hz", *_person(record)]
    if "synthetic" in record.extra:
        about.append("synthetic")
    label(ax, ax.get_xlim()[1] - MARGIN, top, ",  ".join(filter(None, about)), 8, QUIET, ha="right")
    return top


def _person(record: Record) -> list[str]:
    age = f"{record.age:g} years" if record.age is not None else ""
    return [word for word in (age, {"F": "female", "M": "male"}.get(record.sex or "", "")) if word]


def _rhythms(record: Record) -> str:
    names = dict.fromkeys(episode.rhythm for episode in record.episodes)
    return ", ".join(RHYTHMS[name].title if name in RHYTHMS else "not labelled" for name in names)


def _title(ax: Axes, record: Record, window: Window, y: float) -> None:
    left, _, right, _ = window.box
    lead = "II" if "II" in record.leads else record.leads[0]
    label(ax, left, y, record.name, 6, bold=True)
    about = f"{_rhythms(record)}   {lead}" + ("   synthetic" if "synthetic" in record.extra else "")
    label(ax, right, y, about, 6, QUIET, ha="right")


def _footer(ax: Axes, mm_per_s: float, mm_per_mv: float) -> None:
    text = f"{mm_per_s:g} mm/s   {mm_per_mv:g} mm/mV   squares 0.2 s x 0.5 mV"
    label(ax, MARGIN, 3.2, text, 6.5, QUIET)


def save_pages(pages: Iterable[Figure], path: Path, dpi: int) -> None:
    """Write the pages under a hidden name first, so that ``path`` is whole or not there."""
    write = {".png": _write_png, ".pdf": _write_pdf}.get(path.suffix.lower())
    if write is None:
        raise OptionError(
            f"cannot write {path}: {path.suffix or 'no ending'!r} is not a picture; use .png or .pdf."
        )
    staged = path.with_name(f".{path.name}.partial")
    try:
        with staged.open("wb") as file:
            write(pages, file, dpi)
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)


def _write_png(pages: Iterable[Figure], file: IO[bytes], dpi: int) -> None:
    for figure in pages:
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})


def _write_pdf(pages: Iterable[Figure], file: IO[bytes], dpi: int) -> None:
    from matplotlib.backends.backend_pdf import PdfPages

    nothing = {"CreationDate": None, "Creator": None, "Producer": None}
    with PdfPages(file, metadata=nothing) as pdf:
        for figure in pages:
            pdf.savefig(figure, dpi=dpi)
