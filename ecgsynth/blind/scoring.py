"""How well raters told synthetic strips from real ones, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.blind.answers import Answers
from ecgsynth.errors import OptionError
from ecgsynth.privacy.intervals import lower_limit, upper_limit

RESAMPLES: Final = 2000
#: Fewer people than this are not resampled: their spread says nothing about others.
FEWEST_PEOPLE: Final = 5


def score_answers(raters: Sequence[Answers], key: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """Scores of each rater and their agreement.

    Parameters
    ----------
    raters : sequence of Answers
    key : mapping
        As `read_key` gives it.
    seed : int
        Of the resampling of people.

    Returns
    -------
    dict
        ``raters``: by name, with ``all`` and ``rhythms``. Each holds ``accuracy``, ``sensitivity`` (synthetic
        strips called synthetic) and ``specificity`` (real ones called real): ``hits``, ``n``, ``value``, the
        exact 95 % interval ``low``, ``high``, and ``people``, the interval when people are redrawn, or None.
        ``agreement``: Cohen's kappa of each pair, and Fleiss' kappa from three raters on.

    Raises
    ------
    OptionError
        If two raters have one name.
    """
    names = [rater.rater for rater in raters]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptionError(
            f"two files of answers are named {twice[0]!r}; the name tells the raters apart: rename."
        )
    rows = {row["number"]: row for row in key["strips"]}
    return {
        "sheet": key["sheet"],
        "raters": {rater.rater: _rater(rater, rows, seed) for rater in raters},
        "agreement": _agreement(raters),
    }


def _rater(rater: Answers, rows: Mapping[int, Mapping[str, Any]], seed: int) -> dict[str, Any]:
    answered = [number for number in rows if number in rater.said]
    rhythms = dict.fromkeys(rows[number]["rhythm"] for number in answered)
    scored = {
        "answered": len(answered),
        "strips": len(rows),
        "all": _rates(rater, answered, rows, seed),
        "rhythms": {
            name: _rates(rater, [k for k in answered if rows[k]["rhythm"] == name], rows, seed)
            for name in sorted(rhythms)
        },
    }
    if rater.confidence:
        scored["confidence"] = _confidence(rater, rows)
    return scored


def _rates(
    rater: Answers, numbers: list[int], rows: Mapping[int, Mapping[str, Any]], seed: int
) -> dict[str, Any]:
    from scipy.stats import binomtest

    right = {k: rater.said[k] == rows[k]["truth"] for k in numbers}
    sides = {
        "accuracy": numbers,
        "sensitivity": [k for k in numbers if rows[k]["truth"] == "synthetic"],
        "specificity": [k for k in numbers if rows[k]["truth"] == "real"],
    }
    found: dict[str, Any] = {}
    for name, own in sides.items():
        hits = sum(right[k] for k in own)
        people = [str(rows[k]["person"]) for k in own]
        found[name] = {
            "hits": hits,
            "n": len(own),
            "value": hits / len(own) if own else None,
            # Exact binomial (Clopper & Pearson, Biometrika 26:404-413, 1934), two-sided.
            "low": lower_limit(hits, len(own), 0.975) if own else None,
            "high": upper_limit(hits, len(own), 0.975) if own else None,
            "people": _over_people(np.array([right[k] for k in own], dtype=float), people, seed),
        }
    hits, n = found["accuracy"]["hits"], found["accuracy"]["n"]
    found["guessing_p"] = float(binomtest(hits, n, 0.5).pvalue) if n else None
    return found


def _over_people(right: NDArray[np.float64], people: Sequence[str], seed: int) -> list[float] | None:
    """2.5 and 97.5 % points of the share when people (a synthetic record is one of its own) are redrawn."""
    names, owner = np.unique(people, return_inverse=True)
    if len(names) < FEWEST_PEOPLE:
        return None
    hits, counts = np.bincount(owner, right), np.bincount(owner)
    draws = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), RESAMPLES
    )
    low, high = np.quantile((draws @ hits) / (draws @ counts), (0.025, 0.975))
    return [float(low), float(high)]


def _confidence(rater: Answers, rows: Mapping[int, Mapping[str, Any]]) -> dict[str, float]:
    """Brier score of the chance that was given to "synthetic" (Brier, Monthly Weather Rev 78:1-3, 1950).

    0.25 is what a rater gets who always says 50 %.
    """
    sure = rater.confidence
    chance = np.array([p if rater.said[k] == "synthetic" else 1 - p for k, p in sure.items()])
    truth = np.array([rows[k]["truth"] == "synthetic" for k in sure], dtype=float)
    right = np.array([rater.said[k] == rows[k]["truth"] for k in sure])
    return {
        "n": len(sure),
        "brier": float(np.mean((chance - truth) ** 2)),
        "mean_confidence": float(np.mean(list(sure.values()))),
        "accuracy": float(right.mean()),
    }


def _agreement(raters: Sequence[Answers]) -> dict[str, Any]:
    """Kappas over the strips that the raters in question have all answered."""
    pairs = {}
    for a, b in combinations(raters, 2):
        table = _table((a, b))
        pairs[f"{a.rater}, {b.rater}"] = {"n": len(table), "cohen_kappa": cohen_kappa(table)}
    found: dict[str, Any] = {"pairs": pairs}
    if len(raters) > 2:
        table = _table(raters)
        found["fleiss"] = {"n": len(table), "raters": len(raters), "fleiss_kappa": fleiss_kappa(table)}
    return found


def _table(raters: Sequence[Answers]) -> NDArray[np.bool_]:
    """[strips, raters] whether each rater said synthetic, of strips that all have answered."""
    common = sorted(set.intersection(*(set(rater.said) for rater in raters)))
    said = [[rater.said[k] == "synthetic" for rater in raters] for k in common]
    return np.array(said, dtype=bool).reshape(-1, len(raters))


def cohen_kappa(table: NDArray[np.bool_]) -> float | None:
    """Agreement of two raters beyond chance (Cohen, Educ Psychol Meas 20:37-46, 1960); None if undefined."""
    if not len(table):
        return None
    share = table.mean(axis=0)
    agreed = float((table[:, 0] == table[:, 1]).mean())
    chance = float(share.prod() + (1 - share).prod())
    return None if chance == 1 else (agreed - chance) / (1 - chance)


def fleiss_kappa(table: NDArray[np.bool_]) -> float | None:
    """Agreement of several raters beyond chance (Fleiss, Psychol Bull 76:378-382, 1971) or None."""
    if not len(table):
        return None
    raters = table.shape[1]
    counts = np.stack([table.sum(axis=1), (~table).sum(axis=1)], axis=1)
    agreed = float(((counts**2).sum(axis=1) - raters).mean() / (raters * (raters - 1)))
    chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return None if chance == 1 else (agreed - chance) / (1 - chance)
