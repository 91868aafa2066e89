"""``fidelity.json``: all that a report says, as numbers; the page and the PDF are drawn from it.

The fields are described in ``docs/report.md``. Nothing in it depends on the clock, the machine or the way to
the folders; nothing of a single real person is in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ecgsynth import __version__
from ecgsynth.report.comparing import FEWEST, FEWEST_GATE
from ecgsynth.report.findings import Findings, RhythmFindings, Side
from ecgsynth.report.histograms import distributions
from ecgsynth.report.tally import Tally
from ecgsynth.report.verdicts import (
    AUC_COPIES,
    AUC_LARGE,
    AUC_MEDIUM,
    COVERAGE_MOST,
    COVERAGE_RATIO,
    DECIDING,
    GATE_SLACK,
    WHY,
)

SCHEMA: Final = "ecgsynth.fidelity"
VERSION: Final = 1
#: Rejected records that are listed by name; all are counted.
MOST_LISTED: Final = 1000
#: Points of a spectrum that are kept.
SPECTRUM_POINTS: Final = 256

Document = dict[str, Any]


def document(findings: Findings) -> Document:
    """The document of a report."""
    options = findings.options
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "ecgsynth": __version__,
        "options": {
            "seed": options.seed,
            "quick": options.quick,
            "rhythms": list(options.rhythms),
            "leads": list(options.leads) if options.leads else None,
            "most_strips": options.size.most,
            "strips_per_person": options.size.per_person,
            "resamples": options.size.resamples,
        },
        "synthetic": _side(findings.synthetic),
        "real": _side(findings.real),
        "verdicts": {name: found.verdict for name, found in findings.rhythms.items()},
        "gate": _gate(findings),
        "rhythms": {name: _rhythm(found) for name, found in findings.rhythms.items()},
        "metrics": {name: _metric(metric) for name, metric in findings.metrics.items()},
        "thresholds": _thresholds(),
    }


def to_json(content: Mapping[str, Any]) -> str:
    """The document as text, the same bytes for the same content; what is not finite becomes null."""
    return json.dumps(_plain(content), indent=1, sort_keys=False, allow_nan=False, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _side(side: Side) -> Document:
    unreadable = list(side.folder.unreadable.values())
    return {
        "name": side.folder.name,
        "kind": side.folder.database,
        "sha256": side.sha256,
        **side.about,
        "rhythm_claimed": side.folder.claim,
        "unreadable": {
            "count": len(unreadable),
            "records": [{"record": u.record, "why": u.why} for u in unreadable[:MOST_LISTED]],
        },
        "notes": list(side.notes),
    }


def _gate(findings: Findings) -> Document:
    return {
        **findings.gate.document(),
        "rhythms": {name: _gate_of(found) for name, found in findings.rhythms.items() if found.records.total},
        "rejected": [
            {"record": record, "rhythms": list(rhythms), "reasons": list(reasons)}
            for record, rhythms, reasons in findings.rejected[:MOST_LISTED]
        ],
        "rejected_listed": min(len(findings.rejected), MOST_LISTED),
        "examples": _examples(findings.gate),
        "calibration": findings.calibration,
    }


def _gate_of(found: RhythmFindings) -> Document:
    return {
        **found.records.document(),
        "examples": _examples(found.records),
        "stretches": found.gate.document(),
        "real": found.gate_real.document(),
        "reference": found.reference and {"who": found.reference[1], "rate": found.reference[0].rounded()},
    }


def _examples(tally: Tally) -> dict[str, str]:
    return {name: tally.examples[name] for name in tally.document()["reasons"]}


def _rhythm(found: RhythmFindings) -> Document:
    content: Document = {
        "verdict": found.verdict,
        "because": list(found.because),
        "decided_by": {c.name: {"outcome": c.outcome, "words": c.words} for c in found.criteria},
        "compared": found.comparison is not None,
        "why_not": found.why_not,
        "notes": list(found.notes),
        "faulty_real_strips": found.faulty,
        "unusable_synthetic_strips": found.unusable,
    }
    if found.ground is not None:
        content["ground"] = {
            "leads": list(found.ground.leads),
            "pooled": found.ground.pooled,
            "fs_hz": found.ground.fs,
            "bandwidth_hz": found.ground.bandwidth,
            "seconds": found.ground.seconds,
        }
    content["shown"] = [
        {"role": s.role, "record": s.strip.record, "start_s": s.strip.start, "score": s.score}
        for s in found.shown
        if s.role != "real"
    ]
    return content | _compared(found)


def _compared(found: RhythmFindings) -> Document:
    comparison = found.comparison
    if comparison is None:
        return {}
    hz, real, synthetic = comparison.spectrum
    step = max(1, -(-len(hz) // SPECTRUM_POINTS))
    content: Document = {
        "people_real": comparison.people_real,
        "people_synthetic": comparison.people_synthetic,
        "records_real": comparison.records_real,
        "records_synthetic": comparison.records_synthetic,
        "records_compared": comparison.compared,
        "metrics": {name: _measured(m) for name, m in comparison.metrics.items()},
        "give_away": dict(sorted(comparison.give_away.items(), key=lambda item: -item[1])),
        "distributions": distributions(comparison),
        "spectrum": {
            "hz": np.asarray(hz)[::step],
            "real_db": np.asarray(real)[:, ::step],
            "synthetic_db": np.asarray(synthetic)[:, ::step],
        },
    }
    if comparison.lead_correlation is not None:
        leads, real_matrix, synthetic_matrix = comparison.lead_correlation
        content["lead_correlation"] = {
            "leads": list(leads),
            "real": real_matrix,
            "synthetic": synthetic_matrix,
        }
    return content


def _measured(measured: Any) -> Document:
    return {
        "value": measured.value,
        "low": measured.low,
        "high": measured.high,
        "real_value": measured.real_value,
        "real_low": measured.real_low,
        "real_high": measured.real_high,
        "assessable": measured.assessable,
        "note": measured.note,
    }


def _metric(metric: Any) -> Document:
    return {name: getattr(metric, name) for name in ("title", "goal", "low", "high", "meaning", "source")}


def _thresholds() -> Document:
    return {
        "deciding": ["gate", *DECIDING],
        "gate_slack": GATE_SLACK,
        "auc_medium": AUC_MEDIUM,
        "auc_large": AUC_LARGE,
        "auc_copies": AUC_COPIES,
        "coverage_ratio": COVERAGE_RATIO,
        "coverage_most": COVERAGE_MOST,
        "fewest_people": FEWEST,
        "fewest_real_strips_for_the_gate": FEWEST_GATE,
        "why": dict(WHY),
    }
