"""Bounds of the gate: how they are stored, read, and fitted on real training people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import CheckpointError
from ecgsynth.fidelity.evidence import INPUTS, Evidence
from ecgsynth.rhythms import RHYTHMS, Rhythm

VERSION = 1
#: The calibration that ships with the package.
SHIPPED = Path(__file__).resolve().parent.parent / "weights" / "gate.json"

#: Fewest people for whom bounds are fitted without the rhythm table's.
ENOUGH_PEOPLE = 8
#: Widening of a fitted range in spreads (median to 5 or 95 % quantile), tried in turn.
PADS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
#: Widening where there are fewer, divided by the square root of people.
FEW_PAD = 1.5
#: Share of real stretches that a fitted end leaves out. Most of the 2 % that may fail goes to the check that
#: parts the rhythms best; what the others leave out are mostly the same noisy stretches.
TAIL = 0.0015
TAILS = {"evidence": 0.012, "rate": 0.003}
#: A fitted rate is held to the rhythm table's range widened by this share, unless over 1 % of real stretches of
#: the rhythm lie outside of that (the detector's mistakes, or loose labels).
RATE_SLACK = 0.15
#: Share of stretches of people who were not fitted on that must pass, over folds of training people.
AIM = 0.985

#: Numbers that may only vary within what they can be at all.
NATURAL = {
    "sensitivity": (0.0, 1.0),
    "precision": (0.0, 1.0),
    "likeness": (-1.0, 1.0),
    "p_share": (-1.0, 1.0),
    "quiet": (0.0, 1.0),
    "concentration": (0.0, 1.0),
}
NON_NEGATIVE = ("rate", "nrmssd", "rr_step", "qrs_ms", "flat_s", "clipped_s", "span_low", "span_high", "peakedness")

#: Which ends of a number are held: "low" has a lower bound, "high" an upper one, "both" both.
INTEGRITY_ENDS = {"flat_s": "high", "clipped_s": "high", "span_low": "low", "span_high": "high"}
BEAT_ENDS = {
    "rate": "both",
    "nrmssd": "both",
    "rr_step": "both",
    "qrs_ms": "both",
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

Bound = tuple[float, float]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Bounds of every check.

    Attributes
    ----------
    split : str
        Hash of the split whose training people were used.
    integrity : mapping of str to (low, high)
        Bounds of the raw-signal numbers, equal for all rhythms; infinite where an end is free.
    rhythms : mapping of str to mapping of str to (low, high)
        Bounds per rhythm.
    people : mapping of str to int
        Training people behind each rhythm's bounds.
    evidence : Evidence or None
        The model behind the number ``evidence``; None leaves that check out.
    fitted : mapping of str to mapping of str to float
        How each rhythm's bounds were fitted: ``pad``, ``records``, ``pass_out_of_fold``.
    """

    split: str
    integrity: Mapping[str, Bound]
    rhythms: Mapping[str, Mapping[str, Bound]]
    people: Mapping[str, int] = field(default_factory=dict)
    evidence: Evidence | None = None
    fitted: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def bounds(self, rhythm: str) -> Mapping[str, Bound]:
        """Bounds for ``rhythm``; those of the rhythm table where nothing was fitted."""
        return self.rhythms.get(rhythm) or table_bounds(RHYTHMS[rhythm])


def ends_of(rhythm: Rhythm) -> dict[str, str]:
    """The checks of a rhythm: number -> which ends are held."""
    if not rhythm.has_beats:
        return dict(NO_BEAT_ENDS)
    ends = BEAT_ENDS | PATTERN_ENDS.get(rhythm.name, {})
    if rhythm.p_wave == "required":
        ends["p_share"] = "low"
    elif rhythm.p_wave == "forbidden":
        ends["p_share"] = "high"
    return ends


def table_bounds(rhythm: Rhythm) -> dict[str, Bound]:
    """Bounds from the rhythm table alone, for a rhythm without enough real people."""
    if not rhythm.has_beats:
        return {}
    return {"rate": (float(rhythm.rate[0]), float(rhythm.rate[1])), "nrmssd": rhythm.irregular}


def failures(numbers: Mapping[str, float], bounds: Mapping[str, Bound]) -> list[str]:
    """Names of the numbers that lie outside their bounds; numbers that are absent are not judged."""
    return [k for k, (low, high) in bounds.items() if k in numbers and not low <= numbers[k] <= high]


