"""WFDB headers, read as claims to be checked: ``header(5)`` of the WFDB Applications Guide."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ecgsynth.errors import RecordError

#: Longest header that is read, in bytes; the longest of PhysioNet's ECG headers are a few kB.
MAX_HEADER_BYTES = 1 << 20
#: Most signals a record may declare.
MAX_SIGNALS = 256
#: Highest sampling rate in Hz.
MAX_FS = 10_000.0

#: Longest signal description.
MAX_LEAD_NAME = 120

#: Value in mV of one of each accepted unit. Both code points that print as a micro sign are accepted.
UNITS_IN_MV = {"mV": 1.0, "mv": 1.0, "uV": 1e-3, "uv": 1e-3, "\u00b5V": 1e-3, "\u03bcV": 1e-3}

_FORMAT = re.compile(
    r"(?P<fmt>\d{1,4})(?:x(?P<spf>\d{1,9}))?(?::(?P<skew>\d{1,9}))?(?:\+(?P<offset>\d{1,18}))?", re.ASCII
)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.ASCII | re.IGNORECASE)
_GAIN = re.compile(r"(?P<gain>[^(/]+)(?:\((?P<baseline>[^)]*)\))?(?:/(?P<units>\S+))?")


@dataclass(frozen=True)
class SignalLine:
    """One signal as the header describes it.

    Attributes
    ----------
    file : Path
        Signal file, resolved, inside the record's folder.
    fmt : str
        WFDB signal format, such as ``"16"`` or ``"212"``.
    offset : int
        Bytes before the first sample.
    gain : float
        ADC units per ``units``; 0 where the header gives none.
    baseline : int
        ADC value of zero.
    units : str
        As written; ``"mV"`` where the header gives none, as the format prescribes.
    init : int or None
        First sample in ADC units, where stated.
    checksum : int or None
        Sum of the samples modulo 65,536, where stated.
    lead : str
        Signal description.
    """

    file: Path
    fmt: str
    offset: int
    gain: float
    baseline: int
    units: str
    init: int | None
    checksum: int | None
    lead: str


@dataclass(frozen=True)
class Segment:
    """One segment of a record: its header (None: a gap) and its length in samples."""

    path: Path | None
    n_samples: int


@dataclass(frozen=True)
class Header:
    """A parsed header.

    Attributes
    ----------
    path : Path
        The ``.hea`` file.
    name : str
        Record name as the header states it.
    fs : float
        Sampling rate in Hz.
    n_samples : int or None
        Samples per signal, where stated.
    signals : tuple of SignalLine
        In a record of segments those of the layout, or of the first segment.
    comments : tuple of str
        Comment lines without their ``#``.
    segments : tuple of Segment
        Empty where the record is in one piece.
    """

    path: Path
    name: str
    fs: float
    n_samples: int | None
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]
    segments: tuple[Segment, ...] = ()


def refuse(path: Path, field: str, found: object, allowed: str, action: str = "") -> NoReturn:
    """Raise RecordError in the house's form: what, where, found, allowed, what to do next."""
    shown = repr(found) if len(repr(found)) <= 80 else f"{repr(found)[:77]}..."
    raise RecordError(f"{path}: {field} is {shown}; allowed: {allowed}.{' ' if action else ''}{action}")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the system's complaints about a file (permissions, links in a circle) into RecordError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecordError(f"{path}: cannot be read ({reason}). Check its permissions and links.") from None


def header_path(path: Path) -> Path:
    """The ``.hea`` file of a record named with or without that suffix."""
    return path if path.suffix == ".hea" else path.with_name(path.name + ".hea")


def inside(path: Path, root: Path | None, field: str) -> Path:
    """`path` resolved, if that is a regular file inside `root` (default: its own folder).

    Raises
    ------
    RecordError
        If the file is missing, is not a regular file, or a link leads out of `root`.
    """
    with readable(path):
        folder = (root if root is not None else path.parent).resolve()
        real = path.resolve()
        exists = real.exists()
    if not real.is_relative_to(folder):
        refuse(path, field, os.fspath(real), f"files inside {folder}", "Copy the file in place of the link.")
    if not exists:
        raise RecordError(f"{path}: {field} does not exist. Check the path, or fetch the whole record again.")
    if not real.is_file():
        raise RecordError(f"{path}: {field} is not a regular file. Name a WFDB record.")
    return real


def read_rows(path: Path, root: Path | None) -> tuple[list[str], tuple[str, ...]]:
    """Lines of a header, at least one, and its comments without their ``#``."""
    real = inside(path, root, "header")
    with readable(path), real.open("rb") as file:
        raw = file.read(MAX_HEADER_BYTES + 1)
    if len(raw) > MAX_HEADER_BYTES:
        refuse(path, "header size", "larger", f"up to {MAX_HEADER_BYTES} bytes")
    # Not splitlines(): it also splits at bytes that are text in other code pages, such as 0x85.
    lines = [line.strip() for line in _decode(raw).replace("\r", "\n").split("\n")]
    rows = [line for line in lines if line and not line.startswith("#")]
    if not rows:
        raise RecordError(f"{path}: header has no record line. Fetch the file again.")
    return rows, tuple(line.strip("# \t") for line in lines if line.startswith("#"))


