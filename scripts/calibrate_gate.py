"""Fit the gate's trees and bounds on real training people and say how held-out people fare.

    python scripts/calibrate_gate.py --data DIR --split split.json [--out gate.json] [--report report.json]

DIR holds one folder per database, split.json is a split by person. Trees, bounds and planted faults come from
people in ``train`` alone; the faults have other strengths than those of benchmarks/judge.py. People in
``val`` and ``test`` are only counted. ``--rows FILE`` keeps the measured rows between runs.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gate_rows import Row, load_rows, rows_of, save_rows
from numpy.typing import NDArray

from ecgsynth.datasets import read_all
from ecgsynth.fidelity.calibration import SHIPPED, Bound, Calibration, save_calibration, table_bounds
from ecgsynth.fidelity.checks import HEIGHTS, INTEGRITY_ENDS, INTEGRITY_FLOOR, POOLED, ends_of
from ecgsynth.fidelity.evidence import (
    GROUP_OF,
    RARE,
    context,
    fit_fault,
    fit_rhythms,
    inputs_of,
    log_odds_many,
    table,
)
from ecgsynth.fidelity.faults import FAULTS, conducted, told
from ecgsynth.fidelity.fitting import (
    AGREEMENT_PAD,
    ENOUGH_PEOPLE,
    MANY_PEOPLE,
    UNKNOWN_PAD,
    ease,
    fit_agreement,
    fit_bounds,
    fit_rhythm,
    widen_to,
)
from ecgsynth.fidelity.gate import SHORT, WIDTHS, check_record
from ecgsynth.fidelity.sound import one_lead, sound_strips
from ecgsynth.fidelity.trees import Trees, join
from ecgsynth.pack import trainable
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.split import SplitManifest

#: Stretches per person and rhythm that are fitted on, and that held-out people are counted by.
PER_PERSON, PER_HELD = 6, 3
FOLDS = 4
#: No ECG is smaller or larger than this, in mV from lowest to highest sample; what each rhythm's people show
#: is a check of the rhythm.
HARD_SPAN: dict[str, Bound] = {"span_low": (0.05, np.inf), "span_high": (-np.inf, 25.0)}

#: Real rhythms under another's name, which its evidence should tell.
MISLABELLED = {
    "nsr": ("afib", "aflutter", "vt", "svt", "vf", "bigeminy"),
    "afib": ("nsr", "vt", "vf", "sinus_tachycardia"),
}
#: Rhythms that take in the score limits of one with more people, whose beats are made the same way.
LIKE = dict.fromkeys(("sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia", "avb1"), "nsr") | {
    "vflutter": "vf"
}
#: Bounds that they take in; they also get its limits of fault scores, moved in log-odds to `LIKE_SLACK` over
#: the square root of their people beyond them where that is further.
SHARED = ("evidence", "qrs_ms", "pr_ms", "nrmssd", "rr_step", "concentration", "peakedness", "quiet")
LIKE_SLACK = 1.5
#: Evidence of rhythms whose groups are `RARE` may lie this far under that of any of their people's strips.
RARE_SLACK = 1.0

Scores = list[dict[str, float]]


def folds_of(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Fold of each row; a person is in one fold."""
    _, owner = np.unique([row.subject for row in rows], return_inverse=True)
    return np.random.default_rng(0).permutation(int(owner.max()) + 1)[owner] % FOLDS


def fit_evidence(rows: Sequence[Row], scores: Scores) -> Trees:
    """Trees for rhythms; ``scores`` get each sound row's log-odds from trees that did not see the person."""
    sound = [i for i, row in enumerate(rows) if not row.fault]
    fold = folds_of([rows[i] for i in sound])

    def fit(chosen: Sequence[int]) -> Trees:
        parts = [rows[i] for i in chosen]
        columns = ([getattr(row, k) for row in parts] for k in ("rhythm", "lead", "subject"))
        return fit_rhythms([row.numbers for row in parts], *columns)

    for k in range(FOLDS):
        model = fit([i for i, at in zip(sound, fold, strict=True) if at != k])
        held = [i for i, at in zip(sound, fold, strict=True) if at == k]
        for claim in ("", *MISLABELLED):
            asked = [(rows[i].numbers, rows[i].lead, claim or rows[i].rhythm) for i in held]
            for i, odds in zip(held, log_odds_many(model, asked), strict=True):
                if odds is not None:
                    scores[i][f"as_{claim}" if claim else "evidence"] = odds[0]
    return fit(sound)


