"""Bounds of the gate: what they are, and how they are stored and read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ecgsynth.errors import CheckpointError
from ecgsynth.fidelity.evidence import INPUTS, Evidence
from ecgsynth.rhythms import RHYTHMS, Rhythm

VERSION = 1
#: The calibration that ships with the package.
SHIPPED = Path(__file__).resolve().parent.parent / "weights" / "gate.json"

#: Frequency of the oscillation in Hz: 150 to 500/min in fibrillation, 180 to 350/min in flutter (ESC-VA).
OSCILLATION_HZ = {"vf": (1.5, 9.0), "vflutter": (3.0, 6.0)}

Bound = tuple[float, float]


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


def table_bounds(rhythm: Rhythm) -> dict[str, Bound]:
    """Bounds from the rhythm table alone, for a rhythm without enough real people."""
    if not rhythm.has_beats:
        return {"dominant_hz": OSCILLATION_HZ[rhythm.name]}
    return {"rate": (float(rhythm.rate[0]), float(rhythm.rate[1])), "nrmssd": rhythm.irregular}


def failures(numbers: Mapping[str, float], bounds: Mapping[str, Bound]) -> list[str]:
    """Names of the numbers that lie outside their bounds; numbers that are absent are not judged."""
    return [k for k, (low, high) in bounds.items() if k in numbers and not low <= numbers[k] <= high]


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
            f"gate calibration {path}: field missing or wrong ({error}); run scripts/calibrate_gate.py."
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
