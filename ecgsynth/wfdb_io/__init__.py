"""The only room that knows the WFDB format and library: guarded reading, exact and fast writing.

The common formats are read and written here, in numpy; the rare ones (differences, 10 bit, FLAC) go
through the wfdb library, imported only then. Reading trusts nothing: what a header declares is checked
before memory is taken for it, and samples are held against their checksums.
"""

from __future__ import annotations

from ecgsynth.wfdb_io.annotations import RawAnnotations, encode_annotations, read_beats_and_marks
from ecgsynth.wfdb_io.header import Header, Segment, SignalLine
from ecgsynth.wfdb_io.reading import MAX_MV, RawRecord, read_record
from ecgsynth.wfdb_io.segments import read_header
from ecgsynth.wfdb_io.signals import check_samples, read_digital
from ecgsynth.wfdb_io.writing import encode_record, to_digital, write_record

__all__ = [
    "MAX_MV",
    "Header",
    "RawAnnotations",
    "RawRecord",
    "Segment",
    "SignalLine",
    "check_samples",
    "encode_annotations",
    "encode_record",
    "read_beats_and_marks",
    "read_digital",
    "read_header",
    "read_record",
    "to_digital",
    "write_record",
]
