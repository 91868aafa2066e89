"""Synthetic strips beside real ones as sets, per rhythm, and a picture of the ten that give themselves away.

    python benchmarks/realism_sets.py --data DIR [--split split.json] [--generator cvae,cgan]
        [--rhythm afib,nsr] [--most 200] [--out results/]

Real strips, and synthetic ones in the same sources and leads, are those of ``realism.py``.
``realism_sets.json`` and ``.md``: kernel distance (KID) and coverage on the frozen encoder, and
Kolmogorov-Smirnov statistics of RR, wave intervals and heights, of half of the real people against as many
synthetic strips and, in brackets, against the other half. The encoder has learned from the held-out people,
so on NSR and AF it knows the real side. ``fakes.png``: of the ten rhythms that are told
best, the synthetic strip that boosting on features is surest of, beside a real one of its source and lead.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from realism import FS, RealPeople, Strips, generated

from ecgsynth.fidelity.distribution import StripSet, compare_sets
from ecgsynth.fidelity.features import FEATURES, feature_table
from ecgsynth.fidelity.two_sample import boosting_judge, out_of_fold_scores
from ecgsynth.rhythms import RHYTHMS, find_rhythm
from ecgsynth.split import SplitManifest

Array = NDArray[np.float64]

#: Metrics of `compare_sets` that are reported.
SETS = ("kid", "coverage", "rr_ks", "interval_ks", "amplitude_ks")
#: Measures whose distributions are compared one by one, as `compare_sets` names them.
MEASURES = ("p_at_ms", "qrs_ms", "qt_ms", "r_height", "t_height")
#: Halvings of the real people over which the statistics of `MEASURES` are averaged.
HALVINGS = 12
#: Pairs in the picture.
FAKES = 10


@dataclass(frozen=True)
class Fake:
    """A strip that is told, and a real one of its source and lead: both [samples] in mV."""

    rhythm: str
    auc: float
    words: str
    strip: Array
    real: Array


def as_set(strips: Strips) -> StripSet:
    return StripSet(strips.signals[:, None].astype(np.float32), FS, ("pooled",), strips.people)


def ks_beside_real(real: Array, people: tuple[str, ...], synthetic: Array) -> tuple[float, float]:
    """Mean KS of half of the people against synthetic values, and against the other half; NaN if too few."""
    from scipy.stats import ks_2samp

    names, found = np.unique(people), []
    for k in range(HALVINGS):
        rng = np.random.default_rng(k)
        half = np.isin(people, rng.permutation(names)[: len(names) // 2])
        first, second = (values[np.isfinite(values)] for values in (real[half], real[~half]))
        # As many as in the other half: the statistic falls as numbers grow.
        made = rng.permutation(synthetic[np.isfinite(synthetic)])[: len(second)]
        if min(len(first), len(second), len(made)) >= 8:
            found.append([ks_2samp(first, other).statistic for other in (made, second)])
    against = np.mean(found, 0) if found else np.full(2, np.nan)
    return float(against[0]), float(against[1])


def set_row(real: Strips, made: Strips, seed: int) -> dict[str, Any]:
    """Each metric: value, interval, and the same of real people against real people."""
    found = compare_sets(as_set(real), as_set(made), seed=seed)
    row: dict[str, Any] = {}
    for name in SETS:
        measured = found.metrics.get(name)
        if measured is not None and measured.assessable:
            row[name] = {
                "synthetic": [measured.value, measured.low, measured.high],
                "real": [measured.real_value, measured.real_low, measured.real_high],
            }
    for name in MEASURES:
        values, reference = ks_beside_real(found.features[name][0], real.people, found.features[name][1])
        if np.isfinite(values):
            row[f"ks_{name}"] = {"synthetic": [values], "real": [reference]}
    return row


def surest(rhythm: str, real: Strips, made: Strips, seed: int) -> Fake:
    """The synthetic strip with the highest out-of-fold score, and in which measures it lies farthest out."""
    tables = [feature_table(list(side.signals), FS) for side in (real, made)]
    folds = max(2, min(5, len(set(real.people))))
    low, high = out_of_fold_scores(
        tables[0], real.people, tables[1], made.people, boosting_judge, folds=folds, seed=seed
    )
    auc = float((high[:, None] > low).mean() + 0.5 * (high[:, None] == low).mean())
    at = int(high.argmax())
    spread = np.nanquantile(tables[0], (0.25, 0.5, 0.75), axis=0)
    away = (tables[1][at] - spread[1]) / np.maximum(spread[2] - spread[0], 1e-6)
    far = np.argsort(-np.nan_to_num(np.abs(away)))[:2]
    words = ", ".join(f"{FEATURES[i]} {away[i]:+.1f} IQR" for i in far)
    place = [
        i
        for i, where in enumerate(zip(real.sources, real.leads, strict=True))
        if where == (made.sources[at], made.leads[at])
    ]
    return Fake(rhythm, auc, words, made.signals[at], real.signals[place[0] if place else 0])


def draw_fakes(fakes: list[Fake], path: Path) -> None:
    """Picture of pairs: synthetic left, real right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(fakes), 2, figsize=(15, 1.5 * len(fakes)), squeeze=False, layout="constrained"
    )
    for row, fake in zip(axes, fakes, strict=True):
        both = np.concatenate([fake.strip, fake.real])
        for axis, strip, side in ((row[0], fake.strip, "synthetic"), (row[1], fake.real, "real")):
            axis.plot(np.arange(len(strip)) / FS, strip, color="#212f3c", lw=0.7)
            axis.set_ylim(both.min() - 0.05, both.max() + 0.05)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=7)
            axis.set_title(f"{RHYTHMS[fake.rhythm].title}, {side}", fontsize=8, loc="left")
        row[0].set_title(f"AUC {fake.auc:.2f}; {fake.words}", fontsize=7, loc="right", color="#666")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _cell(synthetic: float, real: float, digits: int) -> str:
    return f"{synthetic:.{digits}f} ({real:.{digits}f})"


