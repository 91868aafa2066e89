"""Fitting the gate's bounds on real training people, so that all checks together pass nearly all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.allocation import Scores, joint_limits
from ecgsynth.fidelity.calibration import Bound, failures
from ecgsynth.fidelity.checks import NATURAL, NON_NEGATIVE, is_score, pad_of
from ecgsynth.fidelity.few_people import FEWEST_PLANTED, bounds_at, limits_of_few
from ecgsynth.fidelity.people import folds_of, person_weights

Array = NDArray[np.float64]
Rows = Sequence[Mapping[str, float]]

#: Share of new people whom all checks together may turn down: under the 2 % that are allowed, as some new
#: people are from recorders that nobody fitted on. In twelve leads, which show faults so clearly that little
#: is lost by it, and in rhythms of few people it is less.
SHARE, CAUTIOUS_SHARE = 0.0135, 0.012
#: Share that is handed out between scores of one lead, and of twelve, before their limits move together, see
#: `joint_limits`.
BUDGET, TWELVE_BUDGET = 0.04, 0.006
#: With fewer people than this in a kind of record there is nothing to hand out: limits are those of a rhythm
#: that is made the same way, or beyond the highest scores.
SHARING_PEOPLE = 100
#: All other checks leave out next to nobody, and are widened beyond that, see `checks.PADS`.
TAIL = 0.0002
#: With fewer people than this bounds are their extremes, widened by
#: `FEW_PAD` spreads over the square root of people, but at least as those of many;
#: they take in those of all rhythms with beats together where the check is of `POOLED`.
MANY_PEOPLE = 60
FEW_PAD = 1.5
#: A fitted rate is held to the rhythm table's range widened by this share, unless over 1 % of real stretches
#: of the rhythm lie outside of that (the detector's mistakes, or loose labels).
RATE_SLACK = 0.2
#: Rates of the rhythm table are widened by this share for rhythms of few people: some hospitals call 91 beats
#: a minute a tachycardia.
TABLE_SLACK = 0.1

#: Beats must agree with a detector as they do in all but this share of real annotated strips, less the pad:
#: annotated people are few. In a rhythm that under `ENOUGH_PEOPLE` of them have (VT, paced) it is larger:
#: how often detectors lose their way in it is not known.
AGREEMENT, AGREEMENT_TAIL = ("sensitivity", "precision"), 0.01
AGREEMENT_PAD, UNKNOWN_PAD = 0.15, 0.45


def fit_bounds(rows: Rows, weights: Array, ends: Mapping[str, str]) -> dict[str, Bound]:
    """Weighted quantile range of each number, widened as `TAIL`, `MANY_PEOPLE` and `checks.PADS` say.

    ``weights`` [rows] sum to 1 for each person. Numbers seen in fewer than 4 rows get no bound.
    """
    bounds: dict[str, Bound] = {}
    for name, end in ends.items():
        values = np.array([row.get(name, np.nan) for row in rows])
        seen = np.isfinite(values)
        if seen.sum() < 4:
            continue
        people = float(weights[seen].sum())
        tail = TAIL if people >= MANY_PEOPLE else 0.0
        at = (tail, 0.05, 0.5, 0.95, 1 - tail)
        least, low, mid, high, most = _quantiles(values[seen], weights[seen], at)
        wider = max(FEW_PAD / float(np.sqrt(people)), pad_of(name))
        lowest, highest = NATURAL.get(name, (0.0 if name in NON_NEGATIVE else -np.inf, np.inf))
        bounds[name] = (
            float(max(lowest, least - wider * (mid - low))) if end != "high" else -np.inf,
            float(min(highest, most + wider * (high - mid))) if end != "low" else np.inf,
        )
    return bounds


def fit_agreement(rows: Rows, weights: Array, pad: float = AGREEMENT_PAD) -> dict[str, Bound]:
    """Lower bounds of `AGREEMENT` from annotated strips: of one rhythm, or of all with beats together."""
    bounds = {}
    for name in AGREEMENT:
        values = np.array([row.get(name, np.nan) for row in rows])
        seen = np.isfinite(values)
        if seen.any():
            low = _quantiles(values[seen], weights[seen], (AGREEMENT_TAIL,))[0]
            bounds[name] = (float(low) - pad, np.inf)
    return bounds


def widen_to(
    bounds: dict[str, Bound], other: Mapping[str, Bound], names: Sequence[str] | None = None
) -> None:
    """Make each bound (of ``names``, if given) take in that of the same name in ``other``, where finite."""
    for name, (low, high) in other.items():
        if name in bounds and (names is None or name in names):
            own = bounds[name]
            bounds[name] = (
                min(low, own[0]) if np.isfinite(low) else own[0],
                max(high, own[1]) if np.isfinite(high) else own[1],
            )


def hold_rate(bounds: dict[str, Bound], rows: Rows, weights: Array, table: Mapping[str, Bound]) -> None:
    """Narrow the bounds of the rate to the table's range and 15 %, where real stretches allow it."""
    for name, end in (("rate_most", 0), ("rate_least", 1)):
        if name not in bounds or name not in table:
            continue
        edge = table[name][end] * (1 - RATE_SLACK if end == 0 else 1 + RATE_SLACK)
        values = np.array([row.get(name, np.nan) for row in rows])
        outside = values < edge if end == 0 else values > edge
        if np.average(outside, weights=weights) <= 0.01:
            low, high = bounds[name]
            bounds[name] = (max(low, edge), high) if end == 0 else (low, min(high, edge))


