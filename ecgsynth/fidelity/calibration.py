"""Bounds of the gate: what they are, and how they are stored and read."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ecgsynth.errors import CheckpointError
from ecgsynth.fidelity.fault_net import FaultNet, packed, unpacked
from ecgsynth.fidelity.trees import Trees
from ecgsynth.rhythms import RHYTHMS, Rhythm

VERSION = 4
#: The calibration that ships with the package.
SHIPPED = Path(__file__).resolve().parent.parent / "weights" / "gate.json"

#: Frequency of the oscillation in Hz: 150 to 500/min in fibrillation, 180 to 350/min in flutter (ESC-VA).
OSCILLATION_HZ = {"vf": (1.5, 9.0), "vflutter": (3.0, 6.0)}
#: Types in which the arrays of trees are stored, little-endian.
_STORED = {"feature": "<i2", "threshold": "<f4", "leaf": "<f4", "owner": "<i2", "base": "<f8"}

Bound = tuple[float, float]


@dataclass(frozen=True)
class Calibration:
    """Bounds of every check.

    Attributes
    ----------
    split : str
        Hash of the split whose people in train and val were used.
    integrity : mapping of str to (low, high)
        Bounds of the raw-signal numbers, equal for all rhythms; infinite where an end is free.
    rhythms : mapping of str to mapping of str to (low, high)
        Bounds per rhythm. ``looks_<fault>`` and, in records with the eight independent leads,
        ``looks_<fault>_12`` are log-odds of ``faults`` and ``strips`` together.
    people : mapping of str to int
        People behind each rhythm's bounds.
    evidence : Trees or None
        What tells rhythms apart, behind the number ``evidence``; None leaves that check out.
    faults : Trees or None
        What tells faults from sound recordings, one output per fault.
    strips : tuple of FaultNet
        What looks at the strip itself; the mean of their log-odds is added to those of ``faults``.
    fitted : mapping of str to mapping of str to float
        What each rhythm's bounds did to people whom they were not fitted on: sound ``records``, the share
        that passed (``pass_out_of_fold``, and per kind of record) and of planted faults that was found.
    """

    split: str
    integrity: Mapping[str, Bound]
    rhythms: Mapping[str, Mapping[str, Bound]]
    people: Mapping[str, int] = field(default_factory=dict)
    evidence: Trees | None = None
    faults: Trees | None = None
    fitted: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    strips: tuple[FaultNet, ...] = ()

    def bounds(self, rhythm: str) -> Mapping[str, Bound]:
        """Bounds for ``rhythm``; those of the rhythm table where nothing was fitted."""
        return self.rhythms.get(rhythm) or table_bounds(RHYTHMS[rhythm])


def table_bounds(rhythm: Rhythm) -> dict[str, Bound]:
    """Bounds from the rhythm table alone, for a rhythm without enough real people."""
    if not rhythm.has_beats:
        return {"dominant_hz": OSCILLATION_HZ[rhythm.name]}
    low, high = rhythm.rate
    return {"rate_most": (float(low), np.inf), "rate_least": (0.0, float(high)), "nrmssd": rhythm.irregular}


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
        return Calibration(
            str(data["split"]),
            _read_bounds(data["integrity"]),
            {name: _read_bounds(entry["bounds"]) for name, entry in data["rhythms"].items()},
            {name: int(entry["people"]) for name, entry in data["rhythms"].items()},
            _read_trees(data["evidence"]),
            _read_trees(data["faults"]),
            {name: entry.get("fitted", {}) for name, entry in data["rhythms"].items()},
            _read_strips(data["strips"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise CheckpointError(
            f"gate calibration {path}: field missing or wrong ({error}); run scripts/calibrate_gate.py."
        ) from error


def _read_trees(entry: Mapping[str, Any] | None) -> Trees | None:
    if entry is None:
        return None
    inputs, outputs = (tuple(str(name) for name in entry[k]) for k in ("inputs", "outputs"))
    trees, depth = int(entry["trees"]), int(entry["depth"])
    shapes: dict[str, tuple[int, ...]] = {
        "feature": (trees, 2**depth - 1), "threshold": (trees, 2**depth - 1), "leaf": (trees, 2**depth),
        "owner": (trees,), "base": (len(outputs),),
    }  # fmt: skip
    raw = zlib.decompress(base64.b64decode(entry["data"], validate=True))
    arrays, at = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape)) * np.dtype(_STORED[name]).itemsize
        arrays[name] = np.frombuffer(raw[at : at + size], dtype=_STORED[name]).reshape(shape)
        at += size
    feature, owner = arrays["feature"], arrays["owner"]
    if at != len(raw) or feature.min() < 0 or feature.max() >= len(inputs):
        raise ValueError("trees that do not fit their inputs")
    if owner.min() < 0 or owner.max() >= len(outputs):
        raise ValueError("trees that do not fit their outputs")
    return Trees(inputs, outputs, feature, arrays["threshold"], arrays["leaf"], owner, arrays["base"])


def _read_strips(entry: Mapping[str, Any]) -> tuple[FaultNet, ...]:
    outputs = [str(name) for name in entry["outputs"]]
    return tuple(unpacked(outputs, base64.b64decode(raw, validate=True)) for raw in entry["data"])


def _read_bounds(entry: Mapping[str, Sequence[float | None]]) -> dict[str, Bound]:
    bounds = {}
    for name, (low, high) in entry.items():
        bounds[name] = (-np.inf if low is None else float(low), np.inf if high is None else float(high))
    return bounds


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration as JSON; free ends become null, trees one compressed block each."""
    data = {
        "version": VERSION,
        "split": calibration.split,
        "integrity": _plain_bounds(calibration.integrity),
        "evidence": _plain_trees(calibration.evidence),
        "faults": _plain_trees(calibration.faults),
        "strips": _plain_strips(calibration.strips),
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


def _plain_trees(model: Trees | None) -> dict[str, Any] | None:
    if model is None:
        return None
    raw = b"".join(getattr(model, name).astype(kind).tobytes() for name, kind in _STORED.items())
    return {
        "inputs": list(model.inputs),
        "outputs": list(model.outputs),
        "trees": len(model.feature),
        "depth": int(np.log2(model.leaf.shape[1])),
        "data": base64.b64encode(zlib.compress(raw, 9)).decode("ascii"),
    }


def _plain_strips(nets: Sequence[FaultNet]) -> dict[str, Any]:
    outputs = list(nets[0].outputs) if nets else []
    return {"outputs": outputs, "data": [base64.b64encode(packed(net)).decode("ascii") for net in nets]}
