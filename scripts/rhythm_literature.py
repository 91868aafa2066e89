"""What the literature says of rhythms that too few people in the data show; used by fit_rhythm_process.py."""

from __future__ import annotations

from typing import Any

# Median rate, SD of log rate, median CV and SD of its log, median nRMSSD / CV; extra parameters; source.
LITERATURE: dict[str, dict[str, Any]] = {
    "nsr": {
        "rate": 70,
        "spread": 0.16,
        "cv": 0.04,
        "ratio": 0.9,
        "limits": (50, 99),
        "cv_high": 0.13,
        "source": "WHI norms; Task Force 1996",
    },
    "sinus_bradycardia": {
        "rate": 53,
        "spread": 0.08,
        "cv": 0.045,
        "ratio": 0.95,
        "limits": (36, 59.5),
        "cv_high": 0.16,
        "source": "AHA-2018",
    },
    "sinus_tachycardia": {
        "rate": 112,
        "spread": 0.09,
        "cv": 0.015,
        "ratio": 0.8,
        "limits": (101, 160),
        "cv_high": 0.08,
        "source": "ESC-SVT",
    },
    "sinus_arrhythmia": {
        "rate": 68,
        "spread": 0.18,
        "cv": 0.12,
        "ratio": 1.0,
        "limits": (45, 100),
        "cv_low": 0.06,
        "source": "AHA-2018: PP varies by more than 120 ms",
    },
    "afib": {
        "rate": 88,
        "spread": 0.25,
        "cv": 0.22,
        "ratio": 1.38,
        "limits": (42, 170),
        "cv_low": 0.1,
        "source": "ESC-AF; Dash 2009",
    },
    "aflutter": {
        "rate": 110,
        "spread": 0.3,
        "cv": 0.05,
        "ratio": 1.0,
        "limits": (45, 180),
        "fixed_share": 0.4,
        "block": {"ratio": [2, 3, 4], "share": [0.55, 0.1, 0.35]},
        "source": "ESC-SVT: atrial 240-350/min, block 2:1 and 4:1 commonest",
    },
    "svt": {
        "rate": 165,
        "spread": 0.18,
        "cv": 0.03,
        "ratio": 0.9,
        "limits": (110, 240),
        "cv_high": 0.08,
        "junctional_share": 0.2,
        "p_share": 0.35,
        "source": "ESC-SVT: AVNRT 140-250/min; P hidden in most",
    },
    "vt": {
        "rate": 165,
        "spread": 0.2,
        "cv": 0.04,
        "ratio": 1.0,
        "limits": (105, 250),
        "cv_high": 0.12,
        "escape_share": 0.0,
        "capture_people": 0.25,
        "capture_rate": 0.02,
        "source": "ESC-VA: 100-250/min, near regular",
    },
    "bigeminy": {
        "rate": 75,
        "spread": 0.2,
        "cv": 0.04,
        "ratio": 0.9,
        "limits": (40, 120),
        "every": 2,
        "symbol": "V",
        "coupling": (0.62, 0.07),
        "coupling_within": 0.05,
        "pause": 1.0,
        "source": "MIT-BIH",
    },
    "trigeminy": {
        "rate": 75,
        "spread": 0.2,
        "cv": 0.04,
        "ratio": 0.9,
        "limits": (40, 120),
        "every": 3,
        "symbol": "V",
        "coupling": (0.62, 0.07),
        "coupling_within": 0.05,
        "pause": 1.0,
        "source": "MIT-BIH",
    },
    "atrial_bigeminy": {
        "rate": 78,
        "spread": 0.15,
        "cv": 0.03,
        "ratio": 0.9,
        "limits": (45, 110),
        "every": 2,
        "symbol": "A",
        "coupling": (0.6, 0.06),
        "coupling_within": 0.06,
        "pause": 0.25,
        "source": "mitdb 222 (one person) for coupling; reset pause after Wagner GS, Marriott's, 12th ed.",
    },
    "avb1": {
        "rate": 68,
        "spread": 0.17,
        "cv": 0.04,
        "ratio": 0.9,
        "limits": (42, 105),
        "cv_high": 0.15,
        "pr": (0.2, 0.32),
        "source": "AHA-2018: PR over 200 ms; sinus rates of nsr",
    },
    "avb2": {
        "rate": 75,
        "spread": 0.14,
        "cv": 0.03,
        "ratio": 0.7,
        "limits": (48, 105),
        "drop_every": [3, 4, 2, 5, 6],
        "source": "AHA-2018; mitdb 231 (one person, 2:1). Rate is the atrial one",
    },
    "avb3": {
        "rate": 41,
        "spread": 0.17,
        "cv": 0.02,
        "ratio": 0.7,
        "limits": (26, 60),
        "wide_share": 0.35,
        "atrial_rate": (82, 14),
        "source": "AHA-2018: junctional escape 40-60/min, ventricular 20-40/min",
    },
    "paced": {
        "rate": 71,
        "spread": 0.09,
        "cv": 0.02,
        "ratio": 1.0,
        "limits": (55, 110),
        "cv_high": 0.08,
        "fusion_share": 0.1,
        "sensed_share": 0.03,
        "tracking_share": 0.4,
        "source": "mitdb 102 104 107 217; AHA-2018",
    },
    "wpw": {
        "rate": 74,
        "spread": 0.17,
        "cv": 0.045,
        "ratio": 0.85,
        "limits": (48, 110),
        "pr": (0.09, 0.125),
        "source": "ESC-SVT: PR under 120 ms",
    },
    "junctional": {
        "rate": 54,
        "spread": 0.17,
        "cv": 0.045,
        "ratio": 0.9,
        "limits": (36, 90),
        "p_share": 0.3,
        "source": "AHA-2018: 40-60/min; mitdb 124 201 222",
    },
    "idioventricular": {
        "rate": 58,
        "spread": 0.25,
        "cv": 0.045,
        "ratio": 0.6,
        "limits": (28, 110),
        "escape_share": 0.5,
        "capture_people": 0.4,
        "capture_rate": 0.03,
        "source": "AHA-2018: 20-50/min, accelerated to 110; mitdb 124 207",
    },
    "vf": {"source": "Clayton RH et al. Cardiovasc Res 27:753, 1993; ACLS"},
    "vflutter": {"source": "ESC-VA: 250/min or more; 150-300/min in annotated tapes"},
}

