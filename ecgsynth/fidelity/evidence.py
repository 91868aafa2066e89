"""What a stretch looks like: which rhythm, and which fault. Log-odds from boosted trees.

One number alone parts real rhythms badly: a sinus record can have no visible P wave in one lead, a
fibrillation can be fast and nearly regular. Together they do. The trees are fitted on real training people
and on faults planted in their recordings; they never see a generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.trees import ABSENT, Trees, fit_trees

Array = NDArray[np.float64]

#: Rhythms that are told apart, by the group they are one of. The others have too few people.
GROUP_OF = {
    "nsr": "sinus",
    "sinus_bradycardia": "sinus",
    "sinus_tachycardia": "sinus",
    "sinus_arrhythmia": "sinus",
    "avb1": "sinus",
    "afib": "afib",
    "aflutter": "aflutter",
    "svt": "svt",
    "bigeminy": "bigeminy",
    "trigeminy": "trigeminy",
    "paced": "paced",
    "vt": "vt",
    "vf": "vf",
    "vflutter": "vf",
}
#: Groups whose name a fault's trees may ask for: what is a fault in one is how another looks.
CLAIMS = ("sinus", "afib", "aflutter", "vt", "vf")
#: Groups of so few people that trees mix them up with each other: their evidence is that against the rhythms
#: which they are taken for when a label is wrong.
RARE, COMMON = ("vt", "svt", "aflutter", "paced"), ("sinus", "afib")
#: Leads that the trees know by name; of others they only know the signal.
PLACES = {"I": "I", "II": "II", "MLII": "II", "V1": "V1", "V5": "V5"}
#: Numbers that no tree sees: they depend on how a file was cut, on its labels, or on the recorder's filters
#: and mains, which are others in a database that the trees have not seen.
LEFT_OUT = (
    "offset", "beats", "missing", "lead_uv", "sensitivity", "precision", "sensitivity_1", "sensitivity_2",
    "precision_1", "precision_2", "seconds", "narrow", "line", "line_hz", "reach_99.99",
)  # fmt: skip
#: Numbers that do not count for the rhythm: rates have bounds of their own, and a slow fibrillation that was
#: asked for must not look like sinus rhythm because of it.
RATES = ("rate", "mean_rate", "rate_least", "rate_most")
#: Rounds of boosting and shrinkage, for rhythms and for faults.
RHYTHM_ROUNDS, FAULT_ROUNDS, SHRINKAGE = 100, 160, 0.1
#: How many times as much as one from a source of many people a person from a source of few may weigh.
MOST_FAIR = 3.0


def context(rhythm: str | None, lead: str) -> dict[str, float]:
    """The lead, and with a ``rhythm`` what is claimed, as inputs of 0 and 1."""
    place = PLACES.get(lead, "")
    inputs = {f"lead_{name}": float(name == place) for name in ("I", "II", "V1", "V5")}
    if rhythm is not None:
        group = GROUP_OF.get(rhythm, "")
        inputs |= {f"claims_{name}": float(name == group) for name in CLAIMS}
    return inputs


def log_odds_many(
    model: Trees | None, rows: Sequence[tuple[Mapping[str, float], str, str]]
) -> list[tuple[float, str] | None]:
    """Natural log-odds of each rhythm's group against the likeliest other, and the likeliest of all.

    Those of `RARE` groups are against the likelier of `COMMON`. Rows are numbers, lead and rhythm. None where
    the rhythm has no group in the model or there is no model.
    """
    if model is None:
        return [None] * len(rows)
    scores = model.scores([{**numbers, **context(None, lead)} for numbers, lead, _ in rows])
    return [
        _against_best(model, row, GROUP_OF.get(rhythm))
        for row, (*_, rhythm) in zip(scores, rows, strict=True)
    ]


def _against_best(model: Trees, scores: Array, group: str | None) -> tuple[float, str] | None:
    if group not in model.outputs:
        return None
    own = model.outputs.index(group)
    known = COMMON if group in RARE else model.outputs
    others = [i for i, name in enumerate(model.outputs) if i != own and name in known]
    if not others:
        return None
    odds = float(scores[own] - scores[others].max())
    return odds, model.outputs[int(scores.argmax())]


def log_odds(model: Trees, numbers: Mapping[str, float], lead: str, rhythm: str) -> tuple[float, str] | None:
    """The same for one row."""
    return log_odds_many(model, [(numbers, lead, rhythm)])[0]


def fault_odds_many(
    model: Trees | None, rows: Sequence[tuple[Mapping[str, float], str, str]]
) -> list[dict[str, float]]:
    """Log-odds of each fault, in stretches (numbers, lead, rhythm they claim to be), as ``looks_<fault>``."""
    if model is None:
        return [{} for _ in rows]
    scores = model.scores([{**numbers, **context(rhythm, lead)} for numbers, lead, rhythm in rows])
    names = [f"looks_{name}" for name in model.outputs]
    return [dict(zip(names, row.tolist(), strict=True)) for row in scores]


def table(rows: Sequence[Mapping[str, float]], inputs: Sequence[str]) -> NDArray[np.float32]:
    """Rows of named numbers as an array [rows, inputs]."""
    return np.array([[row.get(name, ABSENT) for name in inputs] for row in rows], dtype=np.float32)


def inputs_of(rows: Sequence[Mapping[str, float]], without: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the numbers in any of ``rows`` that trees may see, sorted."""
    names = set().union(*(set(row) for row in rows))
    return tuple(sorted(names - set(LEFT_OUT) - set(without)))


