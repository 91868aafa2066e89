"""Fitting the gate's bounds on real training people: quantiles, widened as far as unseen people ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.calibration import Bound, failures
from ecgsynth.rhythms import Rhythm

Array = NDArray[np.float64]

#: Fewest people for whom bounds are fitted without the rhythm table's.
ENOUGH_PEOPLE = 8
#: Widening of a fitted range in spreads (median to 5 or 95 % quantile), tried in turn.
PADS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
#: With fewer people than this, the numbers that measure the detector and the noise more than the rhythm take
#: in the bounds fitted on all rhythms with beats together.
MANY_PEOPLE = 30
POOLED_ENDS = {
    "nrmssd": "high",
    "rr_step": "high",
    "likeness": "low",
    "sensitivity": "low",
    "precision": "low",
}
#: Widening where there are fewer, divided by the square root of people.
FEW_PAD = 1.5
#: Share of real stretches that a fitted end leaves out. Most of the 2 % that may fail goes to the check that
#: parts the rhythms best; what the others leave out are mostly the same noisy stretches.
TAIL = 0.001
TAILS = {"evidence": 0.02, "rate": 0.002}
#: Log-odds are those of people the model did not see already; they are widened by this over the square root
#: of people, whatever the other numbers get.
EVIDENCE_PAD = 1.5
#: With no more people than this a tail of 1 % is one person's worst strips, and holding it would let every
#: other rhythm pass; the check is kept sharp instead and its pass rate on real people stays unresolved.
VERY_FEW = 10
FEW_TAIL = 0.03
#: A fitted rate is held to the rhythm table's range widened by this share, unless over 1 % of real stretches
#: of the rhythm lie outside of that (the detector's mistakes, or loose labels).
RATE_SLACK = 0.15
#: Share of stretches of people who were not fitted on that must pass, over folds of training people.
AIM = 0.98

#: Numbers that may only vary within what they can be at all.
NATURAL = {
    "sensitivity": (0.0, 1.0),
    "precision": (0.0, 1.0),
    "likeness": (-1.0, 1.0),
    "p_share": (-1.0, 1.0),
    "quiet": (0.0, 1.0),
    "concentration": (0.0, 1.0),
}
NON_NEGATIVE = (
    "rate",
    "nrmssd",
    "rr_step",
    "qrs_ms",
    "flat_s",
    "clipped_s",
    "span_low",
    "span_high",
    "peakedness",
)

#: Which ends of a number are held: "low" has a lower bound, "high" an upper one, "both" both.
INTEGRITY_ENDS = {"flat_s": "high", "clipped_s": "high", "span_low": "low", "span_high": "high"}
BEAT_ENDS = {
    "rate": "both",
    "nrmssd": "both",
    "rr_step": "both",
    "likeness": "low",
    "sensitivity": "low",
    "precision": "low",
    "evidence": "low",
}
NO_BEAT_ENDS = {
    "dominant_hz": "both",
    "concentration": "low",
    "peakedness": "high",
    "quiet": "high",
    "evidence": "low",
}
PATTERN_ENDS = {
    "bigeminy": {"pattern_2": "low"},
    "atrial_bigeminy": {"pattern_2": "low"},
    "trigeminy": {"pattern_3": "low"},
}

#: QRS width is held where it belongs to the rhythm: conducted beats are narrow, ventricular ones wide.
NARROW = ("nsr", "sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia", "afib")
WIDE = ("vt", "idioventricular")
#: Integrity bounds are at least these: shorter runs of equal samples are rounding, not a fault (in seconds).
INTEGRITY_FLOOR = {"flat_s": 0.3, "clipped_s": 0.03}


def ends_of(rhythm: Rhythm) -> dict[str, str]:
    """The checks of a rhythm: number -> which ends are held."""
    if not rhythm.has_beats:
        return dict(NO_BEAT_ENDS)
    ends = BEAT_ENDS | PATTERN_ENDS.get(rhythm.name, {})
    if rhythm.p_wave == "required":
        ends["p_share"] = "low"
    elif rhythm.p_wave == "forbidden":
        ends["p_share"] = "high"
    if rhythm.name in NARROW or rhythm.name in WIDE:
        ends["qrs_ms"] = "high" if rhythm.name in NARROW else "low"
    return ends


def fit_bounds(
    rows: Sequence[Mapping[str, float]], weights: Array, ends: Mapping[str, str], pad: float
) -> dict[str, Bound]:
    """Weighted quantile range of each number, widened by ``pad`` spreads (``evidence``: by its own).

    ``weights`` [rows] sum to 1 for each person.

    A spread is the distance from the median to the 5 or 95 % quantile on that side. Numbers seen in fewer
    than 4 rows get no bound.
    """
    bounds: dict[str, Bound] = {}
    for name, end in ends.items():
        values = np.array([row.get(name, np.nan) for row in rows])
        seen = np.isfinite(values)
        if seen.sum() < 4:
            continue
        tail = TAILS.get(name, TAIL)
        people = float(weights.sum())
        wider = pad
        if name == "evidence":
            wider = max(EVIDENCE_PAD / np.sqrt(people), 0.5 * pad if people < MANY_PEOPLE else 0.0)
            if people < VERY_FEW + 0.5:
                tail, wider = FEW_TAIL, 0.0
        at = (tail, 0.05, 0.5, 0.95, 1 - tail)
        least, low, mid, high, most = _quantiles(values[seen], weights[seen], at)
        lowest, highest = NATURAL.get(name, (0.0 if name in NON_NEGATIVE else -np.inf, np.inf))
        bounds[name] = (
            float(max(lowest, least - wider * (mid - low))) if end != "high" else -np.inf,
            float(min(highest, most + wider * (high - mid))) if end != "low" else np.inf,
        )
    return bounds


def widen_to(bounds: dict[str, Bound], other: Mapping[str, Bound]) -> None:
    """Make each bound take in the one of the same name in ``other``, where that is finite."""
    for name, (low, high) in other.items():
        if name in bounds:
            own = bounds[name]
            bounds[name] = (
                min(low, own[0]) if np.isfinite(low) else own[0],
                max(high, own[1]) if np.isfinite(high) else own[1],
            )


def hold_rate(
    bounds: dict[str, Bound], rows: Sequence[Mapping[str, float]], weights: Array, table: Mapping[str, Bound]
) -> None:
    """Narrow the bound of ``rate`` to the table's range and 15 %, where real stretches allow it."""
    if "rate" not in bounds or "rate" not in table:
        return
    low, high = table["rate"][0] * (1 - RATE_SLACK), table["rate"][1] * (1 + RATE_SLACK)
    values = np.array([row.get("rate", np.nan) for row in rows])
    outside = (values < low) | (values > high)
    if np.average(outside, weights=weights) <= 0.01:
        bounds["rate"] = (max(low, bounds["rate"][0]), min(high, bounds["rate"][1]))


