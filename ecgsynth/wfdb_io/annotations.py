"""WFDB annotation files in the MIT format: ``annot(5)`` of the WFDB Applications Guide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import RecordError
from ecgsynth.wfdb_io.header import header_path, inside, readable, refuse
from ecgsynth.wfdb_io.segments import read_header

_SYMBOLS = (
    *(" ", "N", "L", "R", "a", "V", "F", "J", "A", "S", "E", "j", "/", "Q", "~", "15", "|", "17"),
    *("s", "T", "*", "D", '"', "=", "p", "B", "^", "t", "+", "u", "?", "!", "[", "]", "e", "n"),
    *("@", "x", "f", "(", ")", "r"),
    *(str(code) for code in range(42, 50)),
)
_CODES = {symbol: code for code, symbol in enumerate(_SYMBOLS) if code}
_NOTE = _CODES['"']
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63

#: Symbols that mark a beat rather than a rhythm, wave or comment.
BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
#: Most bytes of one annotation file that are read: over 250,000 annotations, half a second of decoding.
MAX_BYTES = 1 << 20
#: Longest note in bytes; its length is stored in one.
MAX_NOTE = 255


@dataclass(frozen=True)
class RawAnnotations:
    """Annotations as stored, in time order.

    Attributes
    ----------
    samples : int64 array [annotations]
        Sample index at the annotation file's time resolution, which is the record's fs unless the file says
        otherwise.
    symbols : tuple of str
        WFDB codes as printed, such as ``N`` or ``+``; user-defined codes print as their number.
    aux : tuple of str
        Notes, ``""`` where there is none; trailing zero bytes removed.
    fs : float or None
        Time resolution in Hz where the file states one.
    """

    samples: NDArray[np.int64]
    symbols: tuple[str, ...]
    aux: tuple[str, ...]
    fs: float | None = None


def read_beats_and_marks(
    path: Path, extension: str = "atr", *, root: Path | None = None, n_samples: int | None = None
) -> RawAnnotations:
    """Read one annotation file, checked.

    Parameters
    ----------
    path : Path
        The record, without suffix or with ``.hea``.
    extension : str
        Annotator, such as ``"atr"`` or ``"q1c"``.
    root : Path, optional
        Folder that the file must lie in, links resolved; default: the record's own.
    n_samples : int, optional
        Length of the record in samples; default: what the header beside it states, if there is one.

    Raises
    ------
    RecordError
        If the file is missing, truncated, out of time order, or has marks outside the record.
    """
    hea = header_path(path)
    file = hea.with_name(f"{hea.stem}.{extension}")
    real = inside(file, root, f"annotation file ({extension})")
    with readable(file), real.open("rb") as opened:
        raw = opened.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        refuse(file, "size", "larger", f"up to {MAX_BYTES} bytes")
    if n_samples is None and hea.exists():
        n_samples = read_header(hea, root=root).n_samples
    items = list(_items(file, raw))
    items, fs = _without_preamble(file, items)
    samples = np.array([sample for sample, _, _ in items], dtype=np.int64)
    _check_times(file, samples, n_samples)
    symbols = tuple(_SYMBOLS[code] for _, code, _ in items)
    return RawAnnotations(samples, symbols, tuple(aux for _, _, aux in items), fs)


def _items(file: Path, raw: bytes) -> Iterator[tuple[int, int, str]]:
    """(sample, code, note) of each annotation; RecordError unless the end mark closes the file."""
    at, time = 0, 0
    pending: tuple[int, int, str] | None = None
    while True:
        if at + 2 > len(raw):
            raise RecordError(f"{file}: truncated at byte {at}, before its end mark. Fetch the file again.")
        word = raw[at] | raw[at + 1] << 8
        code, value = word >> 10, word & 0x3FF
        at += 2
        if code == _AUX:
            if value > MAX_NOTE:  # readers differ: some take the low byte of the length only
                refuse(file, f"length of the note at byte {at}", value, f"up to {MAX_NOTE}")
            note = raw[at : at + value]
            if len(note) < value or pending is None:
                raise RecordError(f"{file}: damaged note at byte {at}. Fetch the file again.")
            pending = (pending[0], pending[1], note.rstrip(b"\x00").decode("latin-1"))
            at += value + value % 2
        elif code == _SKIP:
            if at + 4 > len(raw):
                raise RecordError(f"{file}: truncated at byte {at}, inside a time skip. Fetch it again.")
            high_word, low_word = raw[at : at + 2], raw[at + 2 : at + 4]
            time += int.from_bytes(low_word + high_word, "little", signed=True)
            at += 4
        elif code in (_NUM, _SUB, _CHN):
            continue
        else:
            if pending is not None:
                yield pending
            if word == 0:
                break
            if code >= len(_SYMBOLS):
                refuse(file, f"annotation code at byte {at - 2}", code, f"0 to {len(_SYMBOLS) - 1}")
            time += value
            # Code 0 with a step only moves the time: tools write it to close the preamble.
            pending = (time, code, "") if code else None
    if any(raw[at:]):
        raise RecordError(f"{file}: data after its end mark at byte {at}. Fetch the file again.")


def _without_preamble(
    file: Path, items: list[tuple[int, int, str]]
) -> tuple[list[tuple[int, int, str]], float | None]:
    """Drop the notes at sample 0 that carry time resolution and type definitions."""
    fs = None
    start = 0
    defining = False
    for sample, code, aux in items:
        opens = aux.startswith("## ")
        if sample != 0 or code != _NOTE or not (opens or defining):
            break
        if aux.startswith("## time resolution:"):
            fs = _resolution(file, aux.partition(":")[2])
        defining = aux.startswith("## annotation type definitions") or (defining and not opens)
        start += 1
    return items[start:], fs


def _resolution(file: Path, text: str) -> float:
    try:
        fs = float(text)
    except ValueError:
        fs = float("nan")
    if not 0 < fs <= 1e6:
        refuse(file, "time resolution", text.strip(), "over 0 and up to 1e6 Hz")
    return fs


def _check_times(file: Path, samples: NDArray[np.int64], n_samples: int | None) -> None:
    if samples.size == 0:
        return
    if np.any(np.diff(samples) < 0):
        i = int(np.flatnonzero(np.diff(samples) < 0)[0])
        refuse(
            file,
            f"sample of annotation {i + 1}",
            int(samples[i + 1]),
            f"{samples[i]} or later, in time order",
        )
    if samples[0] < 0:
        refuse(file, "first sample", int(samples[0]), "0 or more")
    if n_samples is not None and samples[-1] >= n_samples:
        refuse(file, "last sample", int(samples[-1]), f"below {n_samples}, the length of the record")


def encode_annotations(marks: Iterable[tuple[int, str, str]]) -> bytes:
    """Bytes of an annotation file, the same that ``wfdb.wrann`` writes.

    Parameters
    ----------
    marks : iterable of (sample, symbol, note)
        In time order.

    Raises
    ------
    RecordError
        If times decrease or start below 0, a symbol is unknown, or a note is longer than 255 bytes or not
        printable ASCII (a longer one would be cut without a word).
    """
    out = bytearray()
    before = 0
    for sample, symbol, note in marks:
        if symbol not in _CODES:
            raise RecordError(f"annotation at {sample}: symbol {symbol!r}; allowed: {' '.join(_CODES)}.")
        if sample < before:
            raise RecordError(f"annotation at {sample}: comes after {before}; allowed: 0 or more, in order.")
        out += _encode_time(sample - before, _CODES[symbol])
        if note:
            out += _encode_note(sample, note)
        before = sample
    return bytes(out + b"\x00\x00")


def _encode_time(gap: int, code: int) -> bytes:
    skips = bytearray()
    while gap > 1023:
        step = min(gap, 0x7FFFFFFF)
        skips += (_SKIP << 10).to_bytes(2, "little")
        skips += (step >> 16).to_bytes(2, "little") + (step & 0xFFFF).to_bytes(2, "little")
        gap -= step
    return bytes(skips) + (code << 10 | gap).to_bytes(2, "little")


def _encode_note(sample: int, note: str) -> bytes:
    if not (note.isascii() and note.isprintable()) or len(note) > MAX_NOTE:
        raise RecordError(
            f"annotation at {sample}: note of {len(note)} characters {note[:20]!r}; "
            f"allowed: printable ASCII, at most {MAX_NOTE}. Shorten it."
        )
    text = note.encode("ascii")
    return (_AUX << 10 | len(text)).to_bytes(2, "little") + text + b"\x00" * (len(text) % 2)