def fit_rhythm(
    rows: Rows,
    people: Sequence[str],
    ends: Mapping[str, str],
    table: Mapping[str, Bound],
    planted: Mapping[str, Rows] | None = None,
    base: Mapping[str, Bound] | None = None,
) -> dict[str, Bound]:
    """Bounds of one rhythm from its real stretches.

    Each person weighs the same. ``planted`` are rows of the same people with a fault, by its name and kind of
    record (``splice``, ``splice_12``), and of other rhythms under this one's name; they say which score is
    worth how many sound records, see :mod:`ecgsynth.fidelity.allocation`. With fewer than `MANY_PEOPLE` the
    bounds are extremes and take in those of the rhythm table. ``base`` has limits of scores of a rhythm with
    more people whose beats are made the same way.
    """
    names, owner = np.unique(np.asarray(people), return_inverse=True)
    weights = person_weights(owner)
    plain = {name: end for name, end in ends.items() if not is_score(name)}
    bounds = fit_bounds(rows, weights, plain)
    if len(names) < MANY_PEOPLE:
        for name, (low, high) in table.items():
            if name.startswith("rate_"):
                low, high = low * (1 - TABLE_SLACK), high * (1 + TABLE_SLACK)
            seen = bounds.get(name, (low, high))
            bounds[name] = (min(low, seen[0]), max(high, seen[1]))
        lost = np.zeros(len(rows), dtype=bool)
    else:
        if "dominant_hz" in bounds:
            widen_to(bounds, table, ("dominant_hz",))
        lost = _lost_out_of_fold(rows, weights, owner, plain)
    hold_rate(bounds, rows, weights, table)
    scores = tuple(name for name in ends if is_score(name))
    return bounds | _score_bounds(rows, people, lost, scores, planted or {}, base or {})


def _score_bounds(
    rows: Rows,
    people: Sequence[str],
    lost: NDArray[np.bool_],
    names: Sequence[str],
    planted: Mapping[str, Rows],
    base: Mapping[str, Bound],
) -> dict[str, Bound]:
    """Limits of scores; one-lead and twelve-lead records are turned down in a share each.

    Evidence is held in both, at the limit of one lead where there are such records.
    """
    limits: dict[str, float] = {}
    for twelve in (False, True):
        here = [name for name in names if name == "evidence" or name.endswith("_12") == twelve]
        checks = [name for name in here if name not in limits]
        mine = np.array([i for i, row in enumerate(rows) if twelve == _of_twelve(row)], dtype=np.int64)
        if not len(mine) or not checks:
            continue
        own = {name: name.removeprefix("looks_") for name in checks if name != "evidence"}
        faulty = {
            key: Scores.of(checks, [_high(row) for row in some])
            for key, some in planted.items()
            if key.endswith("_12") == twelve
        }
        sound = Scores.of(checks, [_high(rows[i]) for i in mine])
        own_people = [people[i] for i in mine]
        _, who = np.unique(own_people, return_inverse=True)
        weights = person_weights(who)
        budget = TWELVE_BUDGET if twelve else BUDGET
        count = float(weights.sum())
        share = SHARE if count >= SHARING_PEOPLE and not twelve else CAUTIOUS_SHARE
        if count >= SHARING_PEOPLE:
            faulty = {key: some for key, some in faulty.items() if len(some.values) >= FEWEST_PLANTED}
            found = joint_limits(sound, weights, who, faulty, own, budget, share, lost[mine], free=twelve)
        else:
            found = limits_of_few(sound, weights, who, faulty, own, share, lost[mine], base)
        limits |= found
        if "evidence" in limits:
            lost = lost | np.array([-row.get("evidence", np.inf) > limits["evidence"] for row in rows])
    return bounds_at(limits)


def _of_twelve(row: Mapping[str, float]) -> bool:
    """Whether a row has scores of a twelve-lead record."""
    return any(name.startswith("looks_") and name.endswith("_12") for name in row)


def _high(row: Mapping[str, float]) -> Mapping[str, float]:
    """The row with evidence turned round, so that all scores are bad when they are high."""
    return {**row, "evidence": -row["evidence"]} if "evidence" in row else row


def _lost_out_of_fold(
    rows: Rows, weights: Array, owner: NDArray[np.int64], plain: Mapping[str, str]
) -> NDArray[np.bool_]:
    """Which stretches lie outside of bounds of plain numbers fitted on the other people, in 10 folds."""
    fold = folds_of(owner, 10)
    lost = np.zeros(len(rows), dtype=bool)
    for k in np.unique(fold):
        inside = np.flatnonzero(fold != k)
        bounds = fit_bounds([rows[i] for i in inside.tolist()], weights[inside], plain)
        for i in np.flatnonzero(fold == k).tolist():
            lost[i] = bool(failures(rows[i], bounds))
    return lost


def _quantiles(values: Array, weights: Array, at: tuple[float, ...]) -> Any:
    order = np.argsort(values)
    mass = np.cumsum(weights[order])
    return np.interp(np.asarray(at), (mass - weights[order] / 2) / mass[-1], values[order])
