"""Is the heart rate asked for the one delivered, and by whose count: a part of ``conditions.py``."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from conditions_parts import GENERATORS, Array, interval
from numpy.typing import NDArray

import ecgsynth
from ecgsynth.errors import EcgSynthError
from ecgsynth.fidelity.beatshape import remove_baseline
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.rpeaks import detect_r_peaks

#: Quantiles of real people's rates that are asked for.
RATES_AT = (0.15, 0.5, 0.85)
PER_RATE, SECONDS = 3, 20.0
#: Strips of one person on which detectors are held against marks, and the shortest, in samples at 250 Hz.
OF_ONE, SHORTEST = 2, 1750
#: Rhythms regular enough for the period of the signal itself to say the rate.
REGULAR = ("vt", "sinus_tachycardia", "paced")


def rate_of(peaks: NDArray[np.int64], fs: float) -> float:
    return float(60 * fs / np.diff(peaks).mean()) if len(peaks) > 2 else float("nan")


def by_ours(signal: Array, fs: float, rhythm: str) -> float:
    """By the package's own detector, which the gate and all features use."""
    return rate_of(detect_r_peaks(signal, fs), fs)


def by_xqrs(signal: Array, fs: float, rhythm: str) -> float:
    """By PhysioNet's XQRS, which nobody here has written or tuned."""
    from wfdb.processing import xqrs_detect

    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return rate_of(np.asarray(xqrs_detect(signal, fs, verbose=False)), fs)
        except (ValueError, IndexError):  # it finds nothing to learn from
            return float("nan")


def by_period(signal: Array, fs: float, rhythm: str) -> float:
    """By the period at which a regular rhythm's signal resembles itself; no beat is looked for.

    First peak of the autocorrelation within the rhythm's bounds that reaches 0.9 of the highest, then
    followed from multiple to multiple up to 0.6 of the record.
    """
    if rhythm not in REGULAR:
        return float("nan")
    clean = np.convolve(remove_baseline(signal, fs), np.ones(9) / 9, "same")
    clean = np.clip(clean, *np.quantile(clean, (0.01, 0.99)))
    n = len(clean)
    alike = np.fft.irfft(np.abs(np.fft.rfft(clean - clean.mean(), 2 * n)) ** 2)[:n] / (n - np.arange(n))
    low, high = RHYTHMS[rhythm].rate
    lags = np.arange(max(3, int(57 / high * fs)), min(int(63 / low * fs), n // 2))
    peaks = lags[(alike[lags] >= alike[lags - 1]) & (alike[lags] >= alike[lags + 1])]
    if not len(peaks) or alike[peaks].max() <= 0:
        return float("nan")
    first = int(peaks[alike[peaks] >= 0.9 * alike[peaks].max()][0])
    lag, turns = first, 1
    while (following := lag * (turns + 1) / turns) < 0.6 * n:
        reach = int(0.12 * lag / turns) + 1
        start = int(following) - reach
        part = alike[start : start + 2 * reach + 1]
        if part.max() < 0.3 * alike[first]:
            break
        lag, turns = start + int(part.argmax()), turns + 1
    return 60 * fs * turns / lag


ASKED: dict[str, Callable[[Array, float, str], float]] = {
    "ours": by_ours,
    "xqrs": by_xqrs,
    "period": by_period,
}


def rates(pack: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Rate asked for against marks and against what three ways find, and these on real strips with marks."""
    rng = np.random.default_rng(seed)
    rows: dict[str, Any] = {}
    for name, rhythm in RHYTHMS.items():
        of = np.flatnonzero(pack["rhythm"] == name)
        if not rhythm.has_beats or len(of) < 20:
            continue
        real = np.array([rate_of(_marked(pack, int(i)), 250.0) for i in rng.permutation(of)[:200]])
        low, high = rhythm.rate
        asked = [float(np.clip(round(np.nanquantile(real, q)), low, high)) for q in RATES_AT]
        rows[name] = {"asked": asked, "real": _on_real(pack, name, of, rng)}
        for generator in GENERATORS:
            rows[name][generator] = _on_made(generator, name, asked, seed, rng)
        print(name, rows[name], flush=True)
    return rows


def _marked(pack: Mapping[str, Any], i: int) -> NDArray[np.int64]:
    first, last = pack["beats_offsets"][i : i + 2]
    at = pack["beats_samples"][first:last]
    return at[(at >= pack["valid_start"][i]) & (at < pack["valid_stop"][i])].astype(np.int64)


def _on_real(
    pack: Mapping[str, Any], name: str, of: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, Any] | None:
    """Error of each way on parts of strips in the rhythm whose beats people have marked; None if too few."""
    seen: dict[str, int] = {}
    found: list[list[float]] = []
    for i in rng.permutation(of[pack["beats_source"][of] == "annotated"]).tolist():
        start = int(max(pack["episode_start"][i], pack["valid_start"][i], 0))
        stop = int(min(pack["episode_stop"][i], pack["valid_stop"][i]))
        marks = _marked(pack, i)
        true = rate_of(marks[(marks >= start) & (marks < stop)], 250.0)
        person = str(pack["subject"][i])
        if (
            stop - start < SHORTEST
            or not np.isfinite(true)
            or seen.get(person, 0) >= OF_ONE
            or len(found) >= 60
        ):
            continue
        seen[person] = seen.get(person, 0) + 1
        strip = pack["signal"][i, 0, start:stop].astype(float)
        found.append([abs(way(strip, 250.0, name) - true) for way in ASKED.values()])
    return {**_errors(found, rng), "people": len(seen)} if len(seen) >= 3 else None


def _errors(found: Sequence[Sequence[float]], rng: np.random.Generator) -> dict[str, Any]:
    """Mean absolute error and interval of each way, None where it never answers."""
    out: dict[str, Any] = {}
    for way, column in zip(ASKED, np.array(found).T, strict=True):
        known = column[np.isfinite(column)]
        out[way] = interval(known, rng) if len(known) else None
    return out


def _on_made(
    generator: str, rhythm: str, asked: list[float], seed: int, rng: np.random.Generator
) -> dict[str, Any] | None:
    """Errors of marks and of each way, as recorded and without noise; None where it is not offered."""
    model, out = ecgsynth.load_generator(generator), {}
    for noise in (None, "clean"):
        records: list[tuple[float, Record]] = []
        for k, rate in enumerate(asked):
            wish = {"heart_rate": rate, "seconds": SECONDS, "noise": noise}
            try:
                records += [(rate, r) for r in model.sample(rhythm, PER_RATE, seed + k, **wish)]
            except EcgSynthError:
                return None
        if noise is None:
            marks = [abs(rate_of(r.beats.samples, r.fs) - rate) for rate, r in records if r.beats is not None]
            out["marks"] = interval(np.array(marks), rng)
        found = [
            [abs(way(r.signal[0].astype(float), r.fs, rhythm) - rate) for way in ASKED.values()]
            for rate, r in records
        ]
        out[noise or "as recorded"] = _errors(found, rng)
    return out
