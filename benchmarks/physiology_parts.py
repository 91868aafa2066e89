"""What ``benchmarks/physiology.py`` measures, of real and of synthetic recordings by the same functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ecgsynth
from ecgsynth.datasets import open_dataset
from ecgsynth.fidelity.beatshape import remove_baseline
from ecgsynth.fidelity.delineation import delineate
from ecgsynth.generators.episodes import draw_episodes
from ecgsynth.generators.plan import Request
from ecgsynth.generators.rhythm_process import draw_plan
from ecgsynth.records import Record

Array = NDArray[np.float64]
SECONDS, LEAD, SOURCE = 300.0, "MLII", "mitdb"
NORMAL = "NLR"
PAROXYSMAL = ("201", "202", "217", "219", "222")
AF = ("afib", "aflutter")


@dataclass(frozen=True)
class Strip:
    """One lead [samples] in mV, its rate, and its beats: times in s, codes."""

    signal: Array
    fs: float
    times: Array
    symbols: tuple[str, ...]


def real_strips(data: Path, rhythm: str, shortest: float) -> Iterator[Strip]:
    """First stretch of at least `shortest` s and at most `SECONDS` of each record of mitdb."""
    for record in open_dataset(data / SOURCE):
        lead = [k for k, name in enumerate(record.leads) if name == LEAD]
        for e in record.episodes:
            if e.rhythm == rhythm and lead and e.stop - e.start >= shortest * record.fs:
                yield cut(record, lead[0], int(e.start), int(min(e.stop, e.start + SECONDS * record.fs)))
                break


def cut(record: Record, lead: int, start: int, stop: int) -> Strip:
    assert record.beats is not None
    at = record.beats.samples
    inside = np.flatnonzero((at >= start) & (at < stop))
    symbols = tuple(record.beats.symbols[i] for i in inside)
    return Strip(
        record.signal[lead, start:stop].astype(float), record.fs, (at[inside] - start) / record.fs, symbols
    )


def whole_strips(data: Path) -> Iterator[Strip]:
    for record in open_dataset(data / SOURCE):
        yield cut(record, 0, 0, record.signal.shape[1])


def made_strips(generator: str, rhythm: str, n: int, seed: int, **wish: Any) -> Iterator[Strip]:
    model = ecgsynth.load_generator(generator)
    wish = {"seconds": SECONDS, "source": SOURCE, "leads": (LEAD,), **wish}
    for record in model.sample(rhythm, n, seed, **wish):
        yield cut(record, 0, 0, record.signal.shape[1])


def variability(strip: Strip) -> dict[str, float] | None:
    """RR over minutes: SDNN, RMSSD, and power at 0.04-0.15 (LF) and 0.15-0.4 Hz (HF), in ms and ms^2.

    Bands of the Task Force of the ESC and NASPE, Circulation 93:1043-1065, 1996; intervals between normal
    beats, linear in between, 4 Hz, Welch of 128 s.
    """
    from scipy.signal import welch

    rr = np.diff(strip.times)
    normal = np.array(
        [a in NORMAL and b in NORMAL for a, b in zip(strip.symbols, strip.symbols[1:], strict=False)]
    )
    if len(rr) < 100 or normal.mean() < 0.9:
        return None
    at, own = strip.times[1:][normal], 1000 * rr[normal]
    grid = np.arange(at[0], at[-1], 0.25)
    hz, power = welch(np.interp(grid, at, own), 4.0, nperseg=min(512, len(grid)), detrend="linear")
    low, high = (power[(hz >= a) & (hz < b)].sum() * hz[1] for a, b in ((0.04, 0.15), (0.15, 0.4)))
    return {
        "SDNN, ms": own.std(),
        "RMSSD, ms": np.sqrt(np.mean(np.diff(own) ** 2)),
        "ln LF, ms2": np.log(max(low, 1e-3)),
        "ln HF, ms2": np.log(max(high, 1e-3)),
        "LF / (LF + HF)": low / max(low + high, 1e-9),
    }


def heights(strip: Strip) -> dict[str, float] | None:
    """Heights of normal QRS complexes (span of 120 ms) over their median: how they vary, and with RR."""
    from scipy.signal import coherence, welch

    reach = int(0.06 * strip.fs)
    at = np.rint(strip.times * strip.fs).astype(int)
    inside = (at > reach) & (at < len(strip.signal) - reach) & np.isin(strip.symbols, list(NORMAL))
    if inside.sum() < 100:
        return None
    clean, t = remove_baseline(strip.signal, strip.fs), strip.times[inside]
    height = np.ptp(clean[at[inside][:, None] + np.arange(-reach, reach + 1)], axis=1)
    height = height / np.median(height)
    whole = np.abs(height - 1) < 0.5
    height, t = height[whole], t[whole]
    rr = np.diff(t, prepend=t[0] - np.median(np.diff(t)))
    rr = np.clip(rr, 0.5 * np.median(rr), 1.6 * np.median(rr))
    grid = np.arange(t[1], t[-1], 0.25)
    level = np.interp(grid, t, height)
    hz, power = welch(level - level.mean(), 4.0, nperseg=512)
    total, breath = power[(hz > 0) & (hz < 0.6)].sum(), (hz > 0.15) & (hz <= 0.4)
    peak = hz[breath][power[breath].argmax()]
    tied_hz, tied = coherence(level, np.interp(grid, t, rr), 4.0, nperseg=128)
    own = height - height.mean()
    return {
        "SD, %": 100 * height.std(),
        "lag-one autocorrelation": float((own[1:] * own[:-1]).mean() / own.var()),
        "lag four": float((own[4:] * own[:-4]).mean() / own.var()),
        "share at 0.15-0.4 Hz": power[breath].sum() / total,
        "in one line of 0.04 Hz": power[np.abs(hz - peak) <= 0.02].sum() / total,
        "coherence with RR at breathing": float(tied[np.abs(tied_hz - peak).argmin()]),
    }


def t_waves(strip: Strip) -> dict[str, float] | None:
    """R to the peak of T over the interval before, in normal beats."""
    at = np.rint(strip.times * strip.fs).astype(np.int64)
    found = delineate(strip.signal, strip.fs, at)
    after = (found.combined[1:, 7] - found.r_peaks[1:]) / found.fs
    rr = np.diff(found.r_peaks) / found.fs
    known = np.isfinite(after) & (found.kinds[1:] == 0) & (rr > 0.35) & (rr < 2.0)
    known &= np.abs(after - np.median(after[known]) if known.any() else after) < 0.06
    if known.sum() < 60:
        return None
    slope = np.polyfit(rr[known], after[known], 1)[0]
    return {
        "R to T, ms": 1000 * float(np.median(after[known])),
        "slope over RR, ms/s": 1000 * float(slope),
        "correlation": float(np.corrcoef(rr[known], after[known])[0, 1]),
    }


def quartiles(strips: Iterable[Strip], measure: Callable[[Strip], dict[str, float] | None]) -> dict[str, Any]:
    """Median and quartiles over strips of each number."""
    found = [row for row in map(measure, strips) if row is not None]
    out: dict[str, Any] = {"strips": len(found)}
    for name in found[0] if found else ():
        values = np.quantile([row[name] for row in found], (0.5, 0.25, 0.75))
        out[name] = [round(float(v), 3) for v in values]
    return out


def fusions(strips: Iterable[Strip], fewest: int) -> dict[str, Any]:
    """Correlation of fusion and conducted beats with the strip's ventricular beat, -100 to 300 ms."""
    out: dict[str, list[float]] = {"F": [], "N": [], "V": []}
    for strip in strips:
        before, after = int(0.1 * strip.fs), int(0.3 * strip.fs)
        at = np.rint(strip.times * strip.fs).astype(int)
        inside = (at > before) & (at < len(strip.signal) - after)
        kinds = np.array(strip.symbols)[inside]
        if (kinds == "F").sum() < fewest or (kinds == "V").sum() < 5:
            continue
        beats = remove_baseline(strip.signal, strip.fs)[at[inside][:, None] + np.arange(-before, after)]
        middle = np.median(beats[kinds == "V"], axis=0)
        for kind, own in out.items():
            own += [float(np.corrcoef(beat, middle)[0, 1]) for beat in beats[kinds == kind]]
    return {
        kind: [round(float(v), 2) for v in np.quantile(own, (0.5, 0.25, 0.75))] + [len(own)]
        for kind, own in out.items()
        if own
    }


