"""Everything the gate measures on a stretch of signal, whatever its label.

Records of any sampling rate are brought to 250 Hz first, so that a number means the same for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.atrial import atrial_evidence
from ecgsynth.fidelity.bandwidth import bandwidth_numbers
from ecgsynth.fidelity.beatshape import BeatShape, beat_shape, remove_baseline
from ecgsynth.fidelity.change import drift_numbers, split_numbers
from ecgsynth.fidelity.leads import lead_numbers, rows_of_eight
from ecgsynth.fidelity.morphology import morphology_numbers
from ecgsynth.fidelity.quality import quality_numbers, second_detector
from ecgsynth.fidelity.rhythm import agreement, rhythm_numbers
from ecgsynth.fidelity.steadiness import noise_steadiness, steadiness_numbers
from ecgsynth.fidelity.waves import median_waves, wave_numbers
from ecgsynth.records import Record

Array = NDArray[np.float64]

#: The rate at which everything is measured, in Hz.
FS = 250.0
#: Signal around a stretch that the detector may run in on, in seconds.
RUN_IN = 1.0
#: Length of the still tail that the detector gets, in seconds.
TAIL_S = 0.8
#: Leads of a record that are compared along the strip, where it does not have the eight independent ones.
MOST_LEADS = 8
#: Leads in which QRS and P wave are both clear; taken before others of about equal QRS energy.
GOOD_LEADS = ("II", "MLII", "I")
#: Leads whose P, QRS and T are looked for beside those of the lead to measure, where a record has them.
WAVE_LEADS = ("I", "II", "V2", "V5")


@dataclass(frozen=True)
class Measured:
    """Numbers of one stretch, and where its beats are.

    Attributes
    ----------
    numbers : dict of str to float
        Absent where something cannot be assessed.
    peaks, second : int64 array [beats]
        Beats of the two detectors in samples of the record at its own rate, from the start of the stretch.
    lead : str
        Name of the lead that was measured.
    clean : float64 array [samples]
        That lead at `FS`, in mV, without its baseline.
    marks : int64 array [beats]
        ``peaks`` in samples of ``clean``.
    """

    numbers: dict[str, float]
    peaks: NDArray[np.int64]
    second: NDArray[np.int64]
    lead: str
    clean: Array
    marks: NDArray[np.int64]

    def agreement(self, marked: NDArray[np.int64], fs: float, n_samples: int) -> dict[str, float]:
        """``sensitivity`` and ``precision`` of marked beats against the detector that agrees better.

        Those against either one end in ``_1`` and ``_2``.
        """
        found: dict[str, float] = {}
        for name, beats in (("1", self.peaks), ("2", self.second)):
            for key, value in agreement(marked, beats, fs, n_samples).items():
                found[f"{key}_{name}"] = value
                found[key] = max(value, found.get(key, 0.0))
        return found


@dataclass(frozen=True)
class _Stretch:
    """A stretch at `FS`: the lead to measure first, its names, its beats."""

    level: Array
    clean: Array
    peaks: NDArray[np.int64]
    second: NDArray[np.int64]
    names: tuple[str, ...]
    scale: float


def at_common_rate(signal: NDArray[np.floating], fs: float) -> Array:
    """Signal [leads, samples] at 250 Hz, by Fourier interpolation; a line between the ends goes first."""
    level = np.asarray(signal, dtype=np.float64)
    if fs == FS:
        return level
    n = level.shape[1]
    out = max(2, round(n * FS / fs))
    edge = max(1, min(n // 10, round(0.1 * fs)))
    start, stop = level[:, :edge].mean(1, keepdims=True), level[:, -edge:].mean(1, keepdims=True)
    line = start + (stop - start) * np.linspace(0.0, 1.0, n)
    spectrum = np.fft.rfft(level - line)
    moved = np.zeros((len(level), out // 2 + 1), dtype=complex)
    kept = min(spectrum.shape[1], moved.shape[1])
    moved[:, :kept] = spectrum[:, :kept]
    return np.asarray(
        np.fft.irfft(moved, out) * (out / n) + start + (stop - start) * np.linspace(0.0, 1.0, out)
    )


def detection_lead(signal: NDArray[np.floating], leads: tuple[str, ...], fs: float) -> int:
    """Row of the lead to look for beats in: the one whose steep parts are strongest and sparsest.

    The strength is ``sqrt(mean(d^4)) / mean(|d|)`` with d the change over 16 ms: high QRS, quiet in between.
    A lead of `GOOD_LEADS` with at least 60 % of the best lead's strength is preferred.
    """
    if len(leads) == 1:
        return 0
    step = max(1, round(0.016 * fs))
    change = np.abs(signal[:, step:] - signal[:, :-step])
    square = change * change
    strength = np.sqrt((square * square).mean(axis=1)) / np.maximum(change.mean(axis=1), 1e-6)
    best = int(strength.argmax())
    for name in GOOD_LEADS:
        if name in leads and strength[leads.index(name)] >= 0.6 * strength[best]:
            return leads.index(name)
    return best


def measure(stretches: Sequence[tuple[Record, int, int]]) -> list[Measured]:
    """All numbers of stretches ``(record, start, stop)`` in samples, without gaps; cheaper together."""
    parts = [_prepared(*stretch) for stretch in stretches]
    shapes = [beat_shape(part.clean[0], FS, part.peaks) for part in parts]
    asked = [i for i, shape in enumerate(shapes) if shape is not None]
    marked = dict(
        zip(
            asked,
            median_waves(
                [parts[i].clean[_wave_rows(parts[i].names)] for i in asked],
                [parts[i].peaks for i in asked],
                FS,
            ),
            strict=True,
        )
    )
    out = []
    for i, (part, shape) in enumerate(zip(parts, shapes, strict=True)):
        numbers = numbers_of(part.level, part.clean, part.peaks, part.second, shape)
        waves = marked.get(i)
        if shape is not None and waves is not None:
            numbers |= wave_numbers(waves, shape)
        if rows_of_eight(part.names[1:]) is not None:
            numbers |= lead_numbers(part.clean[1:], part.peaks, FS)
        own = [np.rint(beats / part.scale).astype(np.int64) for beats in (part.peaks, part.second)]
        out.append(Measured(numbers, own[0], own[1], part.names[0], part.clean[0], part.peaks))
    return out


def _wave_rows(names: tuple[str, ...]) -> list[int]:
    """Rows to delineate: the first, and of the rest those of `WAVE_LEADS`."""
    return [0, *(i for i, name in enumerate(names) if i and name in WAVE_LEADS and name != names[0])]


def _prepared(record: Record, start: int, stop: int) -> _Stretch:
    from ecgsynth.rpeaks import detect_r_peaks

    fs = record.fs
    first = max(0, start - round(RUN_IN * fs))
    last = min(record.n_samples, stop + round(RUN_IN * fs))
    row = detection_lead(record.signal[:, first:last], record.leads, fs)
    eight = rows_of_eight(record.leads)
    others = [i for i in range(len(record.leads)) if i != row][: MOST_LEADS - 1] if eight is None else eight
    rows = [row, *others]
    level = at_common_rate(record.signal[rows, first:last], fs)
    scale = FS / fs
    begin, end = round((start - first) * scale), round((stop - first) * scale)
    # sleepecg 0.5 counts beats past the end of a buffer where they come 0.2 s apart; a still tail makes room.
    tail = np.full(round(TAIL_S * FS), level[0, -1])
    peaks = np.asarray(detect_r_peaks(np.concatenate([level[0], tail]), FS), dtype=np.int64) - begin
    clean = remove_baseline(level, FS)[:, begin:end]
    peaks = peaks[(peaks >= 0) & (peaks < end - begin)]
    names = tuple(record.leads[i] for i in rows)
    return _Stretch(level[0, begin:end], clean, peaks, second_detector(clean[0], FS), names, scale)


def numbers_of(
    level: Array,
    clean: Array,
    peaks: NDArray[np.int64],
    second: NDArray[np.int64],
    shape: BeatShape | None,
) -> dict[str, float]:
    """Numbers of a lead [samples] in mV at 250 Hz; ``clean`` [leads, samples]: it and others, no baseline."""
    lead = clean[0]
    numbers = rhythm_numbers(lead, FS, peaks, shape) | {"beats": float(len(peaks))}
    numbers |= quality_numbers(level, lead, peaks, second, FS) | split_numbers(clean, shape, peaks, FS)
    numbers |= noise_steadiness(lead, FS)
    if shape is not None:
        numbers |= morphology_numbers(lead, peaks, shape) | drift_numbers(shape)
        numbers |= atrial_evidence(shape, peaks) | bandwidth_numbers(shape) | steadiness_numbers(shape)
    return {name: value for name, value in numbers.items() if isfinite(value)}