def looked_for(name: str, row: Row) -> bool:
    """Whether a fault is looked for in strips like this one."""
    fault, rhythm = FAULTS[name], RHYTHMS[row.rhythm]
    if fault.twelve and not row.twelve:
        return False
    if fault.where == "p":
        return rhythm.p_wave == "required"
    if fault.where == "conducted":
        return conducted(row.rhythm)
    return fault.where != "narrow" or rhythm.p_wave == "required" or row.rhythm == "afib"


def fit_faults(rows: Sequence[Row], scores: Scores) -> Trees:
    """Trees for every fault; ``scores`` get the rows' log-odds from trees that did not see the person."""
    known = [{**row.numbers, **context(row.rhythm, row.lead)} for row in rows]
    inputs = inputs_of(known)
    values = table(known, inputs)
    fold = folds_of(rows)
    people = np.array([f"{row.subject}/{row.rhythm}" for row in rows])
    models = []
    for name in dict.fromkeys(row.fault for row in rows if row.fault):
        damaged = np.array([row.fault == name and looked_for(name, row) for row in rows])
        sound = np.array([not row.fault and looked_for(name, row) for row in rows])

        def fit(kept: NDArray[np.bool_], name: str = name, sides: Any = (sound, damaged)) -> Trees:
            one, two = (np.flatnonzero(side & kept) for side in sides)
            return fit_fault(
                name, values[one], values[two], (people[one].tolist(), people[two].tolist()), inputs
            )

        for k in range(FOLDS):
            model = fit(fold != k)
            held = np.flatnonzero((sound | damaged) & (fold == k)).tolist()
            odds = dict(zip(held, model.scores([known[i] for i in held])[:, 0].tolist(), strict=True))
            for i in held:
                if told(name, rows[i].lead, rows[i].twelve):
                    scores[i][f"looks_{name}_12" if rows[i].twelve else f"looks_{name}"] = odds[i]
        models.append(fit(fold >= 0))
        print(f"fitted {name}", flush=True)
    return join(models)


def fit(rows: Sequence[Row], split: SplitManifest) -> Calibration:
    """Trees and bounds from rows of training people."""
    scores: Scores = [{} for _ in rows]
    trees = fit_evidence(rows, scores), fit_faults(rows, scores)
    return fit_checks(rows, scores, trees, split)


