"""Re-identification: whether synthetic records are nearer to training people than to holdout people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.intervals import bootstrap
from ecgsynth.privacy.samples import Sample
from ecgsynth.privacy.verifier import Verifier

Floats = NDArray[np.float64]

#: Share of pairs of different people that the verification may take for one person.
FAR: Final = 1e-3
#: Fewest people of either side, and the widest interval of the difference behind a pass.
FEWEST: Final = 20
#: Fewest training people for a failure: the exchange test behind it is exact with few people, too.
FEWEST_TO_FAIL: Final = 5
WIDEST: Final = 0.01
_MOST: Final = 4000
_EXCHANGES: Final = 2000


def reidentification(
    train: Sequence[Sample],
    holdout: Sequence[Sample],
    synthetic: Sequence[Sample],
    verifier: Verifier,
    seed: int = 0,
    level: float = 0.05,
) -> dict[str, Any]:
    """Compare how often the verification takes synthetic records for training people and for holdout people.

    The threshold accepts `FAR` of pairs of a holdout person and a training person, who are strangers. The
    accept rate of a person is the share of synthetic records that are taken for them; both sides' mean rates
    are compared with an interval from resampling people, and a difference counts when fewer than ``level`` of
    random exchanges of training and holdout people give one as large.

    Returns
    -------
    dict
        ``tar_train``, ``tar_holdout``, ``difference`` with 90 % limits (5 and 95 % points) and ``p``,
        ``people_met_train``, ``people_met_holdout`` (share of people met by any record), the people counted
        and the ``verdict``.
    """
    sides = [_usable(side, verifier) for side in (train, holdout)]
    made = [s for s in synthetic if s.beat is not None][:_MOST]
    people = [len({s.strip.subject for s in side}) for side in sides]
    result: dict[str, Any] = {"train_people": people[0], "holdout_people": people[1], "records": len(made)}
    result["left_out"] = len({s.strip.subject for s in [*train, *holdout]} & verifier.people)
    if min(people) < 2 or len(made) < 2:
        return result | {"verdict": "not assessable"}
    inside, outside, drawn = (verifier.embed(np.array([s.beat for s in side])) for side in (*sides, made))
    strangers = outside @ inside.T
    limit = float(np.quantile(strangers, 1 - FAR))
    train_rates, train_met = _accepted(inside, [s.strip.subject for s in sides[0]], drawn, limit)
    hold_rates, hold_met = _accepted(outside, [s.strip.subject for s in sides[1]], drawn, limit)
    rng = np.random.default_rng(seed)
    low, high = bootstrap(
        lambda i, j: float(train_rates[i].mean() - hold_rates[j].mean()),
        len(train_rates),
        len(hold_rates),
        rng,
    )
    result |= {
        "far": FAR,
        "tar_train": round(float(train_rates.mean()), 5),
        "tar_holdout": round(float(hold_rates.mean()), 5),
        "difference": round(float(train_rates.mean() - hold_rates.mean()), 5),
        "difference_low": round(low, 5),
        "difference_high": round(high, 5),
        "p": round(_exchanged(train_rates, hold_rates, rng), 4),
        "people_met_train": round(float(train_met.mean()), 4),
        "people_met_holdout": round(float(hold_met.mean()), 4),
    }
    return result | {"verdict": _verdict(result, level)}


def _usable(side: Sequence[Sample], verifier: Verifier) -> list[Sample]:
    return [s for s in side if s.beat is not None and s.strip.subject not in verifier.people][:_MOST]


def _accepted(
    real: Floats, subjects: list[str], drawn: Floats, limit: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Share of synthetic records accepted as each person (mean over their strips), and whether any is."""
    names, owner = np.unique(subjects, return_inverse=True)
    rates, met = np.zeros(len(names)), np.zeros(len(names), dtype=bool)
    count = np.bincount(owner)
    for start in range(0, len(real), 512):
        accept = real[start : start + 512] @ drawn.T > limit
        np.add.at(rates, owner[start : start + 512], accept.mean(axis=1))
        np.logical_or.at(met, owner[start : start + 512], accept.any(axis=1))
    return rates / count, met


def _exchanged(first: Floats, second: Floats, rng: np.random.Generator) -> float:
    """Share of random exchanges of people whose difference of means is at least the one found."""
    both = np.concatenate([first, second])
    found = first.mean() - second.mean()
    hits = 0
    for _ in range(_EXCHANGES):
        drawn = both[rng.permutation(len(both))]
        hits += drawn[: len(first)].mean() - drawn[len(first) :].mean() >= found - 1e-12
    return float((hits + 1) / (_EXCHANGES + 1))


def _verdict(result: dict[str, Any], level: float) -> str:
    few = min(result["train_people"], result["holdout_people"]) < FEWEST
    told = result["train_people"] >= FEWEST_TO_FAIL and result["holdout_people"] >= FEWEST
    if result["difference_low"] > 0 and result["p"] < level and told:
        return "fail"
    wide = result["difference_high"] - result["difference_low"] > WIDEST
    return "not assessable" if few or wide else "pass"
