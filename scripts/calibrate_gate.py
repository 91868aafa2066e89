"""Fit the gate's trees, networks and bounds on real people and say how others fare.

    python scripts/calibrate_gate.py --data DIR --split split.json [--out gate.json] [--report report.json]
        [--work FOLDER]

DIR holds one folder per database, split.json is a split by person. Trees, networks, bounds and planted faults
come from people in ``train`` and ``val``; bounds are fitted on scores of people whom the rest was not fitted
on, and tried on people whom they were not fitted on either. The faults have other strengths than those of
benchmarks/judge.py. People in ``test`` are only counted. Measuring and the networks' training take most of
the time: ``--work`` keeps what they gave, and a run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from gate_held import held_out_table, print_table
from gate_net import kept_net
from gate_rows import Row, plan_of, rows_of
from gate_scores import (
    FOLDS,
    Claimed,
    Scores,
    Table,
    fit_trees_of,
    folds_of,
    looked_for,
    scores_out_of_fold,
)
from gate_strips import Strips, further_strips, strips_of_rows
from numpy.typing import NDArray

from ecgsynth.datasets import read_all
from ecgsynth.fidelity.calibration import (
    SHIPPED,
    Bound,
    Calibration,
    failures,
    save_calibration,
    table_bounds,
)
from ecgsynth.fidelity.checks import HEIGHTS, INTEGRITY_ENDS, INTEGRITY_FLOOR, POOLED, ends_of, is_score
from ecgsynth.fidelity.evidence import GROUP_OF, RARE
from ecgsynth.fidelity.few_people import ENOUGH_PEOPLE, FEWEST_PLANTED
from ecgsynth.fidelity.fitting import (
    AGREEMENT_PAD,
    MANY_PEOPLE,
    UNKNOWN_PAD,
    fit_agreement,
    fit_bounds,
    fit_rhythm,
    widen_to,
)
from ecgsynth.fidelity.gate import SHORT, WIDTHS
from ecgsynth.fidelity.people import person_weights
from ecgsynth.fidelity.sound import sound_strips
from ecgsynth.pack import trainable
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.split import SplitManifest

#: Stretches per person and rhythm that are fitted on, and that held-out people are counted by.
PER_PERSON, PER_HELD = 6, 3
#: Seeds of further draws of leads, recorders and faults, and the share of recordings with an artefact there.
FURTHER, ARTEFACTS = (2, 3), 0.4
#: Networks whose log-odds are averaged: they differ in their first weights and the order of strips.
NETWORKS = 2
#: Folds of people that bounds are tried on.
TRIED = 5
#: No ECG is smaller or larger than this, in mV from lowest to highest sample; what each rhythm's people show
#: is a check of the rhythm.
HARD_SPAN: dict[str, Bound] = {"span_low": (0.05, np.inf), "span_high": (-np.inf, 25.0)}

#: Rhythms that start from the score limits of one with more people, whose beats are made the same way; and
#: those that do so in twelve-lead records only.
LIKE = dict.fromkeys(("sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia", "avb1"), "nsr")
LIKE_12 = LIKE | dict.fromkeys(("afib", "aflutter", "svt"), "nsr")
#: Held at one limit in all rhythms: six people with flutter do not show how alike its waves can be.
COPIED = {"repetition": "high"}
#: Faults that are not looked for in a rhythm: P waves that begin over 240 ms before R are not seen.
UNSEEN = {"avb1": ("no_p",)}
#: Bounds of plain numbers that `LIKE` rhythms take in.
SHARED = ("qrs_ms", "pr_ms", "p_share", "nrmssd", "rr_step", "concentration", "peakedness", "quiet")
#: Evidence of rhythms whose groups are `RARE` may lie this far under that of any of their people's strips.
RARE_SLACK = 1.0


def fit(
    rows: Sequence[Row],
    further: Sequence[Row],
    split: SplitManifest,
    data: tuple[Strips, Strips],
    keep: Path | None = None,
) -> Calibration:
    """Trees, networks and bounds from rows of the people fitted on, and their strips and further ones.

    Trees are fitted on ``further`` rows, too, bounds are not.
    """
    all_rows = [*rows, *further]
    values = Table.of(all_rows)
    fold = folds_of(rows)
    held = [np.unique(data[0].subject[fold == k]) for k in range(FOLDS)]
    *nets, strips = (
        tuple(kept_net(data, people, k + 10 * draw, keep) for draw in range(NETWORKS))
        for k, people in enumerate([*held, np.array([], str)])
    )
    scores, claimed = scores_out_of_fold(rows, values, nets, data[0], further)
    trees = fit_trees_of(all_rows, np.ones(len(all_rows), dtype=bool), values)
    limits, rhythms = fit_checks(rows, scores, claimed)
    rates = passed_out_of_fold(rows, scores, claimed)
    owners = _owners(rows)
    people = {name: len(owners[name]) for name in rhythms}
    return Calibration(split.sha256, limits, rhythms, people, *trees, rates, strips)


def _owners(rows: Sequence[Row]) -> dict[str, set[str]]:
    """People with each rhythm."""
    owners: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        owners[row.rhythm].add(row.subject)
    return owners


def numbers_of(rows: Sequence[Row], scores: Scores) -> list[dict[str, float]]:
    """Numbers and scores of each row, without those that its beats make void."""
    whole = [{**row.numbers, **score} for row, score in zip(rows, scores, strict=True)]
    for row, numbers in zip(rows, whole, strict=True):
        if not row.numbers["narrow"]:
            for name in WIDTHS:
                numbers.pop(name, None)
    return whole


def fit_checks(
    rows: Sequence[Row], scores: Scores, claimed: Claimed
) -> tuple[dict[str, Bound], dict[str, dict[str, Bound]]]:
    """Bounds of the integrity numbers, and per rhythm of all others and of the scores of unknown people."""
    whole = numbers_of(rows, scores)
    owners = _owners(rows)
    sound = [
        i
        for i, row in enumerate(rows)
        if not row.fault and (row.numbers["seconds"] >= SHORT or len(owners[row.rhythm]) < MANY_PEOPLE)
    ]
    groups: dict[str, list[int]] = defaultdict(list)
    for i in sound:
        groups[rows[i].rhythm].append(i)
    limits = _integrity([whole[i] for i in sound], [rows[i].subject for i in sound])
    looks = {n: "high" for n in sorted({n for score in scores for n in score}) if n.startswith("looks_")}
    beating = [i for i in sound if RHYTHMS[rows[i].rhythm].has_beats]
    annotated = [whole[i] for i in beating], _weights([rows[i].subject for i in beating])
    pooled = fit_bounds(*annotated, dict.fromkeys(POOLED, "both") | {"likeness": "low"} | COPIED)
    rhythms: dict[str, dict[str, Bound]] = {}
    for name in sorted(groups, key=lambda name: (name != "nsr", name)):
        group = groups[name]
        own, people = [whole[i] for i in group], [rows[i].subject for i in group]
        rhythm = RHYTHMS[name]
        unseen = {f"looks_{fault}{twelve}" for fault in UNSEEN.get(name, ()) for twelve in ("", "_12")}
        asked = {n: end for n, end in looks.items() if n not in unseen and any(n in row for row in own)}
        planted = _planted(rows, whole, claimed, name)
        bounds = fit_rhythm(
            own, people, ends_of(rhythm) | asked, table_bounds(rhythm), planted, _base(name, rhythms)
        )
        if GROUP_OF.get(name) in RARE:
            lowest = min(numbers["evidence"] for numbers in own) - RARE_SLACK
            bounds["evidence"] = (min(lowest, bounds["evidence"][0]), np.inf)
        if rhythm.has_beats:
            marked = {rows[i].subject for i in group if "sensitivity" in whole[i]}
            pad = AGREEMENT_PAD if len(marked) >= ENOUGH_PEOPLE else UNKNOWN_PAD
            bounds |= fit_agreement(*annotated, pad)
            widen_to(bounds, fit_agreement(own, _weights(people)))
            widen_to(bounds, pooled, POOLED if len(owners[name]) < MANY_PEOPLE else HEIGHTS)
        widen_to(bounds, pooled, tuple(COPIED))
        if name in LIKE:
            widen_to(bounds, rhythms.get(LIKE[name], {}), SHARED)
        rhythms[name] = bounds
    return limits, dict(sorted(rhythms.items()))


def _base(name: str, rhythms: Mapping[str, Mapping[str, Bound]]) -> dict[str, Bound]:
    """Limits of scores that a rhythm starts from, where it has few people."""
    one, twelve = rhythms.get(LIKE.get(name, ""), {}), rhythms.get(LIKE_12.get(name, ""), {})
    base = {n: bound for n, bound in twelve.items() if n.startswith("looks_") and n.endswith("_12")}
    return base | {n: bound for n, bound in one.items() if is_score(n) and not n.endswith("_12")}


def _integrity(rows: Sequence[Mapping[str, float]], people: Sequence[str]) -> dict[str, Bound]:
    limits = fit_rhythm(rows, people, INTEGRITY_ENDS, {})
    for name, least in INTEGRITY_FLOOR.items():
        limits[name] = (-np.inf, max(least, limits[name][1]))
    return limits | HARD_SPAN


def _weights(people: Sequence[str]) -> NDArray[np.float64]:
    _, owner = np.unique(people, return_inverse=True)
    return person_weights(owner)


def _planted(
    rows: Sequence[Row], whole: Sequence[Mapping[str, float]], claimed: Claimed, rhythm: str
) -> dict[str, list[Mapping[str, float]]]:
    """Scores of a rhythm's rows with a fault, and of others under its name, by fault and kind of record."""
    found: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for row, numbers in zip(rows, whole, strict=True):
        if row.fault and row.rhythm == rhythm and looked_for(row.fault, row):
            found[f"{row.fault}_12" if row.twelve else row.fault].append(
                {n: value for n, value in numbers.items() if is_score(n)}
            )
    for i, own in claimed.get(rhythm, {}).items():
        found[f"{rows[i].rhythm} as {rhythm}" + ("_12" if rows[i].twelve else "")].append(own)
    return found


