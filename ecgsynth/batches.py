"""Packed windows of training people, and the batches drawn from them.

A batch is a pure function of the seed and the step, so that a training that was killed continues with
the batches it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from ecgsynth.alignment import align_beats
from ecgsynth.generators.blocks import N_COLOURS
from ecgsynth.generators.conditions import PATCH, RHYTHM_INDEX, Conditions, beat_class, make_conditions
from ecgsynth.generators.hiss import WINDOW_HZ, hiss_numbers, hiss_spectrum, noise_power
from ecgsynth.generators.oscillation import measure_oscillation, noise_of
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.strip_net import LearnedConfig, demographics_vector, heart_numbers
from ecgsynth.generators.wander import split_drift, split_wander, wander_level, wander_spectrum

#: Samples of the strip that is learned at a time: 5.12 s, whole hops of the noise transform.
CROP = 1280
#: Share of items whose latent is read from another window of the same person, lead and rhythm.
_OTHER_WINDOW = 0.4


@dataclass(frozen=True)
class Strips:
    """Windows at `PLAN_FS` in memory, split into waveform and wander.

    Attributes
    ----------
    fast : float32 array [windows, leads, samples]
        mV, without wander.
    gain, wander, offset, drift, level : float32 array [windows]
        Log RMS of `fast` (mV), log RMS of the slow part (mV), asinh of its mean over 0.1 mV, and over gain
        the log SD of drift and of noise at 12 to 40 Hz: what is left without the beats and the wave of the
        window itself.
    colour : float32 array [windows, 3]
        Log amplitude of that noise at 3.5 to 12, 40 to 70 and above 70 Hz, over that at 12 to 40 Hz.
    hiss : float32 array [windows, leads, WINDOW // 2 + 1]
        Log power in mV^2 of that noise (:func:`ecgsynth.generators.hiss.hiss_spectrum`); NaN where there is
        no noise to see.
    phase, amplitude : float32 array [windows, samples]
        Continuous wave, see :func:`measure_oscillation`.
    rhythm : int64 array [windows]
    frames : int64 array [windows, frames]
        Rhythm index per frame.
    lead, source, person : int64 array [windows]
    demographics : float32 array [windows, 4]
    numbers : float32 array [windows, 2]
        Mean log RR and whether there are beats.
    usable : int64 array [windows]
        Samples from the start that are signal; a ten-second recording does not fill a window.
    beats : list of (float64 array, int64 array)
        Times in s from the window's start and class of each beat.
    """

    fast: NDArray[np.float32]
    gain: NDArray[np.float32]
    wander: NDArray[np.float32]
    offset: NDArray[np.float32]
    drift: NDArray[np.float32]
    level: NDArray[np.float32]
    colour: NDArray[np.float32]
    hiss: NDArray[np.float32]
    phase: NDArray[np.float32]
    amplitude: NDArray[np.float32]
    rhythm: NDArray[np.int64]
    frames: NDArray[np.int64]
    lead: NDArray[np.int64]
    source: NDArray[np.int64]
    person: NDArray[np.int64]
    demographics: NDArray[np.float32]
    numbers: NDArray[np.float32]
    usable: NDArray[np.int64]
    beats: list[tuple[NDArray[np.float64], NDArray[np.int64]]]

    def __len__(self) -> int:
        return len(self.gain)

    def extras(self, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
        """Record numbers ``[rows, N_EXTRAS]`` beside the latent, in the order of the prior."""
        columns = (self.gain, self.wander, self.offset, self.drift, self.level, self.colour)
        return np.column_stack([column[rows] for column in columns])


def load_strips(pack: Mapping[str, NDArray], config: LearnedConfig, people: set[str] | None = None) -> Strips:
    """Strips of a pack (see :func:`ecgsynth.pack.pack`) that belong to `people` (to anybody if None)."""
    keep = np.arange(len(pack["subject"]))
    if people is not None:
        keep = keep[np.isin(pack["subject"], sorted(people))]
    fast, slow = _split_valid(pack, keep)
    single = len(config.outputs) == 1
    lead = [config.leads.index(str(name)) for name in pack["lead"][keep]] if single else [0] * len(keep)
    beats = [_beats_of(pack, int(i)) for i in keep]
    beats = [(align_beats(x, *b, PLAN_FS), b[1]) for x, b in zip(fast, beats, strict=True)]
    names = [str(name) for name in pack["rhythm"][keep]]
    waves = [
        measure_oscillation(x[_wave_row(x)], np.rint(b[0] * PLAN_FS).astype(np.int64), name, PLAN_FS)
        for x, b, name in zip(fast, beats, names, strict=True)
    ]
    sex = {0: "F", 1: "M"}
    demographics = [
        demographics_vector(float(a), sex.get(int(s)))
        for a, s in zip(pack["age"][keep], pack["sex"][keep], strict=True)
    ]
    gain = np.log(fast.std((1, 2)) + 1e-3)
    usable = (pack["valid_stop"] - pack["valid_start"])[keep].astype(np.int64)
    heard = [
        _noise_numbers(x[:, :n], *b, name) for x, n, b, name in zip(fast, usable, beats, names, strict=True)
    ]
    noise = np.array([numbers for numbers, _ in heard])
    return Strips(
        fast=fast,
        gain=gain.astype(np.float32),
        drift=_known(noise[:, 0] - gain),
        level=_known(noise[:, 1] - gain),
        hiss=np.stack([spectrum for _, spectrum in heard]),
        colour=np.stack([_known(column) for column in noise[:, 2:].T], 1),
        wander=np.log(_wander_levels(slow, usable) + 1e-4).astype(np.float32),
        offset=np.arcsinh(slow.mean((1, 2)) / 0.1).astype(np.float32),
        phase=np.stack([phase for phase, _ in waves]),
        amplitude=np.stack([amplitude for _, amplitude in waves]),
        rhythm=np.array([RHYTHM_INDEX[name] for name in names]),
        frames=_frames(pack, keep, names, fast.shape[-1] // PATCH),
        usable=usable,
        lead=np.array(lead),
        source=np.array([config.sources.index(str(name)) for name in pack["source"][keep]]),
        person=np.unique(pack["subject"][keep], return_inverse=True)[1],
        demographics=np.array(demographics, np.float32),
        numbers=np.array([heart_numbers(times) for times, _ in beats], np.float32),
        beats=beats,
    )


def _split_valid(
    pack: Mapping[str, NDArray], keep: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Waveform and wander of windows, moved to start with their first real sample; padding becomes 0."""
    shape = (len(keep), *pack["signal"].shape[1:])
    fast, slow = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    start, stop = pack["valid_start"][keep], pack["valid_stop"][keep]
    for a, b in sorted(set(zip(start.tolist(), stop.tolist(), strict=True))):
        rows = np.flatnonzero((start == a) & (stop == b))
        fast[rows, :, : b - a], slow[rows, :, : b - a] = split_wander(
            pack["signal"][keep[rows], :, a:b].astype(np.float32)
        )
    return fast, slow


def _wander_levels(slow: NDArray[np.float32], usable: NDArray[np.int64]) -> NDArray[np.float64]:
    """SD ``[windows]`` of the wander of windows, of which ``usable`` samples are signal."""
    level = np.zeros(len(slow))
    for n in np.unique(usable):
        level[usable == n] = wander_level(slow[usable == n, :, :n])
    return level


def _noise_numbers(
    signal: NDArray[np.float32], times: NDArray[np.float64], classes: NDArray[np.int64], rhythm: str
) -> tuple[tuple[float, ...], NDArray[np.float32]]:
    """Log drift and noise in mV with colours, and hiss (see :class:`Strips`); NaN if there is none to see."""
    rest, known = noise_of(signal, times, classes, rhythm, PLAN_FS)
    if known.sum() <= PLAN_FS:
        return (np.nan,) * (2 + N_COLOURS), np.full((len(signal), len(WINDOW_HZ)), np.nan, np.float32)
    power, quiet, _ = noise_power(signal, times, classes, rhythm)
    drift = split_drift(rest * known)[1][:, known]
    slow = float(np.log(np.median(np.abs(drift)) / 0.6745 + 1e-4))
    hiss = hiss_spectrum(power, quiet)
    return (slow, *hiss_numbers(hiss)), hiss.astype(np.float32)


def _known(level: NDArray[np.float64]) -> NDArray[np.float32]:
    """`level` with the median in place of NaN."""
    middle = np.nanmedian(level) if np.isfinite(level).any() else -3.0
    return np.where(np.isfinite(level), level, middle).astype(np.float32)


def _wave_row(signal: NDArray[np.float32]) -> int:
    """Row to read the atrial wave from: V1 (third of the eight leads), where it is largest."""
    return 2 if len(signal) == 8 else 0


def _beats_of(pack: Mapping[str, NDArray], i: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    first, last = pack["beats_offsets"][i : i + 2]
    times = (pack["beats_samples"][first:last] - pack["valid_start"][i]) / PLAN_FS
    return times.astype(np.float64), np.array(
        [beat_class(str(s)) for s in pack["beats_symbols"][first:last]], np.int64
    )


def _frames(
    pack: Mapping[str, NDArray], keep: NDArray[np.int64], names: list[str], n: int
) -> NDArray[np.int64]:
    """Rhythm per frame ``[windows, n]``; frames that nobody labelled are taken as sinus rhythm."""
    out = np.empty((len(keep), n), np.int64)
    for k, (i, name) in enumerate(zip(keep, names, strict=True)):
        first, last = pack["changes_offsets"][i : i + 2]
        out[k] = RHYTHM_INDEX[name]
        if last - first > 1:
            at = np.rint((pack["changes_samples"][first:last] - pack["valid_start"][i]) / PATCH).astype(int)
            for start, rhythm in zip(np.clip(at, 0, n), pack["changes_rhythm"][first:last], strict=True):
                out[k, start:] = RHYTHM_INDEX.get(str(rhythm), RHYTHM_INDEX["nsr"])
    return out


def source_wander(pack: Mapping[str, NDArray], config: LearnedConfig) -> NDArray[np.float64]:
    """Wander power ``[sources, 5]`` of each source of `config` that the pack holds; flat for the others."""
    out = np.full((len(config.sources), 5), 0.2)
    for i, source in enumerate(config.sources):
        rows = np.flatnonzero(pack["source"] == source)
        if len(rows):
            rows = rows[:: max(1, len(rows) // 1000)]
            out[i] = wander_spectrum(_split_valid(pack, rows)[1][:, 0])
    return out


def rhythm_shares(strips: Strips) -> dict[int, float]:
    """Share of each rhythm in a batch: in proportion to the root of its number of people."""
    people = {int(r): len(np.unique(strips.person[strips.rhythm == r])) for r in np.unique(strips.rhythm)}
    total = sum(np.sqrt(n) for n in people.values())
    return {r: float(np.sqrt(n) / total) for r, n in people.items()}


class StripBatches(IterableDataset):
    """Endless batches: rhythm by its share, then a person of it, then a window of theirs, then a crop."""

    def __init__(
        self, strips: Strips, size: int, seed: int, first_step: int = 0, steps: int | None = None
    ) -> None:
        self.strips, self.size, self.seed = strips, size, seed
        self.first_step, self.steps = first_step, steps
        self._shares = rhythm_shares(strips)
        self._rows: dict[int, list[NDArray[np.int64]]] = {}
        for rhythm in self._shares:
            rows = np.flatnonzero(strips.rhythm == rhythm)
            people = strips.person[rows]
            self._rows[rhythm] = [rows[people == person] for person in np.unique(people)]

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        step = self.first_step
        while self.steps is None or step < self.first_step + self.steps:
            rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(step,)))
            yield self.batch(self.draw(rng), rng)
            step += 1

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Windows ``[size]`` of one batch."""
        rhythms = rng.choice(list(self._shares), self.size, p=list(self._shares.values()))
        people = [self._rows[int(rhythm)] for rhythm in rhythms]
        return np.array([rng.choice(of[int(rng.integers(len(of)))]) for of in people])

    def batch(
        self, rows: NDArray[np.int64], rng: np.random.Generator, starts: NDArray[np.int64] | None = None
    ) -> dict[str, Tensor]:
        """Crops of windows `rows`, each with another crop of the same record (keys ``seen_...``)."""
        seen = np.array([self._companion(int(row), rng) for row in rows])
        s = self.strips
        if starts is None:
            starts = rng.integers(0, (s.usable[rows] - CROP) // PATCH + 1) * PATCH
        parts = crop(s, rows, starts)
        other = crop(s, seen, rng.integers(0, (s.usable[seen] - CROP) // PATCH + 1) * PATCH)
        whole = {
            "lead": torch.from_numpy(s.lead[rows]),
            "source": torch.from_numpy(s.source[rows]),
            "demographics": torch.from_numpy(s.demographics[rows]),
            "gain": torch.from_numpy(s.gain[rows]),
            "level": torch.from_numpy(s.level[rows]),
            "colour": torch.from_numpy(s.colour[rows]),
            "numbers": torch.from_numpy(np.concatenate([s.demographics[rows], s.numbers[rows]], 1)),
            "main_rhythm": torch.from_numpy(s.rhythm[rows]),
        }
        return {**whole, **parts, **{"seen_" + key: value for key, value in other.items()}}

    def _companion(self, row: int, rng: np.random.Generator) -> int:
        s = self.strips
        if rng.random() >= _OTHER_WINDOW:
            return row
        same = np.flatnonzero(
            (s.person == s.person[row]) & (s.lead == s.lead[row]) & (s.rhythm == s.rhythm[row])
        )
        return int(rng.choice(same))


def crop(strips: Strips, rows: NDArray[np.int64], starts: NDArray[np.int64]) -> dict[str, Tensor]:
    """Signals and conditions of `CROP` samples from each start."""
    signal = np.stack([strips.fast[r, :, a : a + CROP] for r, a in zip(rows, starts, strict=True)])
    made: list[Conditions] = []
    for row, start in zip(rows, starts, strict=True):
        times, classes = strips.beats[row]
        part = slice(start, start + CROP)
        frames = strips.frames[row, start // PATCH : (start + CROP) // PATCH]
        phase, amplitude = strips.phase[row, part], strips.amplitude[row, part]
        made.append(make_conditions(times - start / PLAN_FS, classes, phase, amplitude, frames))
    return {
        "signal": torch.from_numpy(signal),
        "fine": torch.from_numpy(np.stack([c.fine for c in made])),
        "coarse": torch.from_numpy(np.stack([c.coarse for c in made])),
        "rhythm": torch.from_numpy(np.stack([c.rhythm for c in made])),
    }
