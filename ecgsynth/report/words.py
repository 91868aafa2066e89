"""What features, checks and verdicts are called, for a clinician and an engineer."""

from __future__ import annotations

import re
from typing import Final

from ecgsynth.fidelity.faults import FAULTS

#: Title and unit of features (`ecgsynth.fidelity.features`); others appear under their own name.
FEATURE_TITLES: Final[dict[str, tuple[str, str]]] = {
    "rr": ("RR interval", "s"),
    "rate": ("Heart rate", "/min"),
    "nrmssd": ("RR irregularity (nRMSSD)", ""),
    "rr_cv": ("RR variation (CV)", ""),
    "rr_lag1": ("RR correlation, next beat", ""),
    "rr_lag2": ("RR correlation, second beat", ""),
    "rr_skew": ("RR skewness", ""),
    "alternate_2": ("RR repeats after 2 beats", ""),
    "alternate_3": ("RR repeats after 3 beats", ""),
    "p_score": ("P wave over noise", ""),
    "p_height": ("P height", "mV"),
    "p_share": ("Beats with the P wave", ""),
    "p_at_ms": ("P peak before R", "ms"),
    "r_height": ("R height", "mV"),
    "q_depth": ("Q depth", "mV"),
    "s_depth": ("S depth", "mV"),
    "qrs_span": ("QRS peak to peak", "mV"),
    "qrs_cv": ("QRS size, beat to beat (CV)", ""),
    "qrs_ms": ("QRS width", "ms"),
    "qrs_steep": ("QRS steepness", "mV/s"),
    "st_level": ("ST level", "mV"),
    "t_height": ("T height", "mV"),
    "t_at_ms": ("T peak after R", "ms"),
    "qt_ms": ("QT", "ms"),
    "likeness": ("Beats like the median beat (r)", ""),
    "likeness_low": ("Least alike beat (r)", ""),
    "repeat_1": ("Neighbouring beats alike (r)", ""),
    "residual_qrs": ("Beat-to-beat change in QRS (log mV)", ""),
    "residual_tp": ("Beat-to-beat change before QRS (log mV)", ""),
    "residual_tp_high": ("Noise before QRS (log mV)", ""),
    "fwave_power": ("4-9 Hz between beats (log)", ""),
    "align_rough": ("Roughness of the median beat (log)", ""),
    "spectral_entropy": ("Spectral entropy", ""),
    "skew": ("Skewness of samples", ""),
    "kurtosis": ("Kurtosis of samples", ""),
    "diff_rms": ("Steepness, RMS (mV/sample)", ""),
    "diff_kurtosis": ("Kurtosis of steps", ""),
    "diff2_rms": ("Curvature, RMS", ""),
    "diff2_ratio": ("Curvature over steepness", ""),
    "flat_share": ("Share of equal neighbours", ""),
    "wander_rms": ("Baseline wander", "mV"),
    "wander_steep": ("Baseline steepness", "mV/s"),
    "span": ("Peak to peak", "mV"),
    "dominant_hz": ("Strongest frequency", "Hz"),
    "concentration": ("Power at that frequency", ""),
    "quiet": ("Share of quiet samples", ""),
}
#: Features that are numbered: levels of the samples, and shares of the power in bands.
_LEVEL, _BAND = re.compile(r"q(\d\d)"), re.compile(r"band_([\d.]+)_([\d.]+)")
#: Shown first, where they were measured: what a clinician reads off a strip.
FAMILIAR: Final = ("rate", "nrmssd", "p_height", "p_score", "qrs_ms", "r_height", "qt_ms", "t_height")

#: What a check of the gate asks; others appear under their own name with an example.
CHECK_TITLES: Final[dict[str, str]] = {
    "missing": "samples that are not numbers",
    "flat_s": "a lead that does not move, seconds",
    "clipped_s": "a lead cut off at its extreme, seconds",
    "span_low": "smallest lead, mV peak to peak",
    "span_high": "largest lead, mV peak to peak",
    "offset": "mean of a lead, mV",
    "lead_uv": "limb leads that do not add up, uV",
    "beats": "beats found",
    "rate": "heart rate, beats/min",
    "nrmssd": "RR irregularity (nRMSSD)",
    "repetition": "stretches that repeat sample by sample",
    "rr_step": "typical change from RR to RR",
    "p_share": "beats with the P wave",
    "p_score": "P wave over noise",
    "qrs_ms": "QRS width, ms",
    "likeness": "beats like the median beat (r)",
    "pattern_2": "every second beat alike",
    "pattern_3": "every third beat alike",
    "sensitivity": "annotated beats that a detector finds",
    "precision": "detected beats that are annotated",
    "rate_least": "heart rate too high, beats/min",
    "rate_most": "heart rate too low, beats/min",
    "bsqi": "beats that two detectors agree on",
    "psqi": "share of power in the QRS band",
    "bassqi": "share of power above the baseline",
    "p_ms": "P wave, ms",
    "p_mv": "P wave, mV",
    "pr_ms": "PR interval, ms",
    "qtc_ms": "QT after Fridericia, ms",
    "st_mv": "ST level, mV",
    "t_mv": "T wave, mV",
    "t_share": "T wave over QRS",
    "qrs_mv": "QRS height, log10 mV",
    "evidence": "looks more like another rhythm (log-odds)",
    "dominant_hz": "strongest frequency, Hz",
    "concentration": "power at that frequency",
    "peakedness": "peakedness of the samples",
    "quiet": "share of quiet samples",
}

#: What a verdict means, in a sentence.
VERDICT_MEANING: Final[dict[str, str]] = {
    "looks real": "The gate passes as many as of real strips, a classifier tells at best few of them, and "
    "they are as varied as real people.",
    "distinguishable": "Plausible record by record, but as a set told from real ones, or less varied.",
    "fails": "Not fit to stand for real people with this rhythm.",
    "not assessable": "Cannot be told from what there is. This is not a pass.",
}
LIMITS: Final = (
    "A verdict compares one folder with another. It does not say that a record is safe to diagnose from, "
    "that the real folder is typical of patients, or that no person can be recognised: privacy is measured "
    "separately."
)


def feature_title(name: str) -> tuple[str, str]:
    """Title and unit of a feature; those of further leads begin with the lead's name (``"V1 r_height"``)."""
    lead, _, own = name.rpartition(" ")
    if level := _LEVEL.fullmatch(own):
        title, unit = f"Level that {int(level[1])} % of samples are under", "mV"
    elif band := _BAND.fullmatch(own):
        title, unit = f"Power at {band[1]} to {band[2]} Hz (log share)", ""
    else:
        title, unit = FEATURE_TITLES.get(own, (own.replace("_", " "), ""))
    return (f"{lead}: {title}" if lead else title), unit


def check_title(name: str) -> str:
    """What a check asks; ``looks_<fault>`` is a score for a fault, ``_12`` for one of twelve-lead records."""
    fault = name.removeprefix("looks_").removesuffix("_12")
    if name.startswith("looks_") and fault in FAULTS:
        return f"looks as if: {FAULTS[fault].title}"
    return CHECK_TITLES.get(name, name.replace("_", " "))


def left_out(count: int, side: str = "") -> str:
    """How many records, of which side, could not be read and were left out."""
    one = count == 1
    what = f"{side} record{'' if one else 's'}".strip()
    return f"{count} {what} could not be read and {'was' if one else 'were'} left out"