def read_one_piece(path: Path, rows: Sequence[str], comments: tuple[str, ...], root: Path | None) -> Header:
    """The header of a record without segments, or of a layout, from its lines."""
    name, n_segments, n_signals, fs, n_samples = record_line(path, rows[0].split())
    if n_segments is not None:
        refuse(path, "record name", rows[0].split()[0], "a record in one piece, as a segment must be")
    if n_signals != len(rows) - 1:
        refuse(path, "number of signals", n_signals, f"{len(rows) - 1}, the signal lines that follow")
    files: dict[str, Path] = {}
    signals = tuple(_signal_line(path, i, row, root, files) for i, row in enumerate(rows[1:]))
    return Header(path, name, fs, n_samples, signals, comments)


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def integer(path: Path, field: str, text: str) -> int:
    """A whole number of up to 18 digits."""
    if not _WHOLE.fullmatch(text):
        refuse(path, field, text, "a whole number")
    return int(text)


def _real(path: Path, field: str, text: str) -> float:
    if not _REAL.fullmatch(text):
        refuse(path, field, text, "a number")
    return float(text)


def record_line(path: Path, fields: Sequence[str]) -> tuple[str, int | None, int, float, int | None]:
    """Name, number of segments (None: in one piece), number of signals, sampling rate, samples."""
    name, *rest = fields
    name, slash, count = name.partition("/")
    n_segments = integer(path, "number of segments", count) if slash else None
    if len(rest) < 2:
        refuse(path, "record line", " ".join(fields), "name, number of signals, sampling rate, samples")
    n_signals = integer(path, "number of signals", rest[0])
    if not 1 <= n_signals <= MAX_SIGNALS:
        refuse(path, "number of signals", n_signals, f"1 to {MAX_SIGNALS}")
    fs = _real(path, "sampling rate", rest[1].split("/")[0])
    if not (math.isfinite(fs) and 0 < fs <= MAX_FS):
        refuse(path, "sampling rate", fs, f"over 0 and up to {MAX_FS:g} Hz")
    n_samples = integer(path, "number of samples", rest[2]) if len(rest) > 2 else 0
    if n_samples < 0:
        refuse(path, "number of samples", n_samples, "0 (not stated) or more")
    return name, n_segments, n_signals, fs, n_samples or None


def _signal_line(path: Path, index: int, row: str, root: Path | None, files: dict[str, Path]) -> SignalLine:
    """One signal line; `files` remembers the signal files already checked, by name."""
    where = f"signal {index}"
    parts = row.split(maxsplit=8)
    if len(parts) < 2:
        refuse(path, where, row, "a line with file name and format")
    match = _FORMAT.fullmatch(parts[1])
    if match is None:
        refuse(path, f"{where} format", parts[1], "a number, such as 16 or 212, with x1 or +offset")
    if int(match["spf"] or 1) != 1 or int(match["skew"] or 0) != 0:
        refuse(path, f"{where} format", parts[1], "one sample per frame, no skew", "Resample it with xform.")
    gain, baseline, units = _gain(path, where, parts[2] if len(parts) > 2 else "0")
    numbers = [integer(path, f"{where} field {i + 4}", text) for i, text in enumerate(parts[3:8])]
    if baseline is None:
        baseline = numbers[1] if len(numbers) > 1 else 0
    lead = parts[8].strip() if len(parts) > 8 else where
    if len(lead) > MAX_LEAD_NAME or not lead.isprintable():
        refuse(path, f"{where} description", lead, f"up to {MAX_LEAD_NAME} printable characters")
    if parts[0] not in files:
        files[parts[0]] = _signal_file(path, where, parts[0], match["fmt"], root)
    return SignalLine(
        file=files[parts[0]],
        fmt=match["fmt"],
        offset=int(match["offset"] or 0),
        gain=gain,
        baseline=baseline,
        units=units,
        init=numbers[2] if len(numbers) > 2 else None,
        checksum=numbers[3] % 65536 if len(numbers) > 3 else None,
        lead=lead,
    )


def _gain(path: Path, where: str, text: str) -> tuple[float, int | None, str]:
    match = _GAIN.fullmatch(text)
    if match is None:
        refuse(path, f"{where} gain", text, "gain, (baseline) and /units, such as 1000(0)/mV")
    gain = _real(path, f"{where} gain", match["gain"])
    if not math.isfinite(gain) or gain < 0:
        refuse(path, f"{where} gain", gain, "a finite number over 0")
    stated = match["baseline"]
    baseline = None if stated is None else integer(path, f"{where} baseline", stated)
    return gain, baseline, match["units"] or "mV"


def _signal_file(path: Path, where: str, name: str, fmt: str, root: Path | None) -> Path:
    if name == "~" and int(fmt) == 0:
        return path  # a layout: describes signals and has no samples
    odd = len(name.encode()) > 255 or not name.isprintable() or any(mark in name for mark in "/\\:")
    if odd or name in {"-", "~", ".", ".."}:
        refuse(path, f"{where} file", name, "a plain file name in the header's own folder")
    return inside(path.with_name(name), root, f"{where} file")
