"""Samples of a WFDB record in one piece, held against its header: ``signal(5)`` of the WFDB guide."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import RecordError
from ecgsynth.wfdb_io.header import Header, SignalLine, readable, refuse

#: Most samples of one record over all leads: as ADC units and in mV with what decoding takes they stay below
#: 2 GB. 24 h of three leads at 360 Hz are 93 million.
MAX_SAMPLES = 100_000_000
#: The same for formats read through the wfdb library, which holds several copies.
MAX_LIBRARY_SAMPLES = 12_000_000
#: Most samples per byte of a FLAC file: of ECG it makes about one, of a constant thousands.
MAX_EXPANSION = 64


def _f212(raw: NDArray[np.uint8], n: int) -> NDArray[np.int32]:
    padded = np.zeros(3 * ((n + 1) // 2), dtype=np.uint8)
    padded[: raw.size] = raw
    low, middle, high = padded[0::3], padded[1::3], padded[2::3]
    values = np.empty(2 * low.size, dtype=np.int32)
    # The sign bit is the 12th: shifted to the top and back, it fills what is above.
    values[0::2] = (low | (middle & 0x0F).astype(np.int32) << 8) << 20 >> 20
    values[1::2] = (high | (middle & 0xF0).astype(np.int32) << 4) << 20 >> 20
    return values[:n]


def _f24(raw: NDArray[np.uint8], n: int) -> NDArray[np.int32]:
    wide = np.zeros((n, 4), dtype=np.uint8)
    wide[:, 1:] = raw.reshape(n, 3)
    return wide.view("<i4").reshape(-1) >> 8


@dataclass(frozen=True)
class _Format:
    """How many bytes hold n samples, what marks an invalid one, and how to decode them."""

    size: Callable[[int], int]
    invalid: int | None
    decode: Callable[[NDArray[np.uint8], int], NDArray[np.int32]] | None = None


#: Formats without a decoder are read through the wfdb library.
FORMATS: dict[str, _Format] = {
    "16": _Format(lambda n: 2 * n, -(1 << 15), lambda raw, n: raw.view("<i2").astype(np.int32)),
    "61": _Format(lambda n: 2 * n, -(1 << 15), lambda raw, n: raw.view(">i2").astype(np.int32)),
    "160": _Format(lambda n: 2 * n, -(1 << 15), lambda raw, n: raw.view("<u2").astype(np.int32) - 32768),
    "80": _Format(lambda n: n, -(1 << 7), lambda raw, n: raw.astype(np.int32) - 128),
    "212": _Format(lambda n: (3 * n + 1) // 2, -(1 << 11), _f212),
    "24": _Format(lambda n: 3 * n, -(1 << 23), _f24),
    "32": _Format(lambda n: 4 * n, -(1 << 31), lambda raw, n: raw.view("<i4").astype(np.int32)),
    "8": _Format(lambda n: n, None),
    "310": _Format(lambda n: (4 * n + 2) // 3, -(1 << 9)),
    "311": _Format(lambda n: (4 * n + 2) // 3, -(1 << 9)),
    "508": _Format(lambda n: 0, -(1 << 7)),
    "516": _Format(lambda n: 0, -(1 << 15)),
    "524": _Format(lambda n: 0, -(1 << 23)),
}


def read_digital(header: Header) -> NDArray[np.int32]:
    """The samples [leads, samples] in ADC units as stored, sizes checked before memory is taken.

    Raises
    ------
    RecordError
        If a format is unknown, a signal file is not as long as the header declares, or the record is in
        segments (`read_record` joins them).
    """
    if header.segments:
        refuse(header.path, "number of segments", len(header.segments), "one", "Read it with read_record.")
    groups = [list(group) for _, group in itertools.groupby(header.signals, key=lambda line: line.file)]
    if len({group[0].file for group in groups}) < len(groups):
        refuse(header.path, "signal files", "interleaved lines", "the lines of one file next to each other")
    lengths = {_checked_length(header, group) for group in groups}
    if len(lengths) > 1:
        refuse(header.path, "number of samples", sorted(lengths), "the same for every signal file")
    n = lengths.pop()
    library = any(FORMATS[line.fmt].decode is None for line in header.signals)
    check_memory(header, n, MAX_LIBRARY_SAMPLES if library else MAX_SAMPLES)
    if library:
        return _through_library(header, n)
    return np.concatenate([_decode(group, n) for group in groups])


def check_memory(header: Header, n: int, most: int = MAX_SAMPLES) -> None:
    """Refuse a record of `n` samples per signal that would not fit, before memory is taken for it."""
    if n * len(header.signals) > most:
        allowed = f"at most {most // len(header.signals)} of {len(header.signals)} signals"
        refuse(header.path, "number of samples", n, allowed, "Cut it up with the WFDB tool snip.")


def _checked_length(header: Header, group: list[SignalLine]) -> int:
    """Number of samples per signal of one file, if its size agrees."""
    first, width = group[0], len(group)
    if any((line.fmt, line.offset) != (first.fmt, first.offset) for line in group):
        refuse(header.path, f"format of {first.file.name}", "mixed", "one format and offset per file")
    if first.fmt not in FORMATS:
        refuse(header.path, f"format of {first.file.name}", first.fmt, ", ".join(FORMATS))
    if first.fmt.startswith("5"):
        return _flac_length(header, first, width)
    size = first.file.stat().st_size - first.offset
    need = FORMATS[first.fmt].size
    n = header.n_samples
    if n is None:
        n = int(size / need(1_000_000) * 1_000_000) // width
    if n < 1 or size < need(n * width):
        refuse(
            header.path,
            f"size of {first.file.name}",
            first.file.stat().st_size,
            f"{need(n * width) + first.offset} bytes for {n} samples of {width} signals",
            "The file is truncated or another record's; fetch it again.",
        )
    # Formats pad to a block of 4 bytes; anything longer is only believed if checksums vouch for the rest.
    if size - need(n * width) >= 4 and any(line.checksum is None for line in group):
        refuse(header.path, f"size of {first.file.name}", size + first.offset, f"{need(n * width)} bytes")
    return n


def _flac_length(header: Header, line: SignalLine, width: int) -> int:
    with readable(line.file), line.file.open("rb") as file:
        start = file.read(26)
    if start[:4] != b"fLaC" or len(start) < 26:
        raise RecordError(f"{line.file}: is not a FLAC file as format {line.fmt} asks. Fetch it again.")
    # STREAMINFO, the first block, ends its second 8 bytes of numbers with 36 bits of length (RFC 9639, 8.2).
    frames = int.from_bytes(start[18:], "big") & ((1 << 36) - 1)
    size = line.file.stat().st_size
    if frames * width > MAX_EXPANSION * size:
        refuse(line.file, "number of samples", frames, f"at most {MAX_EXPANSION} to a byte of its {size}")
    if header.n_samples not in (None, frames):
        refuse(header.path, "number of samples", header.n_samples, f"{frames}, as in {line.file.name}")
    return frames


def _decode(group: list[SignalLine], n: int) -> NDArray[np.int32]:
    fmt, width = FORMATS[group[0].fmt], len(group)
    with readable(group[0].file):
        raw = np.fromfile(group[0].file, np.uint8, count=fmt.size(n * width), offset=group[0].offset)
    if raw.size != fmt.size(n * width) or fmt.decode is None:
        raise RecordError(f"{group[0].file}: changed while it was read. Read it again.")
    return np.ascontiguousarray(fmt.decode(raw, n * width).reshape(n, width).T)


def _through_library(header: Header, n: int) -> NDArray[np.int32]:
    import wfdb

    base = str(header.path.resolve().with_suffix(""))
    try:
        found = wfdb.rdrecord(base, physical=False, return_res=32).d_signal
    except Exception as error:
        # The library raises bare exceptions of every kind on damaged files.
        raise RecordError(
            f"{header.path}: wfdb cannot decode the samples ({error}). Fetch it again."
        ) from None
    if found is None or found.shape != (n, len(header.signals)):
        raise RecordError(f"{header.path}: wfdb decoded another number of samples than the header declares.")
    return np.ascontiguousarray(found.T.astype(np.int32))


def check_samples(header: Header, digital: NDArray[np.int32]) -> bool:
    """Hold samples [leads, samples] against the header's checksums and initial values.

    Returns
    -------
    bool
        True if every signal had a checksum to be held against.

    Raises
    ------
    RecordError
        At the first signal that does not match.
    """
    stated = [line.checksum for line in header.signals]
    absent = all(line.file.suffix == ".mat" and not line.checksum for line in header.signals)
    for i, (line, values) in enumerate(zip(header.signals, digital, strict=True)):
        total = int(values.sum(dtype=np.int64)) % 65536
        if line.checksum is not None and not absent and total != line.checksum:
            refuse(
                header.path,
                f"checksum of signal {i} ({line.lead!r})",
                total,
                f"{line.checksum}, as the header states",
                f"{line.file.name} is damaged; fetch it again.",
            )
        if line.init is not None and int(values[0]) != line.init:
            refuse(header.path, f"first sample of signal {i}", int(values[0]), f"{line.init}, as stated")
    return not absent and all(value is not None for value in stated)
