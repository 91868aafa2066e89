"""Which numbers the gate holds in which rhythm, at which end, and how far a bound lies beyond real people."""

from __future__ import annotations

from ecgsynth.fidelity.faults import conducted
from ecgsynth.rhythms import Rhythm

#: Numbers that may only vary within what they can be at all.
NATURAL = {
    "bsqi": (0.0, 1.0), "psqi": (0.0, 1.0),
    "bassqi": (0.0, 1.0), "likeness": (-1.0, 1.0), "p_share": (-1.0, 1.0), "quiet": (0.0, 1.0),
    "concentration": (0.0, 1.0),
}  # fmt: skip
NON_NEGATIVE = ("rate_least", "rate_most", "nrmssd", "rr_step", "qrs_ms", "peakedness", "qtc_ms", "pr_ms",
                "p_ms", "flat_s", "clipped_s", "plateaus", "span_low", "span_high")  # fmt: skip

#: How many spreads (median to 5 or 95 % quantile) a bound lies beyond the last real person: numbers that make
#: the rhythm are held closely, all others are for what no recorder ever shows.
WIDE_PAD = 2.0
PADS = {
    "rate_least": 0.5, "rate_most": 0.5, "nrmssd": 1.0, "p_share": 1.0, "pattern_2": 1.0, "pattern_3": 1.0,
    "dominant_hz": 1.0, "concentration": 1.0, "quiet": 1.0, "repetition": 0.5,
}  # fmt: skip

#: Which ends of a number are held: "low" has a lower bound, "high" an upper one, "both" both.
INTEGRITY_ENDS = {"flat_s": "high", "clipped_s": "high"}
#: Integrity bounds are at least these, in seconds: recorders start with up to half a second of nothing (as in
#: LUDB), and stay at their rails for as long as an artefact lasts.
INTEGRITY_FLOOR = {"flat_s": 0.8, "clipped_s": 0.3}
BEAT_ENDS = {
    "rate_least": "high", "rate_most": "low", "nrmssd": "both", "rr_step": "both", "likeness": "low",
    "evidence": "low",
    "bsqi": "low", "peakedness": "low", "psqi": "low", "bassqi": "low", "qrs_mv": "both", "span_low": "low",
    "span_high": "high", "repetition": "high",
}  # fmt: skip
#: Of rhythms whose beats are conducted: level after the QRS, T wave, and QT mean something there.
CONDUCTED_ENDS = {"st_mv": "both", "t_mv": "both", "t_share": "both", "qtc_ms": "both"}
#: Of rhythms with P waves that the QRS follows.
P_ENDS = {"p_share": "low", "pr_ms": "both", "p_ms": "both", "p_mv": "both"}
NO_BEAT_ENDS = {
    "dominant_hz": "both", "concentration": "low", "peakedness": "high", "quiet": "high", "evidence": "low",
    "bassqi": "low", "span_low": "low", "span_high": "high", "repetition": "high",
}  # fmt: skip
PATTERN_ENDS = {
    "bigeminy": {"pattern_2": "low"},
    "atrial_bigeminy": {"pattern_2": "low"},
    "trigeminy": {"pattern_3": "low"},
}
#: Heights are a person's and a recorder's, not a rhythm's: their bounds are those of all rhythms with beats.
HEIGHTS = ("qrs_mv", "t_mv", "t_share", "st_mv", "p_mv", "span_low", "span_high")
#: With fewer than `MANY_PEOPLE`, these take in the bounds of all rhythms with beats together: they measure
#: the detector and the noise more than the rhythm.
POOLED = ("nrmssd", "rr_step", "likeness", "bsqi", "peakedness", "psqi", "bassqi", "qtc_ms", "p_ms", *HEIGHTS)

#: QRS width is held where it belongs to the rhythm: conducted beats are narrow, ventricular ones wide.
NARROW = ("nsr", "sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia", "afib")
WIDE = ("vt", "idioventricular")


def ends_of(rhythm: Rhythm) -> dict[str, str]:
    """The checks of a rhythm but for those of faults: number -> which ends are held."""
    if not rhythm.has_beats:
        return dict(NO_BEAT_ENDS)
    ends = BEAT_ENDS | PATTERN_ENDS.get(rhythm.name, {})
    if conducted(rhythm.name):
        ends |= CONDUCTED_ENDS
    if rhythm.p_wave == "required":
        ends |= P_ENDS
    elif rhythm.p_wave == "forbidden":
        ends["p_share"] = "high"
    if rhythm.name in NARROW or rhythm.name in WIDE:
        ends["qrs_ms"] = "high" if rhythm.name in NARROW else "low"
    return ends


def is_score(name: str) -> bool:
    """Whether a number is log-odds from trees."""
    return name == "evidence" or name.startswith("looks_")


def pad_of(name: str) -> float:
    """Spreads by which a bound is widened, however many people it is from; log-odds are not widened."""
    return 0.0 if is_score(name) else PADS.get(name, WIDE_PAD)
