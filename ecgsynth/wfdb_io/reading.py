"""Whole WFDB records in mV, in one piece or joined from segments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgsynth.wfdb_io.header import UNITS_IN_MV, Header, refuse
from ecgsynth.wfdb_io.segments import piece, read_header
from ecgsynth.wfdb_io.signals import FORMATS, check_memory, check_samples, read_digital

#: Largest amplitude in mV: QRS complexes reach about 5, electrode artefacts of real recordings 11.
MAX_MV = 20.0
#: Leads that everybody means the same by, in lower case.
STANDARD_LEADS = frozenset(
    ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6", "mlii", "mliii")
)
#: Samples converted at a time, so that what double precision takes does not count.
_BLOCK = 1 << 20
#: ADC value where no segment of a record holds a signal.
GAP = -(1 << 31)


@dataclass(frozen=True)
class RawRecord:
    """A record as stored.

    Attributes
    ----------
    name : str
        File name without suffix.
    signal : float32 array [leads, samples]
        In mV; NaN where the file holds its format's invalid-sample value.
    digital : int32 array [leads, samples]
        ADC units as stored.
    fs : float
        Sampling rate in Hz.
    leads : tuple of str
        Signal descriptions.
    gains : tuple of float
        ADC units per mV used for `signal`.
    units : tuple of str
        Units as the header states them.
    comments : tuple of str
    verified : bool
        True where every signal was held against a checksum that the header gives.
    """

    name: str
    signal: NDArray[np.float32]
    digital: NDArray[np.int32]
    fs: float
    leads: tuple[str, ...]
    gains: tuple[float, ...]
    units: tuple[str, ...]
    comments: tuple[str, ...]
    verified: bool


def read_record(
    path: Path,
    *,
    root: Path | None = None,
    verify_checksum: bool = True,
    common_gain: float | None = None,
    max_mv: float = MAX_MV,
) -> RawRecord:
    """Read one WFDB record in mV, checking everything its header claims.

    Parameters
    ----------
    path : Path
        The record, with or without ``.hea``.
    root : Path, optional
        Folder that every file of the record must lie in, links resolved; default: the record's own.
    verify_checksum : bool
        Compare the 16-bit sums and initial values with the header's. All-zero checksums beside a
        ``.mat`` file mean that none are given (CinC 2017); `RawRecord.verified` is then False.
    common_gain : float, optional
        ADC units per mV for all leads instead of the header's gains, and zero for the baselines: for
        LUDB, whose leads each have a gain of their own that is not in mV.
    max_mv : float
        Largest amplitude; more is another unit or gain than the header says.

    Raises
    ------
    RecordError
        If anything is missing, damaged, not in volts, or contradicts itself.

    Examples
    --------
    >>> read_record(Path("mitdb/100")).signal.shape  # doctest: +SKIP
    (2, 650000)
    """
    header = read_header(path, root=root)
    _check_leads(header)
    gains = tuple(_gain_per_mv(header, i, common_gain) for i in range(len(header.signals)))
    if header.segments:
        signal, digital, verified = _join(header, root, verify_checksum, common_gain)
    else:
        signal, digital, verified = _read_piece(header, verify_checksum, common_gain)
    for i, values in enumerate(signal):
        worst = max(float(np.fmax.reduce(values)), -float(np.fmin.reduce(values)))
        if worst > max_mv:
            found = f"{worst:.4g} mV"
            refuse(
                header.path, f"signal {i} amplitude", found, f"up to {max_mv:g} mV", "Check unit and gain."
            )
    return RawRecord(
        name=header.path.stem,
        signal=signal,
        digital=digital,
        fs=header.fs,
        leads=tuple(line.lead for line in header.signals),
        gains=gains,
        units=tuple(line.units for line in header.signals),
        comments=header.comments,
        verified=verified,
    )


def _read_piece(
    header: Header, verify_checksum: bool, common_gain: float | None
) -> tuple[NDArray[np.float32], NDArray[np.int32], bool]:
    """Signal in mV, ADC units, and whether checksums vouch for them, of a record in one piece."""
    gains = [_gain_per_mv(header, i, common_gain) for i in range(len(header.signals))]
    digital = read_digital(header)
    verified = check_samples(header, digital) if verify_checksum else False
    signal = np.empty(digital.shape, dtype=np.float32)
    for row, line, gain, values in zip(signal, header.signals, gains, digital, strict=True):
        baseline = np.int64(line.baseline if common_gain is None else 0)
        invalid = FORMATS[line.fmt].invalid
        for start in range(0, values.size, _BLOCK):
            part = values[start : start + _BLOCK]
            with np.errstate(over="ignore"):  # infinite where the gain is absurd: over any limit
                row[start : start + _BLOCK] = (part - baseline) / gain
            if invalid is not None:
                row[start : start + _BLOCK][part == invalid] = np.nan
    return signal, digital, verified


def _join(
    header: Header, root: Path | None, verify_checksum: bool, common_gain: float | None
) -> tuple[NDArray[np.float32], NDArray[np.int32], bool]:
    """The same of a record of segments: signals by their description; NaN and `GAP` where there is none."""
    n = header.n_samples or 0
    check_memory(header, n)
    rows = {line.lead: i for i, line in enumerate(header.signals)}
    if len(rows) < len(header.signals):
        refuse(header.path, "signal descriptions", "repeated", "each once, as segments are joined by them")
    signal = np.full((len(rows), n), np.nan, dtype=np.float32)
    digital = np.full((len(rows), n), GAP, dtype=np.int32)
    start, verified = 0, verify_checksum
    for segment in header.segments:
        stop = start + segment.n_samples
        if segment.path is not None:
            part = piece(header.path, segment.path, header.fs, root)
            if part.n_samples != segment.n_samples:
                refuse(
                    segment.path,
                    "number of samples",
                    part.n_samples,
                    f"{segment.n_samples}, as in the record",
                )
            unknown = [line.lead for line in part.signals if line.lead not in rows]
            if unknown or len({line.lead for line in part.signals}) < len(part.signals):
                refuse(segment.path, "signal descriptions", [s.lead for s in part.signals], ", ".join(rows))
            values, units, vouched = _read_piece(part, verify_checksum, common_gain)
            at = [rows[line.lead] for line in part.signals]
            signal[at, start:stop], digital[at, start:stop] = values, units
            verified = verified and vouched
        start = stop
    return signal, digital, verified


def _check_leads(header: Header) -> None:
    """Refuse a standard lead that is there twice: whoever asks for it would get either."""
    names = [line.lead.casefold() for line in header.signals]
    for i, name in enumerate(names):
        if name in STANDARD_LEADS and name in names[:i]:
            found = header.signals[i].lead
            refuse(header.path, f"signal {i} description", found, "each standard lead once", "Name it apart.")


def _gain_per_mv(header: Header, index: int, common_gain: float | None) -> float:
    line = header.signals[index]
    if common_gain is not None:
        return common_gain
    unit = UNITS_IN_MV.get(line.units)
    if unit is None:
        refuse(header.path, f"signal {index} unit", line.units, "mV, uV", "Convert the record to mV.")
    if line.gain <= 0:
        refuse(
            header.path, f"signal {index} gain", line.gain, "a finite number over 0", "Calibrate it first."
        )
    return line.gain / unit
