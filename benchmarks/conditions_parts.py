"""What ``benchmarks/conditions.py`` measures, one function per condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from short_training import rows_of

import ecgsynth
from ecgsynth.fidelity.calibration import load_calibration
from ecgsynth.fidelity.delineation import delineate_many, intervals_ms
from ecgsynth.fidelity.gate import check_record
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, Record
from ecgsynth.sampling import Sampler

Array = NDArray[np.float64]
GENERATORS = ("parametric", "cvae", "cgan")
#: What is measured of a person: name, unit. Heights over the line before the QRS.
MEASURES = {
    "pr_ms": "PR, ms",
    "qrs_ms": "QRS, ms",
    "qtc_ms": "QTc (Fridericia), ms",
    "r_v5": "QRS in V5, mV",
    "t_v2": "T in V2, mV",
}
#: From, to, and the features that should move one way; None goes to another person.
WAYS: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    ("sinus_bradycardia", "sinus_tachycardia", ("rate",)),
    ("nsr", "afib", ("nrmssd", "p_height")),
    ("nsr", "avb1", ("pr_ms",)),
    ("nsr", None, ("likeness",)),
)
#: Ages that are asked for, each of as many women and men.
AGES, OF_EACH = (25.0, 40.0, 55.0, 70.0, 85.0), 24


def interval(values: Array, rng: np.random.Generator, times: int = 1000) -> list[float]:
    """Mean and its 95 % interval by resampling."""
    means = values[rng.integers(0, len(values), (times, len(values)))].mean(1)
    return [round(float(x), 4) for x in (values.mean(), *np.quantile(means, (0.025, 0.975)))]


def person_numbers(signals: list[Array], fs: float) -> dict[str, Array]:
    """`MEASURES` of recordings ``[8 leads, samples]``; NaN where a wave is absent."""
    found = delineate_many(signals, fs)
    rows = []
    for signal, one in zip(signals, found, strict=True):
        spans = intervals_ms(one.median_combined, one.fs)
        rr = np.median(np.diff(one.r_peaks)) / one.fs if len(one.r_peaks) > 2 else np.nan
        peaks = one.r_peaks[(one.r_peaks > 0.3 * fs) & (one.r_peaks < signal.shape[1] - 0.6 * fs)]
        if len(peaks) < 3:
            rows.append([np.nan] * len(MEASURES))
            continue
        beat = np.median(signal[:, peaks[:, None] + np.arange(-round(0.3 * fs), round(0.6 * fs))], axis=1)
        level = np.median(beat[:, round(0.2 * fs) : round(0.25 * fs)], axis=1)
        qrs, t = (
            beat[:, round(a * fs) : round(b * fs)] - level[:, None] for a, b in ((0.25, 0.36), (0.45, 0.75))
        )
        v5, v2 = INDEPENDENT_LEADS.index("V5"), INDEPENDENT_LEADS.index("V2")
        tall = t[v2][np.abs(t[v2]).argmax()]
        corrected = float(spans["qt_ms"]) / np.cbrt(rr)
        rows.append([float(spans["pr_ms"]), float(spans["qrs_ms"]), corrected, np.ptp(qrs[v5]), tall])
    return dict(zip(MEASURES, np.array(rows, float).T, strict=True))


def shifts(numbers: dict[str, Array], age: Array, male: Array, seed: int) -> dict[str, Any]:
    """Per measure: women less men and change per ten years (least squares, both at once), over people."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, values in numbers.items():
        known = np.flatnonzero(np.isfinite(values))
        design = np.column_stack([np.ones(len(known)), 1 - male[known], (age[known] - 60) / 10])
        draws = []
        for _ in range(500):
            take = rng.integers(0, len(known), len(known))
            draws.append(np.linalg.lstsq(design[take], values[known][take], rcond=None)[0][1:])
        point = np.linalg.lstsq(design, values[known], rcond=None)[0][1:]
        spread = np.quantile(draws, (0.025, 0.975), axis=0)
        out[name] = {
            kind: [round(float(x), 4) for x in (point[k], spread[0, k], spread[1, k])]
            for k, kind in enumerate(("women_less_men", "per_ten_years"))
        } | {"median": round(float(np.median(values[known])), 4), "people": len(known)}
    return out


