"""Learn what strangers have in the copy search, on several databases, as a reference for small holdouts.

    python scripts/calibrate_copies.py --data DIR --split split.json [--out FILE] [--same-person]

Some people of each database are searched with strips of others, also across databases. People of the parts
``val`` and ``test`` are left out: ``benchmarks/leaks.py`` counts false positives on them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.datasets import open_dataset
from ecgsynth.privacy.beat_gallery import BeatGallery, places_of
from ecgsynth.privacy.calibration import (
    REFERENCE,
    SPREAD_LEAST,
    above,
    strongest,
    tail_of,
    tails_of,
    traits,
)
from ecgsynth.privacy.copies import STATISTICS, Match, find_copies
from ecgsynth.privacy.gallery import build_gallery
from ecgsynth.privacy.same_person import limit_of, score
from ecgsynth.privacy.samples import Side, read_side
from ecgsynth.privacy.verifier import load_verifier
from ecgsynth.records import Record
from ecgsynth.split import SplitManifest

Floats = NDArray[np.float64]

#: Database and number of people who are searched; database and number of others who are searched for.
COHORTS = (
    ("cinc2017", 100, "cinc2017", 200),
    ("ptbxl", 150, "ptbxl", 180),
    ("mitdb", 20, "mitdb", 18),
    ("ludb", 50, "ludb", 55),
    ("ptbxl", 60, "cinc2017", 100),
    ("cinc2017", 60, "ptbxl", 100),
    ("cinc2017", 400, "cinc2017", 100),
)
#: Numbers of people searched that the limit of the same person is stored for, and draws of each.
PEOPLE, DRAWS = (3, 10, 30, 100, 300), 12
#: Records of a person at most, and their length in s: more of one person say little more of strangers.
RECORDS, SECONDS = 2, 120


def people_of(root: Path, name: str, excluded: set[str]) -> dict[str, list[Record]]:
    """Records of everyone in a database, in an order that depends on nothing but their names."""
    found: dict[str, list[Record]] = {}
    for record in open_dataset(root / name):
        own = found.setdefault(record.subject, [])
        if record.subject not in excluded and len(own) < RECORDS:
            own.append(record.slice(0, min(record.n_samples, round(SECONDS * record.fs))))
    names = sorted(subject for subject, own in found.items() if own)
    order = np.random.default_rng(0).permutation(len(names))
    return {names[i]: found[names[i]] for i in order}


def sides(data: dict[str, dict[str, list[Record]]], cohort: tuple[str, int, str, int]) -> tuple[Side, Side]:
    """Those who are searched, and the strangers."""
    first, n_first, second, n_second = cohort
    names = list(data[first])[:n_first]
    others = [name for name in data[second] if name not in names][-n_second:]
    searched = read_side("train", [r for name in names for r in data[first][name]], whole=True)
    return searched, read_side("holdout", [r for name in others for r in data[second][name]])


def fit(found: Sequence[list[Match]]) -> dict[str, Any]:
    """Weights of the traits, mean and spread, and the tail of the scores, over cohorts."""
    matches = [match for part in found for match in part]
    cohort = np.repeat(np.arange(len(found)), [len(part) for part in found])
    known = np.array([traits(match) for match in matches])
    # A mean of its own for every cohort; the weights are what holds in all of them.
    table = np.concatenate([known[:, 1:], np.eye(len(found))[cohort]], axis=1)
    values = np.array([match.statistics() for match in matches])
    solved = np.linalg.solve(table.T @ table + np.eye(table.shape[1]), table.T @ values)
    weights = np.concatenate([np.zeros((1, len(STATISTICS))), solved[: known.shape[1] - 1]])
    left = above(matches, weights)
    means = np.array([left[cohort == k].mean(axis=0) for k in range(len(found))])
    spread = np.maximum((left - means[cohort]).std(axis=0), SPREAD_LEAST)
    deviations = (left - means[cohort]) / spread
    tails = tails_of(deviations, matches)
    start, excess, _ = tail_of(np.sort(strongest(deviations, matches, tails)))
    return {
        "statistics": STATISTICS,
        "weights": weights.round(4).tolist(),
        "centre": means.mean(axis=0).round(4).tolist(),
        "spread": spread.round(4).tolist(),
        "tails": tails.round(3).tolist(),
        "tail": [round(start, 3), round(excess, 3)],
        "strips": len(matches),
        "people": len({match.strip.subject for match in matches}),
    }


def same_person_limits(every: Sequence[tuple[Side, Side]], rng: np.random.Generator) -> list[list[float]]:
    """For each number of people searched, the score that few strangers reach in one lead (`limit_of`).

    The mean over draws of those people, in the cohort where it is largest.
    """
    verifier = load_verifier()
    found: dict[int, list[float]] = {count: [] for count in PEOPLE}
    for searched, others in every:
        gallery = BeatGallery(searched, verifier)
        likeness = gallery.people([place.cut(1) for place in places_of(others)])
        for count in PEOPLE:
            if count <= likeness.shape[1]:
                draws = [rng.permutation(likeness.shape[1])[:count] for _ in range(DRAWS)]
                limits = [limit_of(score(likeness[:, some])) for some in draws]
                found[count].append(float(np.mean(limits)))
    known = [count for count in PEOPLE if found[count]]
    return [[*known], [round(max(found[count]), 3) for count in known]]


def main() -> int:
    """Learn the reference."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=REFERENCE)
    parser.add_argument(
        "--same-person", action="store_true", help="learn the limits of the beats anew, keep the rest"
    )
    options = parser.parse_args()
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    names = sorted({name for first, _, second, _ in COHORTS for name in (first, second)})
    data = {name: people_of(options.data, name, {*split.val, *split.test}) for name in names}
    every = [sides(data, cohort) for cohort in COHORTS]
    if options.same_person:
        content = json.loads(options.out.read_text(encoding="utf-8"))
    else:
        found = []
        for cohort, (searched, others) in zip(COHORTS, every, strict=True):
            strips = [sample.strip for sample in others.samples]
            found.append(find_copies(build_gallery(searched.traces), strips))
            print(f"{cohort}: {len(strips)} strips", file=sys.stderr, flush=True)
        content = {"made_by": "scripts/calibrate_copies.py", "cohorts": COHORTS, **fit(found)}
    verified = [pair for pair, cohort in zip(every, COHORTS, strict=True) if cohort[0] != "ludb"]
    content["same_person"] = same_person_limits(verified, np.random.default_rng(0))
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