def fit_checks(
    rows: Sequence[Row], scores: Scores, trees: tuple[Trees, Trees], split: SplitManifest
) -> Calibration:
    """Bounds of all numbers, and of the scores that trees gave to people they were not fitted on."""
    whole = [{**row.numbers, **score} for row, score in zip(rows, scores, strict=True)]
    owners: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        owners[row.rhythm].add(row.subject)
    sound = [
        i
        for i, row in enumerate(rows)
        if not row.fault and (row.numbers["seconds"] >= SHORT or len(owners[row.rhythm]) < MANY_PEOPLE)
    ]
    for i in (i for i in range(len(rows)) if not rows[i].numbers["narrow"]):
        for name in WIDTHS:
            whole[i].pop(name, None)
    groups: dict[str, list[int]] = defaultdict(list)
    for i in sound:
        groups[rows[i].rhythm].append(i)
    limits = _integrity([whole[i] for i in sound], [rows[i].subject for i in sound])
    looks = {n: "high" for n in sorted({n for score in scores for n in score}) if n.startswith("looks_")}
    beating = [i for i in sound if RHYTHMS[rows[i].rhythm].has_beats]
    annotated = [whole[i] for i in beating], _weights([rows[i].subject for i in beating])
    pooled = _pooled(beating, rows, whole, looks)
    rhythms, counts, fitted = {}, {}, {}
    for name, group in sorted(groups.items()):
        people = [rows[i].subject for i in group]
        rhythm = RHYTHMS[name]
        rhythms[name], fitted[name] = fit_rhythm(
            [whole[i] for i in group],
            people,
            ends_of(rhythm) | looks,
            table_bounds(rhythm),
            _planted(rows, whole, name),
        )
        counts[name] = len(set(people))
        if GROUP_OF.get(name) in RARE:
            lowest = min(whole[i]["evidence"] for i in group)
            rhythms[name]["evidence"] = (lowest - RARE_SLACK, np.inf)
        if rhythm.has_beats:
            marked = {rows[i].subject for i in group if "sensitivity" in whole[i]}
            pad = AGREEMENT_PAD if len(marked) >= ENOUGH_PEOPLE else UNKNOWN_PAD
            rhythms[name] |= fit_agreement(*annotated, pad)
            widen_to(rhythms[name], fit_agreement([whole[i] for i in group], _weights(people)))
            unsure = _unsure(group, rows, whole, looks)
            widen_to(rhythms[name], pooled, unsure + (POOLED if counts[name] < MANY_PEOPLE else HEIGHTS))
    for name, other in LIKE.items():
        if counts.get(name, MANY_PEOPLE) < MANY_PEOPLE:
            slack = LIKE_SLACK / float(np.sqrt(counts[name]))
            rhythms[name] |= _fault_limits([whole[i] for i in groups[name]], rhythms[other], looks, slack)
            widen_to(rhythms[name], rhythms[other], SHARED)
    return Calibration(split.sha256, limits, rhythms, counts, *trees, fitted)


def _fault_limits(
    own: Sequence[Mapping[str, float]], other: Mapping[str, Bound], names: Mapping[str, str], slack: float
) -> dict[str, Bound]:
    """Limits of fault scores of another rhythm, moved as far as a rhythm's own sound strips need."""
    highest = {name: max((row[name] for row in own if name in row), default=-np.inf) for name in names}
    return {name: (-np.inf, max(other[name][1], highest[name] + slack)) for name in names if name in other}


def _integrity(rows: Sequence[Mapping[str, float]], people: Sequence[str]) -> dict[str, Bound]:
    limits, _ = fit_rhythm(rows, people, INTEGRITY_ENDS, {})
    for name, least in INTEGRITY_FLOOR.items():
        limits[name] = (-np.inf, max(least, limits[name][1]))
    return limits | HARD_SPAN


def _pooled(
    index: Sequence[int], rows: Sequence[Row], whole: Sequence[Mapping[str, float]], looks: Mapping[str, str]
) -> dict[str, Bound]:
    """Bounds of the numbers that measure the detector, the noise and faults, over all rhythms with beats."""
    ends = dict.fromkeys(POOLED, "both") | {"likeness": "low"}
    twelve = {name: end for name, end in looks.items() if name.endswith("_12")}
    weights = _weights([rows[i].subject for i in index])
    bounds = fit_bounds([whole[i] for i in index], weights, ends | twelve)
    planted: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for row, numbers in zip(rows, whole, strict=True):
        if row.fault and row.twelve:
            planted[f"{row.fault}_12"].append(numbers)
    ease(bounds, planted)
    return bounds


def _weights(people: Sequence[str]) -> NDArray[np.float64]:
    _, owner = np.unique(people, return_inverse=True)
    return np.asarray(1.0 / np.bincount(owner)[owner], dtype=np.float64)


def _unsure(
    group: Sequence[int], rows: Sequence[Row], whole: Sequence[Mapping[str, float]], looks: Mapping[str, str]
) -> tuple[str, ...]:
    """Scores of twelve-lead records that too few people of a rhythm have."""
    return tuple(
        name for name in looks
        if name.endswith("_12") and len({rows[i].subject for i in group if name in whole[i]}) < MANY_PEOPLE
    )  # fmt: skip


