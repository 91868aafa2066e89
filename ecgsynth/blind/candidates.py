"""Strips that could go on a blind sheet, of either side, all brought into one form.

Nothing of the form may tell who made a strip: both sides get one sampling rate, one pass band, one step of
the samples, and lose the second at either end in which a filter has not settled.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OptionError
from ecgsynth.records import Record
from ecgsynth.report.folders import open_folder
from ecgsynth.report.leads import FAMILY, UNNAMED, standard_leads
from ecgsynth.report.strips import place_in_line
from ecgsynth.report.survey import bandwidth_of
from ecgsynth.windows import Window, fault, find_windows, resample

Truth = Literal["real", "synthetic"]

#: Seconds on paper, and seconds beside them that the filter needs.
SECONDS: Final = 8.0
MARGIN_S: Final = 1.0
FS: Final = 250.0
#: Pass band in Hz: the monitoring band of ECG machines (Kligfield et al., Circulation 115:1306-1324, 2007),
#: which every database holds, so that no device is told by its own band.
BAND: Final = (0.5, 40.0)
#: Step of the samples in mV: the coarsest converter among the databases (200 steps per mV, MIT-BIH).
STEP_MV: Final = 0.005


@dataclass(frozen=True)
class Candidate:
    """One strip.

    Attributes
    ----------
    truth : {"real", "synthetic"}
    rhythm : str
    lead : str
        In standard spelling; MLII counts as II, and ``ECG`` is one whose place nobody wrote down.
    person, record : str
        For synthetic strips the record is its own person.
    start : float
        Second of the record at which the strip begins.
    place : int
        Drawn from the seed and the names: lower ones are taken first.
    signal : float32 array [samples]
        `SECONDS` at `FS`, in mV.
    """

    truth: Truth
    rhythm: str
    lead: str
    person: str
    record: str
    start: float
    place: int
    signal: NDArray[np.float32]


@dataclass
class Pool:
    """Candidates of one side.

    Attributes
    ----------
    strips : list of Candidate
    left_out : Counter of str
        Strips that were not fit, by reason.
    unreadable : int
        Records that could not be read.
    """

    strips: list[Candidate]
    left_out: Counter[str]
    unreadable: int = 0


def gather(folders: Sequence[Path], truth: Truth, rhythms: Sequence[str], per_person: int, seed: int) -> Pool:
    """Candidates of one side: of each person, rhythm and lead the ``per_person`` with the lowest places.

    Raises
    ------
    RecordError
        If a folder is missing or holds no record.
    OptionError
        If a record of the real side says that it is synthetic.
    """
    kept: dict[tuple[str, str, str], list[Candidate]] = defaultdict(list)
    pool = Pool([], Counter())
    for path in folders:
        folder = open_folder(path)
        for record in folder.records():
            if truth == "real" and "synthetic" in record.extra:
                raise OptionError(
                    f"--real {path}: {record.name} says that it is synthetic; the real side takes recordings "
                    "of people only. Give it as --synthetic."
                )
            for strip in _strips(record, truth, rhythms, per_person, seed, pool.left_out):
                own = kept[strip.rhythm, strip.lead, strip.person]
                own.append(strip)
                own.sort(key=lambda s: s.place)
                del own[per_person:]
        pool.unreadable += len(folder.unreadable)
    pool.strips = sorted((s for own in kept.values() for s in own), key=lambda s: s.place)
    return pool


def _strips(
    record: Record, truth: Truth, rhythms: Sequence[str], most: int, seed: int, left_out: Counter[str]
) -> list[Candidate]:
    """At most ``most`` places in the record per rhythm, in every lead whose name is known."""
    if bandwidth_of(record) < BAND[1]:
        left_out[f"band under {BAND[1]:g} Hz"] += 1
        return []
    found = []
    length = SECONDS + 2 * MARGIN_S
    for rhythm in rhythms:
        windows = list(find_windows(record, length, length, rhythm=rhythm))
        windows.sort(key=lambda w: place_in_line(seed, truth, record.subject, record.name, w.start))
        for window in windows[:most]:
            found += _leads(record, window, truth, rhythm, seed, left_out)
    return found


def _leads(
    record: Record, window: Window, truth: Truth, rhythm: str, seed: int, left_out: Counter[str]
) -> list[Candidate]:
    part = record.slice(window.start, window.stop)
    found = []
    for row, name in enumerate(standard_leads(record.leads)):
        lead = UNNAMED if name.startswith(UNNAMED) else FAMILY.get(name, name)
        reason = fault(part.signal[row], part.fs)
        if reason is not None:
            left_out[reason] += 1
            continue
        person = record.subject if truth == "real" else f"{record.source}/{record.name}"
        place = place_in_line(seed, truth, record.subject, record.name, window.start, lead)
        start = window.start / record.fs + MARGIN_S
        signal = one_form(part.pick((record.leads[row],)))
        found.append(Candidate(truth, rhythm, lead, person, record.name, start, place, signal))
    return found


def one_form(part: Record) -> NDArray[np.float32]:
    """The strip [samples] in mV: resampled, in `BAND`, without its margins, median 0, in steps of `STEP_MV`.

    Zero-phase Butterworth filter of second order, run both ways.
    """
    from scipy.signal import butter, sosfiltfilt

    signal = resample(part, FS).signal[0].astype(np.float64)
    passed = sosfiltfilt(butter(2, BAND, "bandpass", fs=FS, output="sos"), signal)
    first = round(MARGIN_S * FS)
    shown = passed[first : first + round(SECONDS * FS)]
    return np.asarray(np.round((shown - np.median(shown)) / STEP_MV) * STEP_MV, dtype=np.float32)