def fit_rhythms(
    rows: Sequence[Mapping[str, float]], rhythms: Sequence[str], leads: Sequence[str], people: Sequence[str],
    rounds: int = RHYTHM_ROUNDS,
) -> Trees:  # fmt: skip
    """Trees that tell the groups of rhythms apart; rows whose rhythm has no group are left out.

    People weigh as in `fair_weights`, a rhythm as the square root of its people. With fewer than three groups
    there are no scores per group: ValueError.
    """
    index = [i for i, rhythm in enumerate(rhythms) if rhythm in GROUP_OF]
    known = [{**rows[i], **context(None, leads[i])} for i in index]
    labels = np.array([GROUP_OF[rhythms[i]] for i in index])
    if len(np.unique(labels)) < 3:
        raise ValueError(f"rhythms to tell apart: {np.unique(labels).tolist()}, needed are 3 groups or more")
    weights = fair_weights([f"{people[i]}/{rhythms[i]}" for i in index])
    for group in np.unique(labels):
        weights[labels == group] /= np.sqrt(weights[labels == group].sum())
    inputs = inputs_of(known, RATES)
    weights *= len(weights) / weights.sum()
    return fit_trees(table(known, inputs), labels, weights, inputs, rounds=rounds, rate=SHRINKAGE)


def fit_fault(
    name: str, sound: NDArray[np.float32], damaged: NDArray[np.float32], people: tuple[Sequence[str],
    Sequence[str]], inputs: tuple[str, ...], rounds: int = FAULT_ROUNDS,
) -> Trees:  # fmt: skip
    """Trees that tell ``damaged`` from ``sound`` rows [rows, inputs]; both sides weigh the same."""
    weights = np.concatenate([w / w.sum() for w in (fair_weights(side) for side in people)])
    labels = np.r_[np.zeros(len(sound), dtype=np.int64), np.ones(len(damaged), dtype=np.int64)]
    weights *= len(weights) / weights.sum()
    rows = np.concatenate([sound, damaged])
    return fit_trees(rows, labels, weights, inputs, rounds=rounds, rate=SHRINKAGE, name=name)


def fair_weights(people: Sequence[str]) -> Array:
    """Weights [rows] of people named ``source/person``: a source weighs as the square root of its people.

    Nobody weighs more than `MOST_FAIR` times as much as another; on average over all people their weights sum
    to 1. A device that few people were recorded with would else be taken for a fault.
    """
    names, owner = np.unique(np.asarray(people), return_inverse=True)
    _, source, count = np.unique(
        [name.partition("/")[0] for name in names.tolist()], return_inverse=True, return_counts=True
    )
    each = 1.0 / np.sqrt(count[source])
    each = np.minimum(each, MOST_FAIR * each.min())
    each *= len(names) / each.sum()
    return np.asarray((each / np.bincount(owner))[owner], dtype=np.float64)