def lengths(episodes: Sequence[tuple[str, float]]) -> tuple[list[float], list[float]]:
    """Seconds in AF or flutter and between them; short ventricular runs belong to what they interrupt."""
    runs: list[list[Any]] = []
    for rhythm, seconds in episodes:
        kind = rhythm in AF
        if rhythm in ("bigeminy", "trigeminy", "vt", "svt") and runs:
            kind = runs[-1][0]
        if runs and runs[-1][0] == kind:
            runs[-1][1] += seconds
        else:
            runs.append([kind, seconds])
    return [s for kind, s in runs if kind], [s for kind, s in runs if not kind]


def paroxysms(data: Path) -> dict[str, Any]:
    """Medians of episode lengths and share of the time in AF, of half hours: people's and ours."""
    real = [
        [(e.rhythm or "", (e.stop - e.start) / r.fs) for e in r.episodes]
        for r in open_dataset(data / SOURCE)
        if r.name in PAROXYSMAL
    ]
    made = [draw_episodes("nsr", "afib", 1800.0, np.random.default_rng(i)) for i in range(200)]
    out = {}
    for name, scripts in (("mitdb", real), ("nsr~afib", made)):
        split = [lengths(script) for script in scripts]
        rows = [[np.median(a), np.median(b), sum(a) / (sum(a) + sum(b)), len(a)] for a, b in split if a and b]
        quart = np.quantile(np.array(rows, float), (0.5, 0.25, 0.75), axis=0).T
        names = ("AF episode, s", "between, s", "share of time in AF", "episodes in half an hour")
        out[name] = {k: [round(float(v), 2) for v in q] for k, q in zip(names, quart, strict=True)}
        out[name]["strips"] = len(rows)
    return out


