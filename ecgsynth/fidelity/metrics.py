"""The metrics of sets: what each is called, which way is better, and what it says in one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

Goal = Literal["low", "high", "half"]


@dataclass(frozen=True)
class Metric:
    """One metric of two sets.

    Attributes
    ----------
    title : str
    goal : {"low", "high", "half"}
        Which way is better; "half": 0.5 is best.
    low, high : float
        What it can be; infinite where there is no bound.
    meaning : str
        One sentence for a reader who does not know it.
    source : str
        Who defined it.
    """

    title: str
    goal: Goal
    low: float
    high: float
    meaning: str
    source: str


_NAEEM = "Naeem et al., ICML 2020"
_ALAA = "Alaa et al., ICML 2022"
_SDMETRICS = "sdmetrics"

#: All metrics by the name they have in `SetComparison.metrics`, most telling first.
METRICS: Final[dict[str, Metric]] = {
    "kid": Metric(
        "Kernel distance (KID)",
        "low",
        -math.inf,
        math.inf,
        "How far the two sets lie apart in the eyes of a frozen encoder; 0 where nothing tells them apart.",
        "Binkowski et al., ICLR 2018; cubic kernel, unbiased, pairs of one person left out",
    ),
    "auc": Metric(
        "Told apart by features",
        "half",
        0.0,
        1.0,
        "How often gradient boosting on features picks the synthetic of one real and one synthetic record of "
        "people it did not train on; well below 0.5 points to copies.",
        "Lopez-Paz & Oquab, ICLR 2017",
    ),
    "auc_cnn": Metric(
        "Told apart by the signal",
        "half",
        0.0,
        1.0,
        "The same with a small convolutional network that looks at the signal.",
        "Lopez-Paz & Oquab, ICLR 2017",
    ),
    "coverage": Metric(
        "Coverage",
        "high",
        0.0,
        1.0,
        "Share of real records with a synthetic one closer than their fifth nearest real one: does the set "
        "reach all kinds of people?",
        _NAEEM,
    ),
    "density": Metric(
        "Density",
        "high",
        0.0,
        math.inf,
        "How deep synthetic records lie among real ones; about 1 for real ones, lower for outliers, higher "
        "where all crowd around the typical.",
        _NAEEM,
    ),
    "frechet": Metric(
        "Frechet distance",
        "low",
        0.0,
        math.inf,
        "Distance of means and covariances in the frozen encoder; larger for fewer records, so to be read "
        "beside real against real only.",
        "Heusel et al., NeurIPS 2017",
    ),
    "alpha_precision": Metric(
        "Alpha-precision",
        "high",
        0.0,
        1.0,
        "Whether synthetic records fill the middle and the fringe of the real ones in the same shares.",
        _ALAA,
    ),
    "beta_recall": Metric(
        "Beta-recall",
        "high",
        0.0,
        1.0,
        "Whether typical and unusual synthetic records together reach all real ones.",
        _ALAA,
    ),
    "authenticity": Metric(
        "Authenticity",
        "high",
        0.0,
        1.0,
        "Share of synthetic records farther from the nearest real one than that one is from other people; "
        "far below real against real points to copies.",
        _ALAA,
    ),
    "rr_ks": Metric(
        "RR intervals",
        "low",
        0.0,
        1.0,
        "Largest gap between the distributions of RR intervals (Kolmogorov-Smirnov).",
        "Massey, J Am Stat Assoc 46:68-78, 1951",
    ),
    "interval_ks": Metric(
        "Wave times",
        "low",
        0.0,
        1.0,
        "The same for P-to-R time, QRS duration and QT interval, on average.",
        "Massey, J Am Stat Assoc 46:68-78, 1951",
    ),
    "amplitude_ks": Metric(
        "Amplitudes",
        "low",
        0.0,
        1.0,
        "The same for the amplitudes of P, Q, R, S, ST, T and the whole QRS, on average.",
        "Massey, J Am Stat Assoc 46:68-78, 1951",
    ),
    "spectrum_db": Metric(
        "Spectrum",
        "low",
        0.0,
        math.inf,
        "Difference of the mean power spectra in dB, on average over frequency.",
        "mean absolute difference of mean log spectra",
    ),
    "lead_correlation": Metric(
        "Correlation of leads",
        "low",
        0.0,
        2.0,
        "Difference of the mean correlation of each two leads, on average.",
        "mean absolute difference of mean correlation matrices",
    ),
    "column_shapes": Metric(
        "Feature distributions",
        "high",
        0.0,
        1.0,
        "One minus the largest gap between the distributions of a feature, on average over 20 features.",
        f"{_SDMETRICS} KSComplement",
    ),
    "column_pairs": Metric(
        "Feature pairs",
        "high",
        0.0,
        1.0,
        "Whether features go together as they do in real records: likeness of all their correlations.",
        f"{_SDMETRICS} CorrelationSimilarity",
    ),
    "boundary_coverage": Metric(
        "Within real bounds",
        "high",
        0.0,
        1.0,
        "Share of synthetic feature values between the smallest and the largest real one.",
        f"{_SDMETRICS} BoundaryAdherence (once BoundaryCoverage)",
    ),
    "range_coverage": Metric(
        "Real range reached",
        "high",
        0.0,
        1.0,
        "Share of each feature's real range that synthetic records reach.",
        f"{_SDMETRICS} RangeCoverage",
    ),
    "logistic_detection": Metric(
        "Not told apart by a line",
        "high",
        0.0,
        1.0,
        "1 where logistic regression on features cannot tell the sets apart, 0 where it always can.",
        f"{_SDMETRICS} LogisticDetection",
    ),
}