def fit_rhythm(
    rows: Sequence[Mapping[str, float]],
    people: Sequence[str],
    ends: Mapping[str, str],
    table: Mapping[str, Bound],
) -> tuple[dict[str, Bound], dict[str, float]]:
    """Bounds of one rhythm from its real stretches, and how they were found.

    Each person weighs the same. With at least 8 people the widening is the smallest of `PADS` with
    which the bounds of nine tenths of the people pass 98 % of the others; with fewer it is 1.5
    over the square root of people, and the bounds take in those of the rhythm table.
    """
    names, owner = np.unique(np.asarray(people), return_inverse=True)
    weights = np.asarray(1.0 / np.bincount(owner)[owner], dtype=np.float64)
    root = float(np.sqrt(len(names)))
    info = {"records": float(len(rows))}
    if len(names) < ENOUGH_PEOPLE:
        bounds = fit_bounds(rows, weights, ends, FEW_PAD / root)
        for name, (low, high) in table.items():
            seen = bounds.get(name, (low, high))
            bounds[name] = (min(low, seen[0]), max(high, seen[1]))
        hold_rate(bounds, rows, weights, table)
        return bounds, info | {"pad": FEW_PAD}
    rate = 0.0
    for pad in PADS:
        rate = _pass_out_of_fold(rows, weights, owner, ends, pad)
        if rate >= AIM:
            break
    bounds = fit_bounds(rows, weights, ends, pad)
    if "dominant_hz" in bounds:
        low, high = table.get("dominant_hz", bounds["dominant_hz"])
        bounds["dominant_hz"] = (min(low, bounds["dominant_hz"][0]), max(high, bounds["dominant_hz"][1]))
    hold_rate(bounds, rows, weights, table)
    return bounds, info | {"pad": pad, "pass_out_of_fold": rate}


def _pass_out_of_fold(
    rows: Sequence[Mapping[str, float]],
    weights: Array,
    owner: NDArray[np.int64],
    ends: Mapping[str, str],
    pad: float,
) -> float:
    """Person-weighted share of stretches that pass bounds fitted on the other people, in 10 folds."""
    fold = np.random.default_rng(0).permutation(int(owner.max()) + 1)[owner] % 10
    passed = np.zeros(len(rows))
    for k in np.unique(fold):
        inside = np.flatnonzero(fold != k)
        bounds = fit_bounds([rows[i] for i in inside.tolist()], weights[inside], ends, pad)
        for i in np.flatnonzero(fold == k).tolist():
            passed[i] = not failures(rows[i], bounds)
    return float(np.average(passed, weights=weights))


def _quantiles(values: Array, weights: Array, at: tuple[float, ...]) -> Any:
    order = np.argsort(values)
    mass = np.cumsum(weights[order])
    return np.interp(np.asarray(at), (mass - weights[order] / 2) / mass[-1], values[order])
