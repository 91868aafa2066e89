"""Log-odds of rhythms and faults for real people whom trees and network behind them were not fitted on."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from gate_rows import Row
from gate_strips import Strips
from numpy.typing import NDArray

from ecgsynth.fidelity import people
from ecgsynth.fidelity.evidence import (
    context,
    fault_odds_many,
    fit_fault,
    fit_rhythms,
    inputs_of,
    log_odds_many,
    table,
)
from ecgsynth.fidelity.fault_net import FaultNet, add_strip_odds, mean_odds
from ecgsynth.fidelity.faults import FAULTS, told
from ecgsynth.fidelity.trees import Trees, join

#: Folds of people.
FOLDS = 4
#: Real rhythms under another's name, which its evidence should tell.
MISLABELLED = {
    "nsr": ("afib", "vt", "svt", "vf"),
    "afib": ("nsr", "vt", "vf", "sinus_tachycardia"),
}

#: Log-odds of faults from the network.
Odds = Mapping[str, float]
#: Scores of each row, and of rows under another rhythm's name, by that name.
Scores = list[dict[str, float]]
Claimed = dict[str, dict[int, dict[str, float]]]


def folds_of(rows: Sequence[Row], seed: int = 0, folds: int = FOLDS) -> NDArray[np.int64]:
    """Fold of each row; a person is in one fold."""
    _, owner = np.unique([row.subject for row in rows], return_inverse=True)
    return people.folds_of(owner, folds, seed)


def looked_for(name: str, row: Row) -> bool:
    """Whether a fault is looked for in strips like this one."""
    return bool(name) and (row.twelve or not FAULTS[name].twelve) and FAULTS[name].sought(row.rhythm)


def fit_trees_of(rows: Sequence[Row], kept: NDArray[np.bool_], values: Table) -> tuple[Trees, Trees]:
    """Trees for rhythms and for every fault, from the rows ``kept``."""
    parts = [row for row, keep in zip(rows, kept, strict=True) if keep and not row.fault]
    rhythms, leads, subjects = ([getattr(row, k) for row in parts] for k in ("rhythm", "lead", "subject"))
    evidence = fit_rhythms([row.numbers for row in parts], rhythms, leads, subjects)
    names = np.array([f"{row.subject}/{row.rhythm}" for row in rows])
    sound = np.array([not row.fault for row in rows])
    models = []
    for name in dict.fromkeys(row.fault for row in rows if row.fault):
        fits = np.array([looked_for(name, row) for row in rows]) & kept
        damaged = np.array([row.fault == name for row in rows])
        one, two = np.flatnonzero(sound & fits), np.flatnonzero(damaged & fits)
        both = names[one].tolist(), names[two].tolist()
        models.append(fit_fault(name, values.numbers[one], values.numbers[two], both, values.inputs))
    return evidence, join(models)


@dataclass(frozen=True)
class Table:
    """Numbers of all rows [rows, inputs] as the trees for faults see them, and their names."""

    inputs: tuple[str, ...]
    numbers: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Table:
        known = [{**row.numbers, **context(row.rhythm, row.lead)} for row in rows]
        inputs = inputs_of(known)
        return cls(inputs, table(known, inputs))


def scores_of(trees: tuple[Trees, Trees], rows: Sequence[Row], strips: Sequence[Odds]) -> Scores:
    """What the gate sees of each row under the rhythm that it says it is; ``strips`` are the network's."""
    asked = [(row.numbers, row.lead, row.rhythm) for row in rows]
    evidence, faults = log_odds_many(trees[0], asked), fault_odds_many(trees[1], asked)
    scores: Scores = []
    for row, odds, looks, more in zip(rows, evidence, faults, strips, strict=True):
        own = {} if odds is None else {"evidence": odds[0]}
        for name, value in add_strip_odds(looks, more).items():
            fault = name.removeprefix("looks_")
            if told(fault, row.lead, row.twelve) and looked_for(fault, row):
                own[f"{name}_12" if row.twelve else name] = value
        scores.append(own)
    return scores


def scores_out_of_fold(
    rows: Sequence[Row],
    values: Table,
    nets: Sequence[tuple[FaultNet, ...]],
    strips: Strips,
    further: Sequence[Row] = (),
) -> tuple[Scores, Claimed]:
    """Scores of all rows from trees that did not see the person, of some under other rhythms' names too.

    ``nets`` has networks for each fold that did not see its people, ``strips`` the strip of each row;
    ``further`` rows, whose numbers follow in ``values``, are of the same people and only fitted on.
    """
    fold = folds_of(rows)
    all_rows = [*rows, *further]
    at = {row.subject: k for row, k in zip(rows, fold.tolist(), strict=True)}
    fold_of_all = np.array([at[row.subject] for row in all_rows])
    scores: Scores = [{} for _ in rows]
    claimed: Claimed = {claim: {} for claim in MISLABELLED}
    for k in range(FOLDS):
        trees = fit_trees_of(all_rows, fold_of_all != k, values)
        held = np.flatnonzero(fold == k).tolist()
        odds = odds_of(nets[k], strips, held)
        for i, own in zip(held, scores_of(trees, [rows[i] for i in held], odds), strict=True):
            scores[i] = own
        for claim, names in MISLABELLED.items():
            some = [i for i in held if not rows[i].fault and rows[i].rhythm in names]
            under = [replace(rows[i], rhythm=claim) for i in some]
            odds = odds_of(nets[k], strips, some, claim)
            claimed[claim] |= dict(zip(some, scores_of(trees, under, odds), strict=True))
        print(f"trees of fold {k + 1} of {FOLDS}", file=sys.stderr, flush=True)
    return scores, claimed


def odds_of(nets: Sequence[FaultNet], strips: Strips, index: Sequence[int], claim: str = "") -> list[Odds]:
    """The networks' log-odds of some strips, under their own rhythm or the name ``claim``."""
    return [
        mean_odds(nets, strips.strips[i], claim or str(strips.rhythm[i]), str(strips.lead[i])) for i in index
    ]