def passed_out_of_fold(rows: Sequence[Row], scores: Scores, claimed: Claimed) -> dict[str, dict[str, float]]:
    """Share of sound stretches that pass bounds fitted on others, and of each fault found, per rhythm."""
    whole = numbers_of(rows, scores)
    fold = folds_of(rows, seed=1, folds=TRIED)
    caught = np.zeros(len(rows), dtype=bool)
    for k in range(TRIED):
        inside = np.flatnonzero(fold != k).tolist()
        at = {i: n for n, i in enumerate(inside)}
        known = {c: {at[i]: own for i, own in some.items() if i in at} for c, some in claimed.items()}
        limits, rhythms = fit_checks([rows[i] for i in inside], [scores[i] for i in inside], known)
        for i in np.flatnonzero(fold == k).tolist():
            caught[i] = bool(failures(whole[i], {**rhythms.get(rows[i].rhythm, {}), **limits}))
        print(f"bounds of fold {k + 1} of {TRIED}", file=sys.stderr, flush=True)
    long = [i for i, row in enumerate(rows) if row.numbers["seconds"] >= SHORT]
    return {
        name: _rates([i for i in long if rows[i].rhythm == name], rows, caught)
        for name in sorted({row.rhythm for row in rows})
    }


def _rates(mine: Sequence[int], rows: Sequence[Row], caught: NDArray[np.bool_]) -> dict[str, float]:
    """Of one rhythm: sound stretches, the share that pass in all and per kind, and of each fault found.

    People weigh the same. With fewer than `ENOUGH_PEOPLE` no share in all is told.
    """
    sound = [i for i in mine if not rows[i].fault]
    rates = {"records": float(len(sound))}
    if len({rows[i].subject for i in sound}) >= ENOUGH_PEOPLE:
        rates["pass_out_of_fold"] = _passed(sound, rows, caught)
    for kind, twelve in (("one_lead", False), ("twelve_leads", True)):
        alike = [i for i in sound if rows[i].twelve == twelve]
        if len({rows[i].subject for i in alike}) >= ENOUGH_PEOPLE:
            rates[f"pass_{kind}"] = _passed(alike, rows, caught)
        planted = [i for i in mine if rows[i].twelve == twelve and looked_for(rows[i].fault, rows[i])]
        for fault in dict.fromkeys(rows[i].fault for i in planted):
            some = [i for i in planted if rows[i].fault == fault]
            if len(some) >= FEWEST_PLANTED:
                rates[f"found_{fault}_{kind}"] = round(float(caught[some].mean()), 3)
    return rates


