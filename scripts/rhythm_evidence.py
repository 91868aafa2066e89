"""What recordings show of each rhythm, person by person; collected for fit_rhythm_process.py."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.oscillation import BANDS, measure_oscillation
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.rr_models import SINUS
from ecgsynth.generators.vf_shape import find_transients
from ecgsynth.records import Record

Array = NDArray[np.float64]
#: People from whom a rhythm's mean vector is taken; with fewer the literature is used.
ENOUGH = 5
#: Longest stretch in s over which CV and nRMSSD are taken: most records are as short.
STRETCH = 10.0
PATTERNS = {"bigeminy": ("V", 2), "trigeminy": ("V", 3), "atrial_bigeminy": ("A", 2)}
#: Sources whose statements name ectopy in a record of 10 s; their beats are not labelled.
STATED = ("ptbxl", "chapman", "ningbo", "ludb")
#: A beat is early below this share of the cycle around it, if the next interval is not short as well.
EARLY, NEXT = 0.87, 0.95
#: An interval of so many cycles holds a beat that the detector passed over: a wide one.
GAP = (1.75, 2.25)
#: An early beat correlates with the median QRS by at least this, or it came from the ventricles.
SAME_QRS = 0.85
OWN_BEATS = {"svt": "AJSN", "vt": "V", "junctional": "jJN", "idioventricular": "VE", "paced": "/fN"}


def beats_of(record: Record) -> tuple[Array, list[str], bool]:
    """Beat times in s, symbols, and whether a human marked them."""
    if record.beats is not None and record.beats.source == "annotated":
        return record.beats.samples / record.fs, list(record.beats.symbols), True
    from ecgsynth.rpeaks import detect_r_peaks

    peaks = detect_r_peaks(record.signal, record.fs)
    kinds = ["N"] * len(peaks)
    if record.extra.get("ectopy") == "yes" and len(peaks) > 5:
        for i, _, _ in early_beats(np.diff(peaks) / record.fs):
            kinds[i + 1] = "A" if _like_the_others(record, peaks, i + 1) else "V"
    return peaks / record.fs, kinds, False


def early_beats(rr: Array) -> list[tuple[int, float, float]]:
    """Places of early intervals, with the interval and the next one over the median of those around."""
    found = []
    for i in range(len(rr) - 1):
        cycle = np.median(np.concatenate([rr[max(i - 4, 0) : i], rr[i + 1 : i + 5]]))
        if rr[i] < EARLY * cycle and rr[i + 1] > NEXT * cycle:
            found.append((i, float(rr[i] / cycle), float(rr[i + 1] / cycle)))
    return found


def _like_the_others(record: Record, peaks: NDArray[np.int64], beat: int) -> bool:
    """Whether a beat's QRS (120 ms, all leads) correlates with the median one."""
    reach = round(0.06 * record.fs)
    inside = peaks[(peaks >= reach) & (peaks < record.signal.shape[1] - reach)]
    if peaks[beat] not in inside:
        return True
    shapes = np.nan_to_num(record.signal[:, inside[:, None] + np.arange(-reach, reach + 1)])
    shapes = shapes - shapes.mean(2, keepdims=True)
    own = shapes[:, np.searchsorted(inside, peaks[beat])].ravel()
    return bool(np.corrcoef(own, np.median(shapes, axis=1).ravel())[0, 1] >= SAME_QRS)


def stretch_traits(rr: Array, usable: NDArray[np.bool_]) -> Array | None:
    """Log of mean RR, CV, nRMSSD / CV of usable intervals, their count and skewness; None for too few."""
    pairs = usable[1:] & usable[:-1]
    if usable.sum() < 6 or pairs.sum() < 5:
        return None
    good = rr[usable]
    cv = good.std(ddof=1) / good.mean()
    rough = np.sqrt(np.mean(np.diff(rr)[pairs] ** 2)) / good.mean()
    if cv < 1e-3 or rough < 1e-3:
        return None
    skewness = float(np.mean(((good - good.mean()) / good.std()) ** 3))
    return np.array([np.log(good.mean()), np.log(cv), np.log(rough / cv), len(good), skewness])


