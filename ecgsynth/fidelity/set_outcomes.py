"""All metrics of two sets of measured records, as outcomes with what each record contributes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.distances import frechet, kid
from ecgsynth.fidelity.halves import Outcome
from ecgsynth.fidelity.neighbours import (
    alpha_precision,
    authenticity,
    beta_recall,
    density_coverage,
    meeting,
    surroundings,
)
from ecgsynth.fidelity.strip_numbers import StripNumbers
from ecgsynth.fidelity.table_metrics import (
    AMPLITUDES,
    COLUMNS,
    INTERVALS,
    ks,
    mean_gap,
    mean_ks,
    pairs_of,
    sdmetrics_outcomes,
)
from ecgsynth.fidelity.two_sample import JUDGES, out_of_fold_scores

Array = NDArray[np.float64]
Outcomes = dict[str, Outcome]

#: Folds of the classifiers, as far as there are people.
FOLDS = 5
#: Fewest RR intervals on each side to compare them.
FEWEST_RR = 8


def quick_outcomes(first: StripNumbers, *others: StripNumbers) -> list[Outcomes]:
    """Metrics that take milliseconds, of ``first`` (real) against each of ``others``."""
    around = surroundings(first.embedding, first.owner)
    found = []
    for other in others:
        near = meeting(first.embedding, around, other.embedding)
        outcomes = {
            "kid": kid(first.embedding, first.owner, other.embedding, other.owner),
            "frechet": frechet(first.embedding, other.embedding),
            **density_coverage(near),
            "alpha_precision": alpha_precision(first.embedding, other.embedding),
            "beta_recall": beta_recall(near, around, other.embedding),
            "authenticity": authenticity(near, around),
            "spectrum_db": mean_gap(first.spectrum, other.spectrum),
        }
        found.append(outcomes | _shape_outcomes(first, other))
    return found


def _shape_outcomes(first: StripNumbers, other: StripNumbers) -> Outcomes:
    """Distributions of RR intervals, wave times and heights, and lead correlations."""
    outcomes: Outcomes = {}
    if min(len(first.rr), len(other.rr)) >= FEWEST_RR:
        rows = (len(first.owner), len(other.owner))
        outcomes["rr_ks"] = ks(first.rr, other.rr, first.rr_record, other.rr_record, rows)
    for name, features in (("interval_ks", INTERVALS), ("amplitude_ks", AMPLITUDES)):
        at = first.columns(features)
        outcome = mean_ks(first.table[:, at], other.table[:, at])
        if outcome is not None:
            outcomes[name] = outcome
    if first.correlation is not None and other.correlation is not None:
        outcomes["lead_correlation"] = mean_gap(pairs_of(first.correlation), pairs_of(other.correlation))
    return outcomes


def table_outcomes(first: StripNumbers, other: StripNumbers, seed: int) -> Outcomes:
    """sdmetrics' metrics on `COLUMNS` of the first lead; pairs of three leads take ten times as long."""
    at = [first.names.index(name) for name in COLUMNS]
    return sdmetrics_outcomes(first.table[:, at], other.table[:, at], COLUMNS, seed)


def judge_outcome(
    judge: Literal["boosting", "cnn"],
    first: StripNumbers,
    other: StripNumbers,
    seed: int,
    signals: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> Outcome:
    """Two-sample AUC of a judge of `JUDGES`, on the feature tables or on ``signals``.

    Influences are the placements of DeLong et al., Biometrics 44:837-845, 1988.
    """
    rows = (first.table, other.table) if signals is None else signals
    owners = [np.unique(side.owner, return_inverse=True)[1] for side in (first, other)]
    folds = min(FOLDS, *(int(owner.max()) + 1 for owner in owners))
    a, b = out_of_fold_scores(
        np.asarray(rows[0], dtype=np.float64),
        [str(i) for i in owners[0]],
        np.asarray(rows[1], dtype=np.float64),
        [str(i) for i in owners[1]],
        JUDGES[judge],
        folds=folds,
        seed=seed,
    )
    above_a, below_b = 1.0 - _placement(a, b), _placement(b, a)
    auc = float(below_b.mean())
    return Outcome(auc, above_a - auc, below_b - auc)


def _placement(scores: Array, others: Array) -> Array:
    """Share of ``others`` below each of ``scores``, ties counted half."""
    ordered = np.sort(others)
    ends = [np.searchsorted(ordered, scores, side) for side in ("left", "right")]
    return np.asarray((ends[0] + ends[1]) / (2.0 * len(ordered)))