def _passed(index: Sequence[int], rows: Sequence[Row], caught: NDArray[np.bool_]) -> float:
    weights = _weights([rows[i].subject for i in index])
    return round(1.0 - float(np.average(caught[list(index)], weights=weights)), 4)


def main(arguments: list[str] | None = None) -> int:
    """Measure, fit, write, report."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True, help="split by person (JSON)")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="calibration to write")
    parser.add_argument("--report", type=Path, help="JSON with the held-out pass rates")
    parser.add_argument(
        "--work", type=Path, help="folder that keeps what is measured; a rerun goes on from it"
    )
    options = parser.parse_args(arguments)
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    known, held = set(split.train) | set(split.val), set(split.test)
    real = [record for record in trainable(read_all(options.data)) if record.subject in known | held]
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    strips = sound_strips((r for r in real if r.subject in known), PER_PERSON)
    rows = rows_of(strips, 0, "learn", elsewhere=True, keep=options.work)
    further = [
        row
        for seed in FURTHER
        for row in rows_of(strips, seed, "learn", elsewhere=True, keep=options.work, artefacts=ARTEFACTS)
    ]
    plan = plan_of(strips, 0, "learn")
    data = strips_of_rows(plan, rows, 0), further_strips(plan, strips, 1)
    calibration = fit(rows, further, split, data, options.work)
    save_calibration(calibration, options.out)
    lines = held_out_table(sound_strips((r for r in real if r.subject in held), PER_HELD), calibration)
    if options.report:
        options.report.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    print_table(lines)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