def _planted(
    rows: Sequence[Row], whole: Sequence[Mapping[str, float]], rhythm: str
) -> dict[str, list[Mapping[str, float]]]:
    """Rows with a fault of a rhythm, and of others under its name, by the fault's name and kind of record."""
    found: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for row, numbers in zip(rows, whole, strict=True):
        if row.fault and row.rhythm == rhythm and looked_for(row.fault, row):
            found[f"{row.fault}_12" if row.twelve else row.fault].append(numbers)
        elif not row.fault and row.rhythm in MISLABELLED.get(rhythm, ()) and f"as_{rhythm}" in numbers:
            kind = f"{row.rhythm} as {rhythm}" + ("_12" if row.twelve else "")
            found[kind].append({"evidence": numbers[f"as_{rhythm}"]})
    return found


def held_out_table(strips: Sequence[Record], calibration: Calibration) -> list[dict[str, Any]]:
    """How many held-out people's strips pass, per rhythm, as recorded and one lead alone."""
    rng = np.random.default_rng(0)
    groups: dict[str, list[tuple[str, bool, tuple[str, ...]]]] = defaultdict(list)
    for strip in strips:
        alone = one_lead(strip, rng)
        for record in (strip, alone) if len(strip.leads) > 1 else (strip,):
            if record is not None:
                verdict = check_record(record, calibration)
                groups[str(strip.episodes[0].rhythm)].append((strip.subject, verdict.passed, verdict.reasons))
    lines = []
    for name in sorted(set(calibration.rhythms) | set(groups)):
        people: dict[str, list[bool]] = defaultdict(list)
        for subject, passed, _ in groups[name]:
            people[subject].append(passed)
        why = Counter(reason.split(":")[0] for *_, reasons in groups[name] for reason in reasons)
        lines.append(
            {
                "rhythm": name,
                "train_people": calibration.people.get(name, 0),
                "held_out_people": len(people),
                "held_out_records": len(groups[name]),
                "pass": float(np.mean([p for _, p, _ in groups[name]])) if people else None,
                "pass_by_person": float(np.mean([np.mean(p) for p in people.values()])) if people else None,
                "why": dict(why.most_common()),
            }
        )
    return lines


def print_table(lines: Sequence[Mapping[str, Any]]) -> None:
    """The table as Markdown."""
    print("| rhythm | people fitted | held out | records | pass | by person | why not |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        rates = [f"{line[k]:.1%}" if line[k] is not None else "-" for k in ("pass", "pass_by_person")]
        why = ", ".join(f"{k} {v}" for k, v in line["why"].items())
        head = (line["rhythm"], line["train_people"], line["held_out_people"], line["held_out_records"])
        print(f"| {' | '.join(map(str, (*head, *rates, why)))} |")


def main(arguments: list[str] | None = None) -> int:
    """Measure, fit, write, report."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True, help="split by person (JSON)")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="calibration to write")
    parser.add_argument("--report", type=Path, help="JSON with the held-out pass rates")
    parser.add_argument("--rows", type=Path, help="measured rows (.npz): read if there, else written")
    options = parser.parse_args(arguments)
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    train, held = set(split.train), set(split.val) | set(split.test)
    real = [record for record in trainable(read_all(options.data)) if record.subject in train | held]
    if options.rows and options.rows.is_file():
        rows = load_rows(options.rows)
    else:
        rows = rows_of(
            sound_strips((r for r in real if r.subject in train), PER_PERSON), 0, "learn", cut=True
        )
        if options.rows:
            save_rows(rows, options.rows)
    calibration = fit(rows, split)
    save_calibration(calibration, options.out)
    lines = held_out_table(sound_strips((r for r in real if r.subject in held), PER_HELD), calibration)
    if options.report:
        options.report.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    print_table(lines)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
