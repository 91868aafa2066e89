"""Exact and fast writing of WFDB records: format 16 at 1,000 ADC units/mV, baseline 0.

The bytes are those that ``wfdb.wrsamp`` and ``wfdb.wrann`` write for the same integers; the error
of rounding is at most 0.5 uV, and reading them back gives the same integers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OutputError, RecordError
from ecgsynth.records import Beats
from ecgsynth.wfdb_io.annotations import encode_annotations
from ecgsynth.wfdb_io.header import MAX_FS

#: ADC units per mV of everything written.
GAIN = 1000
#: Largest sample in ADC units; -32,768 is the format's mark for an invalid sample.
LIMIT = 32767
#: A limb lead is derived in integers if it agrees with I and II to this many ADC units (uV) in floats:
#: more than float32 and filtering leave behind, less than what the lead-algebra gate rejects (5 uV).
ALGEBRA_TOLERANCE = 2.0

_NAME = re.compile(r"[A-Za-z0-9_-]+")
#: Limb leads as (I, II) weights times two, so that halves stay integers.
_DERIVED = {"III": (-2, 2), "aVR": (-1, -1), "aVL": (2, -1), "aVF": (-1, 2)}


def to_digital(signal: NDArray[np.float32], leads: Sequence[str]) -> NDArray[np.int16]:
    """Quantise to ADC units at 1,000/mV so that limb-lead algebra survives the rounding.

    Where I and II are present, the other limb leads are computed from their integers:
    III = II - I exactly, and aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2 to within half a unit
    (halves are rounded to even). They are then within 1.25 uV of `signal`, all others within 0.5 uV. A
    lead that does not follow from I and II within `ALGEBRA_TOLERANCE` is
    rounded as it is, so that the fault stays visible.

    Parameters
    ----------
    signal : float32 array [leads, samples]
        In mV.
    leads : sequence of str
        One name per row; limb leads are recognised in any case.

    Returns
    -------
    int16 array [leads, samples]

    Raises
    ------
    RecordError
        If a sample is NaN, infinite or beyond +-32.767 mV.
    """
    if signal.ndim != 2 or signal.shape[0] != len(leads) or signal.shape[1] == 0:
        raise RecordError(f"signal has shape {signal.shape}; allowed: [{len(leads)}, 1 or more].")
    scaled = np.multiply(signal, np.float32(GAIN), dtype=np.float32)
    rounded = np.rint(scaled)
    for i, lead in enumerate(leads):
        _check_range(lead, rounded[i])
    digital = rounded.astype(np.int32)
    rows = {lead.casefold(): i for i, lead in enumerate(leads)}
    if "i" in rows and "ii" in rows:
        one, two = rows["i"], rows["ii"]
        for lead, (a, b) in _DERIVED.items():
            row = rows.get(lead.casefold())
            if row is None:
                continue
            ideal = (a * scaled[one] + b * scaled[two]) / 2
            if float(np.abs(ideal - scaled[row]).max()) <= ALGEBRA_TOLERANCE:
                digital[row] = _half_to_even(a * digital[one] + b * digital[two])
                _check_range(lead, digital[row])
    return digital.astype(np.int16)


def _half_to_even(doubled: NDArray[np.int32]) -> NDArray[np.int32]:
    """``doubled / 2`` rounded half to even, in integers."""
    floor = doubled >> 1
    return floor + (doubled & 1 & floor)


def _check_range(lead: str, values: NDArray[np.float32] | NDArray[np.int32]) -> None:
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RecordError(f"lead {lead}: holds NaN or infinity; allowed: finite mV. Fill or cut gaps first.")
    if low < -LIMIT or high > LIMIT:
        worst = max(-low, high) / GAIN
        raise RecordError(
            f"lead {lead}: reaches {worst:.3f} mV; allowed: +-{LIMIT / GAIN} mV. Check its unit."
        )


def check_name(name: str) -> str:
    """`name`, if PhysioNet's rule allows it: letters, digits, hyphen and underscore.

    Raises
    ------
    OutputError
    """
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise OutputError(f"record name {name!r}; allowed: 1 to 64 letters, digits, underscores and hyphens.")
    return name


def _check_text(kind: str, text: str) -> str:
    if not text or not (text.isascii() and text.isprintable()) or text != text.strip():
        raise RecordError(f"{kind} {text!r}; allowed: one line of printable ASCII, no blanks around it.")
    return text


def encode_record(
    name: str,
    signal: NDArray[np.float32],
    fs: float,
    leads: Sequence[str],
    comments: Sequence[str] = (),
    *,
    beats: Beats | None = None,
    marks: Sequence[tuple[int, str]] = (),
) -> dict[str, bytes]:
    """The files of one record as bytes, in the order to write them: samples first, header last.

    Parameters
    ----------
    name : str
        Letters, digits, underscores and hyphens.
    signal : float32 array [leads, samples]
        In mV.
    fs : float
        Sampling rate in Hz.
    leads : sequence of str
        One name per row of `signal`.
    comments : sequence of str
        Header comment lines without ``#``.
    beats : Beats, optional
        Written to ``.atr``, at the record's fs.
    marks : sequence of (sample, note)
        Rhythm changes (``+``), such as ``(0, "(AFIB")``; before a beat on the same sample.

    Raises
    ------
    OutputError
        If the name breaks PhysioNet's rule.
    RecordError
        If samples, rate, leads, comments or annotations cannot be stored exactly.
    """
    check_name(name)
    if not (math.isfinite(fs) and 0 < fs <= MAX_FS):
        raise RecordError(f"{name}: sampling rate is {fs}; allowed: over 0 and up to {MAX_FS:g} Hz.")
    try:
        digital = to_digital(signal, leads)
        files = {f"{name}.dat": np.ascontiguousarray(digital.T, dtype="<i2").tobytes()}
        if beats is not None or marks:
            files[f"{name}.atr"] = _annotations(beats, marks, digital.shape[1])
        files[f"{name}.hea"] = _header(name, digital, fs, leads, comments)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from None
    return files


def _annotations(beats: Beats | None, marks: Sequence[tuple[int, str]], n_samples: int) -> bytes:
    rows = [(int(sample), 0, "+", aux) for sample, aux in marks]
    if beats is not None:
        rows += [(s, 1, c, "") for s, c in zip(beats.samples.tolist(), beats.symbols, strict=True)]
    rows.sort(key=lambda row: row[:2])
    if rows and rows[-1][0] >= n_samples:
        raise RecordError(f"annotation at {rows[-1][0]}: allowed: below {n_samples}, the record's length.")
    return encode_annotations((sample, symbol, aux) for sample, _, symbol, aux in rows)


def _header(
    name: str, digital: NDArray[np.int16], fs: float, leads: Sequence[str], comments: Sequence[str]
) -> bytes:
    rate = f"{int(fs)}" if float(fs).is_integer() else repr(float(fs))
    lines = [f"{name} {len(leads)} {rate} {digital.shape[1]}"]
    sums = digital.sum(axis=1, dtype=np.int64) % 65536
    for lead, first, total in zip(leads, digital[:, 0], sums, strict=True):
        lines.append(f"{name}.dat 16 {GAIN}(0)/mV 16 0 {first} {total} 0 {_check_text('lead name', lead)}")
    lines += [f"# {_check_text('comment', comment)}" for comment in comments]
    return ("\n".join(lines) + "\n").encode("ascii")


def write_record(
    folder: Path,
    name: str,
    signal: NDArray[np.float32],
    fs: float,
    leads: Sequence[str],
    comments: Sequence[str] = (),
    *,
    beats: Beats | None = None,
    marks: Sequence[tuple[int, str]] = (),
) -> dict[str, bytes]:
    """Write one record into an existing folder; parameters and errors as in `encode_record`.

    The header is written last, so a folder never holds a header whose samples are missing.

    Returns
    -------
    dict of str to bytes
        What was written, by file name, so that a caller can hash it without reading it back.

    Raises
    ------
    OutputError
        If a file of that name exists or cannot be written.
    """
    files = encode_record(name, signal, fs, leads, comments, beats=beats, marks=marks)
    for file, content in files.items():
        try:
            with open(folder / file, "xb") as out:
                out.write(content)
        except FileExistsError:
            raise OutputError(f"{folder / file}: exists already; allowed: one record per name.") from None
        except OSError as error:
            raise OutputError(f"{folder / file}: cannot be written ({error.strerror}). Free space?") from None
    return files
