"""Records in several pieces, of fixed or variable layout: ``header(5)``, multi-segment records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ecgsynth.wfdb_io.header import (
    Header,
    Segment,
    SignalLine,
    header_path,
    integer,
    read_one_piece,
    read_rows,
    record_line,
    refuse,
)

#: Most segments a record may have; a day of five-second segments has 17,280.
MAX_SEGMENTS = 20_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}|~", re.ASCII)


def read_header(path: Path, *, root: Path | None = None) -> Header:
    """Read and check a WFDB header without touching its samples.

    Parameters
    ----------
    path : Path
        The record, with or without ``.hea``.
    root : Path, optional
        Folder that every file of the record must lie in, links resolved; default: the header's own.

    Raises
    ------
    RecordError
        Naming the file, the field, what was found and what is allowed.
    """
    path = header_path(path)
    rows, comments = read_rows(path, root)
    name, n_segments, n_signals, fs, n_samples = record_line(path, rows[0].split())
    if n_segments is None:
        header = read_one_piece(path, rows, comments, root)
        if any(line.file == path for line in header.signals):
            refuse(path, "format", 0, "a record with samples; this is a layout", "Read the record it is of.")
        return header
    if not 1 <= n_segments <= MAX_SEGMENTS or n_segments != len(rows) - 1:
        allowed = f"{len(rows) - 1}, the segment lines that follow, and at most {MAX_SEGMENTS}"
        refuse(path, "number of segments", n_segments, allowed)
    segments = tuple(_segment(path, i, row.split()) for i, row in enumerate(rows[1:]))
    total = sum(segment.n_samples for segment in segments)
    if total != (n_samples or 0):
        refuse(path, "number of samples", n_samples or 0, f"{total}, the sum over the segments")
    signals = _signals(path, segments, n_signals, fs, root)
    return Header(path, name, fs, n_samples, signals, comments, tuple(s for s in segments if s.n_samples))


def _segment(path: Path, index: int, fields: Sequence[str]) -> Segment:
    where = f"segment {index}"
    if len(fields) != 2:
        refuse(path, where, " ".join(fields), "a line with name and number of samples")
    name, length = fields[0], integer(path, f"{where} samples", fields[1])
    if not _NAME.fullmatch(name) or name == path.stem:
        refuse(path, f"{where} name", name, "another record in the header's own folder, or ~")
    if length < 0 or (length == 0 and (index > 0 or name == "~")):
        refuse(path, f"{where} samples", length, "1 or more; 0 for a layout, which comes first")
    return Segment(None if name == "~" else path.with_name(f"{name}.hea"), length)


def _signals(
    path: Path, segments: Sequence[Segment], n_signals: int, fs: float, root: Path | None
) -> tuple[SignalLine, ...]:
    """Signals of the layout, or of the first segment that has any; no other file is opened."""
    first = next((segment.path for segment in segments if segment.path is not None), None)
    if first is None or not any(segment.n_samples for segment in segments):
        refuse(path, "segments", "gaps or a layout only", "at least one with samples")
    header = piece(path, first, fs, root)
    if len(header.signals) != n_signals:
        refuse(path, "number of signals", n_signals, f"{len(header.signals)}, as in {first.name}")
    return header.signals


def piece(path: Path, segment: Path, fs: float, root: Path | None) -> Header:
    """The header of a segment or layout of the record `path`; it may not have segments itself.

    Raises
    ------
    RecordError
        If it is missing, damaged, has segments, or another sampling rate.
    """
    header = read_one_piece(segment, *read_rows(segment, root if root is not None else path.parent), root)
    if header.fs != fs:
        refuse(segment, "sampling rate", header.fs, f"{fs:g} Hz, as {path.name} states")
    return header