def plausible(rr: Array, rhythm: str, annotated: bool) -> bool:
    """Detected intervals only count where none looks like a missed or false beat."""
    if annotated:
        return True
    if not len(rr):
        return False
    if rhythm in SINUS or rhythm in ("paced", "svt"):
        ratio = rr / np.median(rr)
        if rhythm == "sinus_arrhythmia":
            return bool(ratio.max() < 1.8 and ratio.min() > 0.55)
        return bool(ratio.max() < 1.5 and ratio.min() > 0.65 and np.sum(ratio < 0.85) <= 0.2 * len(rr))
    return bool(rr.min() > 0.24 and rr.max() < 2.6)


class Evidence:
    """Per rhythm and person: traits of each stretch, and what patterns and ectopy show."""

    def __init__(self) -> None:
        self.traits: dict[str, dict[str, list[Array]]] = defaultdict(lambda: defaultdict(list))
        self.coupling: dict[str, dict[str, list[Array]]] = defaultdict(lambda: defaultdict(list))
        self.ectopy: dict[str, list[tuple[int, int]]] = defaultdict(list)
        #: By kind (A, V) and "source/rhythm", per person: ectopic beats and all beats, added up.
        self.premature: dict[str, dict[str, dict[str, Array]]] = {
            kind: defaultdict(lambda: defaultdict(lambda: np.zeros(2))) for kind in "AV"
        }
        #: Of atrial ectopic beats per person: interval before and after over the cycle.
        self.atrial: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.frequency: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.restless: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        #: Per person of fibrillation: heights of the spikes of each strip of 10 s; and strips without any.
        self.spikes: dict[str, list[Array]] = defaultdict(list)
        self.smooth: list[Array] = []
        self.ages: dict[str, float] = {}

    def add(self, record: Record) -> None:
        """Count one record in."""
        times, symbols, annotated = beats_of(record)
        if record.age is not None:
            self.ages[record.subject] = record.age
        for episode in record.episodes:
            if episode.rhythm is None:
                continue
            begin, end = episode.start / record.fs, episode.stop / record.fs
            if episode.rhythm in ("vf", "vflutter") or (episode.rhythm == "vt" and not annotated):
                self._add_oscillation(record, episode.rhythm, begin, end)
                continue
            inside = np.flatnonzero((times >= begin) & (times < end))
            kinds = [symbols[i] for i in inside]
            if annotated and episode.rhythm == "nsr" and record.source == "mitdb" and int(record.name) < 200:
                self.ectopy[record.subject].append((kinds.count("V"), len(kinds)))
            if episode.rhythm in SINUS and (annotated or record.source in STATED):
                self._add_premature(record, episode.rhythm, times[inside], kinds, annotated)
            self._add_beats(record.subject, episode.rhythm, times[inside], kinds, annotated)

    def _add_premature(
        self, record: Record, rhythm: str, t: Array, kinds: list[str], annotated: bool
    ) -> None:
        place = f"{record.source}/{rhythm}"
        if len(kinds) < 6:
            return
        rr = np.diff(t)
        cycles = rr / np.median(rr)
        missed = record.extra.get("ectopy") == "yes" and not annotated
        gaps = int(((cycles > GAP[0]) & (cycles < GAP[1])).sum()) if missed else 0
        atrial = sum(kind in "AaS" for kind in kinds)
        self.premature["A"][place][record.subject] += (atrial, len(kinds))
        self.premature["V"][place][record.subject] += (kinds.count("V") + gaps, len(kinds))
        for i, before, after in early_beats(rr):
            if kinds[i + 1] in "AaS" and kinds[i] not in "AaSV" and kinds[i + 2] not in "AaSV":
                self.atrial[record.subject].append((before, after))

    def _add_beats(self, person: str, rhythm: str, t: Array, kinds: list[str], annotated: bool) -> None:
        if len(t) < 4:
            return
        if rhythm in PATTERNS:
            self._add_pattern(person, rhythm, t, kinds)
            return
        own = set(OWN_BEATS.get(rhythm, "NLRje/f"))
        rr = np.diff(t)
        usable = np.array([a in own and b in own for a, b in pairwise(kinds)])
        for low in np.arange(t[0], t[-1], STRETCH):
            part = (t[:-1] >= low) & (t[:-1] < low + STRETCH)
            if part.sum() < 3 or not plausible(rr[part & (usable | annotated)], rhythm, annotated):
                continue
            traits = stretch_traits(rr[part], usable[part])
            if traits is not None:
                self.traits[rhythm][person].append(traits)

    def _add_pattern(self, person: str, rhythm: str, t: Array, kinds: list[str]) -> None:
        early, every = PATTERNS[rhythm]
        at = np.array([i for i in range(every, len(t) - 1) if kinds[i] == early])
        at = at[[kinds[i - every] == early and kinds[i + 1] != early for i in at]] if len(at) else at
        if len(at) < 3:
            return
        cycles = t[at] - t[at - every]
        # For ventricular beats coupling and pause make two sinus cycles; for atrial ones the pause is one.
        base = (t[at + 1] - t[at - 1]) / 2 if early == "V" else (t[at + 1] - t[at])
        self.coupling[rhythm][person].append((t[at] - t[at - 1]) / base)
        mean, cv = cycles.mean() / every, max(cycles.std(ddof=1) / cycles.mean(), 0.005)
        self.traits[rhythm][person].append(np.array([np.log(mean), np.log(cv), np.log(0.9), len(at), 0.0]))

    def _add_oscillation(self, record: Record, rhythm: str, begin: float, end: float) -> None:
        size = int(4 * record.fs)
        for start in range(int(begin * record.fs), int(end * record.fs) - size + 1, size):
            peak = dominant_frequency(record.signal[0, start : start + size], record.fs)
            if peak is not None:
                self.frequency[rhythm][record.subject].append(peak)
        if rhythm in BANDS and record.fs == PLAN_FS:
            size = 10 * PLAN_FS
            for start in range(int(begin * record.fs), int(end * record.fs) - size + 1, size):
                strip = record.signal[0, start : start + size]
                if np.isfinite(strip).all() and np.ptp(strip) >= 0.1:
                    phase, _ = measure_oscillation(strip, np.zeros(0, np.int64), rhythm, record.fs)
                    self.restless[rhythm][record.subject].append(restlessness(phase))
                    if rhythm == "vf":
                        found = find_transients(strip, record.fs)
                        self.spikes[record.subject].append(found)
                        if not len(found):
                            self.smooth.append((strip - strip.mean()) / strip.std())


def robust_sd(values: Array) -> Array:
    """SD of each column, from the median deviation (of normal numbers it is 1 / 1.4826 of that)."""
    return np.asarray(1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0))


def restlessness(phase: NDArray[np.floating]) -> float:
    """SD in Hz of a wave's frequency over stretches of 0.1 s, from its phase in cycles at `PLAN_FS`."""
    return float(np.diff(phase[:: PLAN_FS // 10]).std() * 10)


def dominant_frequency(x: NDArray[np.float32], fs: float) -> float | None:
    """Strongest frequency in Hz between 1.5 and 10 Hz; None if no peak holds half of that band's power."""
    if not np.isfinite(x).all() or np.ptp(x) < 0.1:
        return None
    power = np.abs(np.fft.rfft((x - x.mean()) * np.hanning(len(x)), 8 * len(x))) ** 2
    frequency = np.fft.rfftfreq(8 * len(x), 1 / fs)
    band = (frequency >= 1.5) & (frequency <= 10)
    peak = float(frequency[band][np.argmax(power[band])])
    near = band & (np.abs(frequency - peak) < 0.75)
    return peak if power[near].sum() > 0.5 * power[band].sum() else None