def wenckebach(n: int = 60) -> dict[str, Any]:
    """Cycles of second-degree block whose PR grows (plans of the simulator)."""
    steps, shorter, pauses, people = [], [], [], 0
    for i in range(n):
        plan = draw_plan(Request((("avb2", 60.0),), ("II",), SOURCE, ectopy=0.0), np.random.default_rng(i))
        last = np.maximum(np.searchsorted(plan.p_times, plan.beat_times) - 1, 0)
        pr, blocked = plan.beat_times - plan.p_times[last], np.diff(last) - 1
        if not len(pr) or np.median(np.diff(pr)[blocked == 0] if (blocked == 0).any() else 0) < 0.005:
            continue
        people += 1
        drops = np.flatnonzero(blocked >= 1)
        for a, b in zip(drops[:-1] + 1, drops[1:], strict=True):
            if b - a >= 2:
                rr = np.diff(plan.beat_times[a : b + 1])
                steps.append((pr[a + 1] - pr[a], pr[b] - pr[b - 1]))
                shorter.append(rr[0] - rr[-1])
                pauses.append(
                    (plan.beat_times[b + 1] - plan.beat_times[b]) / np.median(np.diff(plan.p_times))
                )
    first, final = 1000 * np.median(steps, axis=0)
    return {
        "records with growing PR": f"{people} of {n}",
        "PR grows first by, ms": round(float(first)),
        "at last by, ms": round(float(final)),
        "RR shortens by, ms": round(1000 * float(np.median(shorter))),
        "pause over the sinus cycle": round(float(np.median(pauses)), 2),
    }


def _in_band(signal: NDArray[np.floating[Any]]) -> Array:
    """0.5 to 40 Hz of a lead at 250 Hz, with sharp edges: noise is loudest at the lower one."""
    spectrum, hz = np.fft.rfft(signal), np.fft.rfftfreq(len(signal), 0.004)
    return np.fft.irfft(np.where((hz >= 0.5) & (hz <= 40.0), spectrum, 0.0), len(signal))


def noises(seed: int, n: int = 12) -> dict[str, Any]:
    """Ratio asked for against that of the difference to the clean twin; what each machine does."""
    model = ecgsynth.load_generator("cvae")
    clean = model.sample("nsr", n, seed, noise="clean", source="ptbxl")
    out: dict[str, Any] = {"ratio": {}, "machine": {}}
    for asked in (20.0, 12.0, 6.0, 0.0):
        found = []
        for own, pure in zip(model.sample("nsr", n, seed, snr=asked, source="ptbxl"), clean, strict=True):
            heart, noise = (_in_band(x) for x in (pure.signal[0], own.signal[0] - pure.signal[0]))
            assert pure.beats is not None
            at = pure.beats.samples[(pure.beats.samples > 15) & (pure.beats.samples < 2400)]
            beats = heart[at[:, None] + np.arange(-15, 100)]
            found.append(10 * np.log10(np.mean(beats**2) / np.mean(noise**2)))
        out["ratio"][f"{asked:g}"] = [round(float(np.mean(found)), 2), round(float(np.ptp(found) / 2), 2)]
    for kind in ("clean", "holter", "handheld", "12lead"):
        records = model.sample("nsr", n, seed, noise=kind, source="ptbxl", fs=500.0)
        power = np.mean([np.abs(np.fft.rfft(r.signal[0] * np.hanning(5000))) ** 2 for r in records], 0)
        hz = np.fft.rfftfreq(5000, 0.002)
        steps = [np.diff(np.unique(np.round(r.signal[0].astype(float), 6))).min() for r in records]
        share = [power[(hz >= a) & (hz < b)].sum() / power.sum() for a, b in ((0.0, 0.4), (45.0, 100.0))]
        row = [1000 * float(np.median(steps)), 100 * share[0], 1e6 * share[1]]
        out["machine"][kind] = [round(v, 2) for v in row]
    return out
