"""The gate's reasons in words."""

from __future__ import annotations

from collections.abc import Mapping

from ecgsynth.fidelity.calibration import Bound, failures
from ecgsynth.fidelity.faults import FAULTS

#: What a reason adds in words.
WORDS = {
    "flat_s": "seconds without change",
    "clipped_s": "seconds at the lead's own extreme",
    "span_low": "mV from lowest to highest sample",
    "span_high": "mV from lowest to highest sample",
    "lead_uv": "uV between the limb leads and their sum",
    "rate_least": "beats/min",
    "rate_most": "beats/min",
    "sensitivity": "of the annotated beats are found by a detector within 50 ms",
    "precision": "of the beats of a detector are annotated within 50 ms",
    "bsqi": "of the beats are seen by both detectors",
    "psqi": "of the power in 5-40 Hz is in 5-15 Hz",
    "bassqi": "of the power under 40 Hz is above 1 Hz",
    "peakedness": "kurtosis: 3 is noise",
    "likeness": "correlation of a beat with the median beat",
    "nrmssd": "irregularity, RMSSD over mean RR",
    "rr_step": "median change from RR to RR",
    "p_share": "of what is before the QRS repeats from beat to beat",
    "p_ms": "ms, P wave",
    "pr_ms": "ms, PR interval",
    "qrs_ms": "ms, QRS",
    "qtc_ms": "ms, QT after Fridericia",
    "p_mv": "mV, P wave",
    "st_mv": "mV, ST level",
    "t_mv": "mV, T wave",
    "t_share": "of the QRS, T wave",
    "qrs_mv": "log10 mV, QRS height",
    "dominant_hz": "Hz, strongest frequency",
    "concentration": "of the power around it",
    "quiet": "of the samples near the baseline",
    "repetition": "nines in the correlation with itself some beats later: a copy",
}


def explain(
    numbers: Mapping[str, float], bounds: Mapping[str, Bound], where: str, seems: str = ""
) -> list[str]:
    """One reason for each number outside of its bounds; ``seems`` is the rhythm that it looks like."""
    reasons = []
    for name in failures(numbers, bounds):
        low, high = bounds[name]
        value = numbers[name]
        side = f"over {high:.3g}" if value > high else f"under {low:.3g}"
        fault = name.removeprefix("looks_").removesuffix("_12")
        words = WORDS.get(name, "")
        if name == "evidence" and seems:
            words = f"looks like {seems}"
        elif name.startswith("looks_") and fault in FAULTS:
            words = FAULTS[fault].title
        reasons.append(f"{name}: {value:.3g} {side}{where}" + (f" ({words})" if words else ""))
    return reasons
