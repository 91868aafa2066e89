"""The three numbers that decide, as the page and the PDF show them: title, values, bar, what is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecgsynth.report.verdicts import AUC_COPIES, AUC_MEDIUM, COVERAGE_RATIO, GATE_SLACK

Numbers = Mapping[str, float | None]
_NONE: Numbers = {"value": None, "low": None, "high": None}


@dataclass(frozen=True)
class Deciding:
    """One of the three numbers of a rhythm.

    Attributes
    ----------
    title : str
    own, real : mapping
        ``value``, ``low`` and ``high`` of the synthetic and of the real side; None where there is none.
    real_title : str
        What the real side is.
    bar : float or None
        Where met ends.
    needs : str
        The bar in words.
    outcome : {"met", "missed", "unclear"}
    percent : bool
    ends : (float, float)
        Of the scale.
    names : (str, str)
        What stands under its ends.
    """

    title: str
    own: Numbers
    real: Numbers
    real_title: str
    bar: float | None
    needs: str
    outcome: str
    percent: bool
    ends: tuple[float, float]
    names: tuple[str, str]


def deciding_numbers(content: Mapping[str, Any], rhythm: str) -> list[Deciding]:
    """The numbers of a rhythm of a document, the gate first; those that were not measured are left out."""
    own = content["rhythms"][rhythm]
    found = []
    if "gate" in own["decided_by"] and rhythm in content["gate"]["rhythms"]:
        found.append(_gate(content["gate"]["rhythms"][rhythm], own["decided_by"]["gate"]["outcome"]))
    for name, make in (("auc", _auc), ("coverage", _coverage)):
        if name in own["decided_by"] and name in own.get("metrics", {}):
            found.append(make(own["metrics"][name], own["decided_by"][name]["outcome"]))
    return found


def _gate(entry: Mapping[str, Any], outcome: str) -> Deciding:
    reference = entry["reference"]
    bar = None if reference is None else reference["rate"]["value"] - GATE_SLACK
    rates = [rate for rate in (entry["stretches"]["rate"], reference and reference["rate"]) if rate]
    lowest = min([0.8, *(rate["low"] for rate in rates)])
    return Deciding(
        "Record gate: pass rate",
        entry["stretches"]["rate"] or _NONE,
        _NONE if reference is None else reference["rate"],
        "nobody to compare with" if reference is None else reference["who"],
        bar,
        "" if bar is None else f"needs at least {100 * bar:.1f} % (real less {100 * GATE_SLACK:.0f} points)",
        outcome,
        True,
        (math.floor(10 * lowest) / 10, 1.0),
        (f"{10 * math.floor(10 * lowest)} %", "100 %"),
    )


def _auc(measured: Mapping[str, Any], outcome: str) -> Deciding:
    own, real = _both(measured)
    bar = None if real["value"] is None else max(0.5, real["value"]) + AUC_MEDIUM
    needs = "" if bar is None else f"needs at most {bar:.2f}"
    if needs and own["high"] is not None and own["high"] < AUC_COPIES:
        needs += f", and an interval that reaches {AUC_COPIES:g}: what lies under it may be copies"
    lows = [side["low"] for side in (own, real) if side["low"] is not None]
    least = math.floor(10 * min(0.3, *lows)) / 10 if lows else 0.3
    return Deciding(
        "Told apart by a classifier: AUC",
        own,
        real,
        "real against real",
        bar,
        needs,
        outcome,
        False,
        (least, 1.0),
        (f"{least:g}", "1 (always)"),
    )


def _coverage(measured: Mapping[str, Any], outcome: str) -> Deciding:
    own, real = _both(measured)
    bar = None if real["value"] is None else COVERAGE_RATIO * real["value"]
    needs = "" if bar is None else f"needs at least {bar:.2f} ({COVERAGE_RATIO:g} of real)"
    return Deciding(
        "As varied as real people: coverage",
        own,
        real,
        "real against real",
        bar,
        needs,
        outcome,
        False,
        (0.0, 1.0),
        ("0", "1 (all)"),
    )


def _both(measured: Mapping[str, Any]) -> tuple[Numbers, Numbers]:
    if not measured["assessable"]:
        return _NONE, _NONE
    names = ("value", "low", "high")
    return {k: measured[k] for k in names}, {k: measured[f"real_{k}"] for k in names}
