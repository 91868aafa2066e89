"""From cells to findings: the ratio that validation chose, arms with intervals, what may be called better."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ecgsynth.errors import RecordError
from ecgsynth.utility.arms import ARMS, BASELINES
from ecgsynth.utility.cells import Cell, part_rows, read_cell, tested_of
from ecgsynth.utility.metrics import (
    POWER_Z,
    RESAMPLES,
    Floats,
    Labelled,
    auprc,
    auprc_draws,
    difference,
    f1_threshold,
    holm,
    numbers,
    people_weights,
    words,
)
from ecgsynth.utility.strips import Strips
from ecgsynth.utility.study import Study

#: Groups of test people: name, and which ages or sex.
AGE_BANDS: Final = ((0, 50), (50, 65), (65, 80), (80, 200))
#: Fewer people with the rhythm than this, and a group gets no number.
FEWEST_IN_GROUP: Final = 5

#: What the seeds of a row have in common: arm, generator, people, ratio.
Key = tuple[str, str, int, float]


@dataclass(frozen=True)
class Judged:
    """Scores of all cells on one test set, by seed, with the resampled people that every arm shares."""

    tested: Labelled
    scores: dict[Key, dict[int, Floats]]
    weights: Floats

    def mean(self, key: Key) -> float:
        """Mean AUPRC over seeds."""
        return float(np.mean([auprc(self.tested, score) for score in self.scores[key].values()]))


def chosen_ratios(
    study: Study, strips: Strips, folder: Path, cells: Iterable[Cell]
) -> tuple[dict[tuple[str, int], float], dict[int, str]]:
    """The ratio with the best AUPRC on validation people by (generator, people); the best learned one."""
    swept = [cell for cell in cells if ARMS[cell.arm].swept]
    val = judged(study, strips, folder, swept, "val", 1)
    found: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for key in val.scores:
        found[key[1], key[2]].append((val.mean(key), -key[3]))
    chosen = {at: -max(values)[1] for at, values in found.items()}
    best: dict[int, str] = {}
    for people in {at[1] for at in found}:
        learned = [
            (max(values)[0], at[0])
            for at, values in found.items()
            if at[1] == people and at[0] != "parametric"
        ]
        if learned:
            best[people] = max(learned)[1]
    return chosen, best


def judged(
    study: Study, strips: Strips, folder: Path, cells: Iterable[Cell], test: str, resamples: int = RESAMPLES
) -> Judged:
    """The cells' scores on one test set.

    Raises
    ------
    RecordError
        If a cell is missing or does not fit the strips.
    """
    tested = tested_of(study, strips, part_rows(study, strips)[test])
    scores: dict[Key, dict[int, Floats]] = defaultdict(dict)
    for cell in sorted(cells, key=lambda c: c.seed):
        found = read_cell(folder, cell)
        if found is None or len(found["scores"].get(test, ())) != len(tested.truth):
            raise RecordError(f"{folder / cell.name}.json: is missing or of other strips; run with --resume.")
        key = (cell.arm, cell.generator, cell.people, cell.ratio)
        scores[key][cell.seed] = np.array(found["scores"][test])
    return Judged(tested, dict(scores), people_weights(tested, resamples, 0))


def summarise(
    study: Study,
    strips: Strips,
    folder: Path,
    cells: list[Cell],
    chosen: Mapping[tuple[str, int], float],
    best: Mapping[int, str],
) -> dict[str, Any]:
    """Everything that the files say, as plain tables."""
    val = judged(study, strips, folder, cells, "val", 1)
    rows: list[dict[str, Any]] = []
    comparisons: list[dict[str, Any]] = []
    tests: dict[str, Any] = {}
    groups: list[dict[str, Any]] = []
    for test in study.tests:
        found = judged(study, strips, folder, cells, test)
        tests[test] = _test_numbers(found)
        rows += [_row(test, key, found, val) for key in found.scores]
        comparisons += _comparisons(study, test, found, val, chosen)
        groups += _groups(study, strips, test, found, chosen, val)
    _adjust(comparisons)
    return {
        "tests": tests,
        "chosen_ratios": [{"generator": g, "people": k, "ratio": r} for (g, k), r in sorted(chosen.items())],
        "best_learned": [{"people": k, "generator": g} for k, g in sorted(best.items())],
        "rows": rows,
        "comparisons": comparisons,
        "groups": groups,
        "robustness": _robustness(folder, cells),
    }


def _test_numbers(found: Judged) -> dict[str, Any]:
    people, common = found.tested.positives, found.tested.negatives
    return {"positives": people, "negatives": common, "chance": people / (people + common)}


def _row(test: str, key: Key, found: Judged, val: Judged) -> dict[str, Any]:
    all_of_it = [
        numbers(found.tested, score, f1_threshold(val.tested, val.scores[key][seed]))
        for seed, score in found.scores[key].items()
    ]
    drawn = auprc_draws(found.tested, list(found.scores[key].values()), found.weights).mean(axis=0)
    arm, generator, people, ratio = key
    return {
        "test": test,
        "arm": arm,
        "generator": generator,
        "people": people,
        "ratio": ratio,
        "seeds": len(all_of_it),
        **{name: float(np.mean([n[name] for n in all_of_it])) for name in all_of_it[0]},
        "low": float(np.quantile(drawn, 0.025)),
        "high": float(np.quantile(drawn, 0.975)),
        "validation": val.mean(key),
    }


def candidate(people: int, val: Judged, chosen: Mapping[tuple[str, int], float], learned: bool) -> Key | None:
    """The best arm on validation people that mixes in records of a learned (or the parametric) generator."""
    keys = [
        key
        for key in val.scores
        if key[0] in ("synthetic", "classical+synthetic")
        and key[2] == people
        and (key[1] != "parametric") == learned
        and chosen.get((key[1], people)) == key[3]
    ]
    return max(keys, key=val.mean) if keys else None


def _comparisons(
    study: Study, test: str, found: Judged, val: Judged, chosen: Mapping[tuple[str, int], float]
) -> list[dict[str, Any]]:
    lines = []
    for people in study.people:
        first = candidate(people, val, chosen, learned=True)
        if first is None:
            continue
        others = [key for key in found.scores if key[2] == people and _rival(key, chosen)]
        rivals = [key for key in others if key[0] in BASELINES or key[1] == "parametric"]
        best = max(rivals, key=found.mean) if rivals else None
        lines += [_compared(test, people, first, key, found, best=key == best) for key in others]
    lines += _only_synthetic(test, found)
    return lines


def _rival(key: Key, chosen: Mapping[tuple[str, int], float]) -> bool:
    """Arms that a candidate is set beside: all without a learned generator, and the controls."""
    arm, generator, people, ratio = key
    if generator == "parametric":
        return arm in ("synthetic", "classical+synthetic") and chosen.get((generator, people)) == ratio
    return not generator or ARMS[arm].control


def _compared(test: str, people: int, first: Key, second: Key, found: Judged, best: bool) -> dict[str, Any]:
    seeds = sorted(found.scores[first].keys() & found.scores[second].keys())
    sides = [[found.scores[key][seed] for seed in seeds] for key in (first, second)]
    draws = [auprc_draws(found.tested, side, found.weights) for side in sides]
    points = [(auprc(found.tested, a), auprc(found.tested, b)) for a, b in zip(*sides, strict=True)]
    gap = difference(draws[0], draws[1], points, seed=0)
    names = ("arm", "generator", "people", "ratio")
    return {
        "test": test,
        "people": people,
        "first": dict(zip(names, first, strict=True)),
        "second": dict(zip(names, second, strict=True)),
        "best_rival": best,
        **asdict(gap),
        "words": words(gap, gap.p),
    }


def _only_synthetic(test: str, found: Judged) -> list[dict[str, Any]]:
    """Training on synthetic strips only, beside training on all real people."""
    oracle = next((key for key in found.scores if ARMS[key[0]].everyone), None)
    if oracle is None:
        return []
    keys = [key for key in found.scores if not ARMS[key[0]].real]
    lines = [_compared(test, 0, key, oracle, found, best=False) for key in keys]
    for line, key in zip(lines, keys, strict=True):
        line["share_of_real"] = found.mean(key) / found.mean(oracle)
    return lines


def _adjust(comparisons: list[dict[str, Any]]) -> None:
    """Holm over tests and regimes for the comparisons with the best rival; `words` follow."""
    from ecgsynth.utility.metrics import Difference

    family = [line for line in comparisons if line["best_rival"]]
    for line, p in zip(family, holm([line["p"] for line in family]), strict=True):
        line["p_holm"] = p
        gap = Difference(**{name: line[name] for name in Difference.__dataclass_fields__})
        line["words"] = words(gap, p)


def _groups(
    study: Study,
    strips: Strips,
    test: str,
    found: Judged,
    chosen: Mapping[tuple[str, int], float],
    val: Judged,
) -> list[dict[str, Any]]:
    """The candidate and two classical arms by age band and sex, where enough people show the rhythm."""
    rows = part_rows(study, strips)[test]
    age, sex = strips.age[rows], strips.sex[rows]
    masks = {f"age {low} to {high - 1}": (age >= low) & (age < high) for low, high in AGE_BANDS}
    masks |= {"women": sex == 0, "men": sex == 1}
    lines = []
    for people in study.people:
        first = candidate(people, val, chosen, learned=True)
        for key in [first, ("oversampling", "", people, 0.0), ("classical", "", people, 0.0)]:
            if key is None or key not in found.scores:
                continue
            for name, mask in masks.items():
                own = Labelled(found.tested.truth[mask], found.tested.person[mask])
                if not mask.any() or min(own.positives, own.negatives) < FEWEST_IN_GROUP:
                    continue
                scores = [score[mask] for score in found.scores[key].values()]
                drawn = auprc_draws(own, scores, people_weights(own, RESAMPLES, 0)).mean(axis=0)
                low, high = np.quantile(drawn, [0.025, 0.975])
                lines.append(
                    {
                        "test": test,
                        "group": name,
                        "people": people,
                        "arm": key[0],
                        "generator": key[1],
                        "positives": own.positives,
                        "negatives": own.negatives,
                        "auprc": float(np.mean([auprc(own, score) for score in scores])),
                        "low": float(low),
                        "high": float(high),
                    }
                )
    return lines


def _robustness(folder: Path, cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Mean AUPRC over seeds under each disturbance."""
    found: dict[tuple[Key, str], list[float]] = defaultdict(list)
    for cell in cells:
        for trouble, value in ((read_cell(folder, cell) or {}).get("robustness") or {}).items():
            found[(cell.arm, cell.generator, cell.people, cell.ratio), trouble].append(value)
    return [
        {
            **dict(zip(("arm", "generator", "people", "ratio"), key, strict=True)),
            "trouble": t,
            "auprc": float(np.mean(v)),
        }
        for (key, t), v in found.items()
    ]


def smallest_effect(low: float, high: float) -> float:
    """Smallest difference that two unpaired numbers with this interval can show with 80 % power."""
    return POWER_Z * (high - low) / (2 * 1.96) * float(np.sqrt(2))