def age_and_sex(twelve: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What age and sex shift in real people of PTB-XL in sinus rhythm, and in records asked for."""
    mine = (twelve["source"] == "ptbxl") & (twelve["rhythm"] == "nsr")
    mine &= np.isfinite(twelve["age"]) & (twelve["sex"] >= 0)
    first = list({str(twelve["subject"][i]): int(i) for i in np.flatnonzero(mine)}.values())
    age, male = twelve["age"][first].astype(float), (twelve["sex"][first] == 1).astype(float)
    part = twelve["part"][first]
    n = int(twelve["valid_stop"][first[0]] - twelve["valid_start"][first[0]])
    signals = [twelve["signal"][i][:, twelve["valid_start"][i] :][:, :n].astype(float) for i in first]
    numbers = person_numbers(signals, 250.0)
    real = {"train and val": part != "test", "test": part == "test", "all": part != ""}
    out: dict[str, Any] = {
        f"real, {which}": shifts({k: v[rows] for k, v in numbers.items()}, age[rows], male[rows], seed)
        for which, rows in real.items()
    }
    for generator in GENERATORS:
        model, made, ages, men = ecgsynth.load_generator(generator), [], [], []
        for k, (years, man) in enumerate((years, man) for years in AGES for man in (True, False)):
            wish = {"age": years, "sex": "M" if man else "F", "leads": TWELVE_LEADS, "source": "ptbxl"}
            records = model.sample("nsr", OF_EACH, seed + k, **wish)
            order = [records[0].leads.index(lead) for lead in INDEPENDENT_LEADS]
            made += [record.signal[order].astype(float) for record in records]
            ages += [years] * OF_EACH
            men += [float(man)] * OF_EACH
        found = person_numbers(made, 250.0)
        out[generator] = shifts(found, np.array(ages), np.array(men), seed)
        print(generator, out[generator], flush=True)
    return out


def way_feature(record: Record, feature: str) -> float:
    from ecgsynth.fidelity.features import record_features

    if feature == "pr_ms":
        return float(
            intervals_ms(delineate_many([record.signal], record.fs)[0].median_combined, record.fs)["pr_ms"]
        )
    return float(record_features(record.signal[0], record.fs)[feature])


def ways(seed: int, persons: int = 5, steps: int = 9) -> dict[str, Any]:
    """Between rhythms and between people: share of records that pass, evenness of steps, features."""
    from ecgsynth.interpolation import interpolate

    calibration, out = load_calibration(), {}
    for generator in ("cvae", "cgan"):
        model = ecgsynth.load_generator(generator)
        for first, second, features in WAYS:
            found = [
                interpolate(model, first, second, steps, seed + k, seconds=10.0, leads=("II",))
                for k in range(persons)
            ]
            passed = _way_passes(found, {first, second or first}, calibration)
            for feature in features:
                row = _way_row(found, feature, second is not None, np.random.default_rng(seed))
                name = f"{generator}: {first} to {second or 'another person'}, {feature}"
                out[name] = {"pass": passed, **row}
                print(name, out[name], flush=True)
    return out


def _way_passes(found: list[list[Record]], names: set[str], calibration: Any) -> dict[str, float]:
    """Share of records at each step that pass the gate as one of `names`."""
    passed: dict[str, list[bool]] = {}
    for record in (record for way in found for record in way):
        episodes = [tuple(replace(e, rhythm=name) for e in record.episodes) for name in sorted(names)]
        either = any(check_record(replace(record, episodes=e), calibration).passed for e in episodes)
        passed.setdefault(f"{float(record.extra['share']):.3f}", []).append(either)
    return {share: round(float(np.mean(own)), 3) for share, own in passed.items()}


def _way_row(
    found: list[list[Record]], feature: str, ordered: bool, rng: np.random.Generator
) -> dict[str, Any]:
    from scipy.stats import spearmanr

    values = np.array([[way_feature(record, feature) for record in way] for way in found])
    shares = np.linspace(0, 1, values.shape[1])
    known = [np.isfinite(v) for v in values]
    order = [spearmanr(shares[k], v[k]).statistic for v, k in zip(values, known, strict=True) if k.sum() > 4]
    # The largest step over the way's length, by mean absolute difference: 1 / steps if even.
    moves = [np.array([np.abs(a.signal - b.signal).mean() for a, b in pairwise(way)]) for way in found]
    evenness = [float(m.max() / max(m.sum(), 1e-9)) for m in moves]
    return {
        "feature": [round(float(x), 4) for x in np.nanmedian(values, axis=0)],
        "spearman": interval(np.array([o for o in order if np.isfinite(o)]), rng) if ordered else None,
        "largest_step": round(float(np.median(evenness)), 3),
    }


def certainty(pack: Mapping[str, Any], weights: Path, seed: int) -> dict[str, Any]:
    """Coverage of the VAE's forecasts on test people, as they are and by a factor fitted on val people."""
    from ecgsynth.batches import load_strips
    from ecgsynth.checkpoint import load_checkpoint
    from ecgsynth.training.uncertainty import coverage, fit_factor, forecast_beats

    net, _ = load_checkpoint(weights)
    rng = np.random.default_rng(seed)
    found = {}
    for part in ("val", "test"):
        rows = rng.permutation(np.flatnonzero(pack["part"] == part)).tolist()
        # One strip of each person and rhythm.
        one = {(str(pack["subject"][i]), str(pack["rhythm"][i])): i for i in rows}
        strips = load_strips(rows_of(pack, np.sort(list(one.values()))), net.config)
        found[part] = forecast_beats(net, strips, np.arange(len(strips)), seed=seed)
        print(part, len(found[part]), flush=True)
    factor = fit_factor(found["val"])
    people = {part: len({f.person for f in own}) for part, own in found.items()}
    out: dict[str, Any] = {
        "people": people,
        "strips": {k: len(v) for k, v in found.items()},
        "factor": round(factor, 3),
    }
    for level in (0.5, 0.8, 0.95):
        as_is, mended = (coverage(found["test"], level, f) for f in (1.0, factor))
        own = fit_factor(found["val"], level)
        out[f"{level:g}"] = {
            "as it is": interval(np.array(list(as_is.values())), rng),
            "one factor": interval(np.array(list(mended.values())), rng),
            "own factor": interval(np.array(list(coverage(found["test"], level, own).values())), rng),
            "its factor": round(own, 3),
        }
    error = [float(np.sqrt(np.square(f.real - f.mean).mean())) for f in found["test"]]
    said = [float(np.sqrt(np.square(f.sd).mean())) for f in found["test"]]
    from scipy.stats import spearmanr

    out["error_and_spread"] = round(float(spearmanr(error, said).statistic), 3)
    return out


def noises(seed: int, n: int = 24) -> dict[str, Any]:
    """Share of draws that pass the gate under each kind of noise and ratio, per rhythm."""
    calibration, out = load_calibration(), {}
    model: Sampler = ecgsynth.load_generator("cvae")
    asked: dict[str, dict[str, Any]] = {
        "as the source": {}, "clean": {"noise": "clean"}, "holter": {"noise": "holter"},
        "handheld": {"noise": "handheld"}, "12lead": {"noise": "12lead"},
        **{f"{ratio:g} dB": {"snr": ratio} for ratio in (20.0, 12.0, 6.0, 3.0, 0.0)},
    }  # fmt: skip
    for rhythm in ("nsr", "afib", "bigeminy", "vt"):
        row = {}
        for name, wish in asked.items():
            records = model.sample(rhythm, n, seed, **wish)
            row[name] = round(float(np.mean([check_record(r, calibration).passed for r in records])), 3)
        out[rhythm] = row
        print(rhythm, row, flush=True)
    return out