def fit_bounds(
    rows: Sequence[Mapping[str, float]], weights: Array, ends: Mapping[str, str], pad: float
) -> dict[str, Bound]:
    """Weighted quantile range of each number, widened by ``pad`` spreads.

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
        at = (tail, 0.05, 0.5, 0.95, 1 - tail)
        least, low, mid, high, most = _quantiles(values[seen], weights[seen], at)
        lowest, highest = NATURAL.get(name, (0.0 if name in NON_NEGATIVE else -np.inf, np.inf))
        bounds[name] = (
            float(max(lowest, least - pad * (mid - low))) if end != "high" else -np.inf,
            float(min(highest, most + pad * (high - mid))) if end != "low" else np.inf,
        )
    return bounds


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
    rows: Sequence[Mapping[str, float]], people: Sequence[str], ends: Mapping[str, str], table: Mapping[str, Bound]
) -> tuple[dict[str, Bound], dict[str, float]]:
    """Bounds of one rhythm from its real stretches, and how they were found.

    Each person weighs the same. With at least 8 people the widening is the smallest of `PADS` with
    which the bounds of nine tenths of the people pass 98.5 % of the others; with fewer it is 1.5 over the square root of people, and
    the bounds take in those of the rhythm table.
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
        bounds = fit_bounds([rows[i] for i in inside], weights[inside], ends, pad)
        for i in np.flatnonzero(fold == k):
            passed[i] = not failures(rows[i], bounds)
    return float(np.average(passed, weights=weights))


def _quantiles(values: Array, weights: Array, at: tuple[float, ...]) -> Any:
    order = np.argsort(values)
    mass = np.cumsum(weights[order])
    return np.interp(np.asarray(at), (mass - weights[order] / 2) / mass[-1], values[order])


def load_calibration(path: Path | None = None) -> Calibration:
    """Read a calibration file; the shipped one by default.

    Raises
    ------
    CheckpointError
        If the file is missing, is not JSON, or is of another version or shape.
    """
    path = SHIPPED if path is None else path
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"gate calibration {path}: cannot be read ({error}); reinstall ecgsynth or run "
            "scripts/calibrate_gate.py."
        ) from error
    found = data.get("version") if isinstance(data, dict) else None
    if found != VERSION:
        raise CheckpointError(
            f"gate calibration {path}: version {found!r}, expected {VERSION}; run scripts/calibrate_gate.py."
        )
    try:
        rhythms = {name: _read_bounds(entry["bounds"]) for name, entry in data["rhythms"].items()}
        return Calibration(
            str(data["split"]),
            _read_bounds(data["integrity"]),
            rhythms,
            {name: int(entry["people"]) for name, entry in data["rhythms"].items()},
            _read_evidence(data["evidence"]),
            {name: entry.get("fitted", {}) for name, entry in data["rhythms"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"gate calibration {path}: field missing or not a number ({error}); run scripts/calibrate_gate.py."
        ) from error


def _read_evidence(entry: Mapping[str, Any] | None) -> Evidence | None:
    if entry is None:
        return None
    if list(entry["inputs"]) != list(INPUTS):
        raise ValueError(f"evidence inputs {entry['inputs']}")
    centre, scale, weights, bias = (
        np.asarray(entry[k], dtype=np.float64) for k in ("centre", "scale", "weights", "bias")
    )
    groups = tuple(str(name) for name in entry["groups"])
    if weights.shape != (len(groups), 2 * len(INPUTS)) or bias.shape != (len(groups),):
        raise ValueError(f"evidence weights of shape {weights.shape}")
    return Evidence(centre, scale, groups, weights, bias)


def _read_bounds(entry: Mapping[str, Sequence[float | None]]) -> dict[str, Bound]:
    bounds = {}
    for name, (low, high) in entry.items():
        bounds[name] = (-np.inf if low is None else float(low), np.inf if high is None else float(high))
    return bounds


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration as JSON; free ends become null."""
    data = {
        "version": VERSION,
        "split": calibration.split,
        "integrity": _plain_bounds(calibration.integrity),
        "evidence": _plain_evidence(calibration.evidence),
        "rhythms": {
            name: {
                "people": calibration.people.get(name, 0),
                "fitted": dict(calibration.fitted.get(name, {})),
                "bounds": _plain_bounds(bounds),
            }
            for name, bounds in calibration.rhythms.items()
        },
    }
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _plain_bounds(bounds: Mapping[str, Bound]) -> dict[str, list[float | None]]:
    return {k: [round(v, 4) if np.isfinite(v) else None for v in pair] for k, pair in bounds.items()}


def _plain_evidence(model: Evidence | None) -> dict[str, Any] | None:
    if model is None:
        return None
    arrays = {k: np.round(getattr(model, k), 5).tolist() for k in ("centre", "scale", "weights", "bias")}
    return {"inputs": list(INPUTS), "groups": list(model.groups), **arrays}