# Hz and s. AF: Bollmann A et al. Europace 8:911-926, 2006 (4-9 Hz, mean 6, 0.3 Hz wander within a minute).
OSCILLATION = {
    "afib": (6.2, 0.9, 0.35, 0.8, 0.35, 0.6),
    "aflutter": (4.75, 0.4, 0.05, 2.0, 0.06, 2.0),
    # Within a tape of fibrillation frequency differs between stretches of 4 s, not within them.
    "vf": (4.6, 0.8, 0.7, 5.0, 0.4, 0.7),
    "vflutter": (3.9, 0.6, 0.12, 1.5, 0.15, 1.5),
}
OSC_KEYS = ("freq_mean", "freq_sd_people", "freq_sd_within", "freq_tau_s", "log_amp_sd", "log_amp_tau_s")
#: Log of the share of noise in the wave of fibrillation, and its SD over people. AF: what cannot be told in
#: surface strips (the rest of cancelled beats looks like disorder too) is taken as four fifths of the wave.
DISORDER = {"afib": (-0.22, 0.4), "vf": (-0.6, 0.35)}
#: Bend of waves of fibrillation, and mean and SD of the log of the swing of what is fast in them: set so that
#: draws have the spread of skewness and of fast power over half seconds that training people's strips have.
VF_SHAPE = {"bend": 0.1, "swing": [-0.9, 0.6], "swing_tau_s": 0.4}
#: Mean log of the amplitude of f waves over their mean, measured on 312 training people in AF.
LOG_AMP_MEAN = {"afib": -0.5}
#: SD in s of beat times beside the sinus node's own, by source: a tape does not run evenly. Set so that the
#: calmest tenth of training people's strips in nsr has their nRMSSD (mitdb 0.022) and CV (0.017).
BEAT_JITTER_S = {"mitdb": 0.0065}
#: Log-SD of CV and of nRMSSD / CV over people where they cannot be estimated: those of nsr, rounded.
USUAL_SPREAD = (0.45, 0.2)
#: Mean frequencies in Hz that a record of the rhythm may have, by definition of the rhythm (sources above).
OSC_RANGE = {"afib": (4.0, 9.0), "aflutter": (3.8, 5.6), "vf": (2.7, 7.0), "vflutter": (2.5, 5.0)}
