"""Does a stretch look more like the rhythm it claims than like another? Log-odds from a small linear model.

One number alone parts real rhythms badly: a sinus record can have no visible P wave in one lead, a
fibrillation can be fast and nearly regular. Together they do. The model is a multinomial logistic
regression on the gate's own numbers and their squares, fitted on real training people only; it never sees
a generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Rhythms that the model parts, by the group they are one of. Other rhythms are judged by bounds only: too
#: few people, or too like one of these to be told from it without a second lead.
GROUP_OF = {
    "nsr": "sinus",
    "sinus_bradycardia": "sinus",
    "sinus_tachycardia": "sinus",
    "sinus_arrhythmia": "sinus",
    "avb1": "sinus",
    "afib": "afib",
    "bigeminy": "bigeminy",
    "trigeminy": "trigeminy",
    "vt": "vt",
    "vf": "vf",
    "vflutter": "vf",
}
#: Numbers used, and whether their logarithm is. The rate is not one of them: it has bounds of its own, and a
#: fast sinus rhythm must not look like fibrillation because of it.
INPUTS = {
    "nrmssd": True,
    "rr_step": True,
    "alternate_2": False,
    "alternate_3": False,
    "repeat_2": False,
    "repeat_3": False,
    "p_share": False,
    "p_score": True,
    "qrs_ms": True,
    "likeness": False,
    "dominant_hz": True,
    "concentration": False,
    "peakedness": True,
    "quiet": False,
}
#: Inputs are clipped to this many scales from their centre, so that no single one decides.
CLIP = 4.0


@dataclass(frozen=True)
class Evidence:
    """The fitted model.

    Attributes
    ----------
    centre, scale : float64 array [inputs]
        Median and spread of the (log) inputs over training stretches, in the order of `INPUTS`.
    groups : tuple of str
    weights : float64 array [groups, 2 * inputs]
        For the standardised inputs and their squares.
    bias : float64 array [groups]
    """

    centre: Array
    scale: Array
    groups: tuple[str, ...]
    weights: Array
    bias: Array


def inputs_of(numbers: Mapping[str, float]) -> Array:
    """Raw inputs [inputs], logarithms taken, NaN where a number is absent."""
    values = np.array([numbers.get(name, np.nan) for name in INPUTS])
    logged = np.fromiter(INPUTS.values(), dtype=bool)
    values[logged] = np.log(np.maximum(values[logged], 1e-3))
    return values


def _design(raw: Array, centre: Array, scale: Array) -> Array:
    """Standardised inputs and their squares [..., 2 * inputs]; an absent input says nothing (0)."""
    z = np.clip((raw - centre) / scale, -CLIP, CLIP)
    z = np.where(np.isfinite(z), z, 0.0)
    return np.concatenate([z, z**2 / CLIP], axis=-1)


def log_odds(model: Evidence, numbers: Mapping[str, float], rhythm: str) -> float | None:
    """Natural log-odds of ``rhythm``'s group against the likeliest other group; None if it has no group."""
    group = GROUP_OF.get(rhythm)
    if group not in model.groups:
        return None
    scores = model.weights @ _design(inputs_of(numbers), model.centre, model.scale) + model.bias
    own = model.groups.index(str(group))
    return float(scores[own] - np.delete(scores, own).max())


def likeliest(model: Evidence, numbers: Mapping[str, float]) -> str:
    """The group that the numbers look most like."""
    scores = model.weights @ _design(inputs_of(numbers), model.centre, model.scale) + model.bias
    return model.groups[int(scores.argmax())]


def fit_evidence(
    rows: Sequence[Mapping[str, float]], rhythms: Sequence[str], people: Sequence[str]
) -> Evidence:
    """Fit the model; each person weighs the same within a rhythm, each group the same.

    Within a group rhythms weigh as the square root of their people, so that the rare ones are heard.

    Stretches whose rhythm has no group are left out. Needs scikit-learn.
    """
    from sklearn.linear_model import LogisticRegression

    index = [i for i, rhythm in enumerate(rhythms) if rhythm in GROUP_OF]
    raw = np.stack([inputs_of(rows[i]) for i in index])
    labels = np.array([GROUP_OF[rhythms[i]] for i in index])
    weight = _equal(np.array([f"{rhythms[i]}/{people[i]}" for i in index]))
    own = np.array([rhythms[i] for i in index])
    for rhythm in np.unique(own):
        weight[own == rhythm] /= np.sqrt(weight[own == rhythm].sum())
    for group in np.unique(labels):
        weight[labels == group] /= weight[labels == group].sum()
    weight *= len(weight) / weight.sum()
    centre = np.nanmedian(raw, axis=0)
    low, high = np.nanquantile(raw, (0.05, 0.95), axis=0)
    scale = np.maximum((high - low) / 3.3, 1e-3)
    model = LogisticRegression(C=0.3, max_iter=2000)
    model.fit(_design(raw, centre, scale), labels, sample_weight=weight)
    groups = tuple(str(name) for name in model.classes_)
    weights, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(groups) == 2:  # one row for the second of two groups
        weights, bias = np.concatenate([0 * weights, weights]), np.concatenate([0 * bias, bias])
    return Evidence(centre, scale, groups, weights, bias)


def _equal(owners: NDArray[np.str_]) -> Array:
    """Weights [records] that sum to 1 for each owner."""
    _, owner = np.unique(owners, return_inverse=True)
    return np.asarray(1.0 / np.bincount(owner)[owner], dtype=np.float64)