def markdown(rows: list[dict[str, Any]]) -> str:
    """One table: real against synthetic, and real against real in brackets."""
    columns = [*SETS, *(f"ks_{name}" for name in MEASURES)]
    lines = [f"| rhythm | generator | people | {' | '.join(columns)} |", "|" + "---|" * (3 + len(columns))]
    for row in rows:
        for name, found in row["sets"].items():
            cells = [
                _cell(found[c]["synthetic"][0], found[c]["real"][0], 3 if c == "kid" else 2)
                if c in found
                else "-"
                for c in columns
            ]
            lines.append(
                f"| {row['rhythm']} | {name} | {row['people']} ({row['which']}) | {' | '.join(cells)} |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, help="split by person; held-out people are used where enough")
    parser.add_argument("--generator", default="cvae,cgan", help="comma-separated")
    parser.add_argument("--rhythm", default="", help="comma-separated; all with enough people by default")
    parser.add_argument("--most", type=int, default=200, help="most strips of a rhythm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8")) if options.split else None
    rhythms = [find_rhythm(name).name for name in options.rhythm.split(",") if name] or list(RHYTHMS)
    options.out.mkdir(parents=True, exist_ok=True)
    people = RealPeople(options.data, split, 4, options.most)
    rows, fakes = [], []
    for rhythm in rhythms:
        drawn = people.strips(rhythm, 8, np.random.default_rng(options.seed))
        if drawn is None:
            continue
        real, seconds, which = drawn
        names = options.generator.split(",")
        sides = {name: generated(name, rhythm, real, seconds, options.seed, people) for name in names}
        row: dict[str, Any] = {"rhythm": rhythm, "people": len(set(real.people)), "which": which}
        row |= {"records": len(real), "sets": {n: set_row(real, s, options.seed) for n, s in sides.items()}}
        rows.append(row)
        fakes.append(surest(rhythm, real, sides[names[0]], options.seed))
        print(markdown([row]), file=sys.stderr, flush=True)
    (options.out / "realism_sets.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (options.out / "realism_sets.md").write_text(markdown(rows), encoding="utf-8")
    draw_fakes(sorted(fakes, key=lambda fake: -fake.auc)[:FAKES], options.out / "fakes.png")
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
