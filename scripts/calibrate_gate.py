"""Fit the gate's bounds on real training people and say how held-out people fare.

    python scripts/calibrate_gate.py --data DIR --split split.json [--out gate.json] [--report report.json]

DIR holds one folder per database, split.json is a split by person. Bounds come from people in ``train``
alone; people in ``val`` and ``test`` are only counted: how many of their stretches pass as the rhythm they
are, and how many would pass as the rhythm of someone else.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.datasets import read_all
from ecgsynth.fidelity.calibration import Calibration, save_calibration, table_bounds
from ecgsynth.fidelity.evidence import Evidence, fit_evidence, log_odds
from ecgsynth.fidelity.fitting import (
    INTEGRITY_ENDS,
    INTEGRITY_FLOOR,
    MANY_PEOPLE,
    POOLED_ENDS,
    ends_of,
    fit_rhythm,
    widen_to,
)
from ecgsynth.fidelity.gate import check_record, episode_numbers
from ecgsynth.fidelity.integrity import integrity
from ecgsynth.pack import pack, trainable
from ecgsynth.records import INDEPENDENT_LEADS, Beats, Episode, Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.split import SplitManifest

SHIPPED = Path(__file__).resolve().parent.parent / "ecgsynth" / "weights" / "gate.json"
#: Length of the stretches that bounds are fitted on, in seconds: that of the records mostly asked for.
SECONDS = 10.0
#: Labels that are wrong on purpose, to see that the gate notices: claimed rhythm -> true rhythms.
WRONG = {
    "nsr": ("afib", "vt", "vf", "bigeminy", "sinus_tachycardia"),
    "afib": ("nsr", "sinus_bradycardia", "sinus_tachycardia", "vt", "vf"),
    "bigeminy": ("nsr", "afib", "vt"),
    "trigeminy": ("nsr", "afib", "vt"),
    "vt": ("nsr", "afib", "sinus_tachycardia", "vf"),
    "vf": ("nsr", "afib", "vt", "paced"),
    "sinus_tachycardia": ("nsr", "afib", "sinus_bradycardia"),
    "sinus_bradycardia": ("nsr", "afib", "sinus_tachycardia"),
}


def records_of(arrays: dict[str, NDArray[Any]]) -> Iterator[Record]:
    """The windows of a pack as records again."""
    fs = float(arrays["fs"][0])
    offsets = arrays["beats_offsets"]
    length = arrays["signal"].shape[-1]
    for i, signal in enumerate(arrays["signal"]):
        part = slice(int(offsets[i]), int(offsets[i + 1]))
        samples, symbols = arrays["beats_samples"][part].astype(np.int64), arrays["beats_symbols"][part]
        inside = (samples >= 0) & (samples < length)
        source = str(arrays["beats_source"][i])
        beats = Beats(samples[inside], tuple(symbols[inside].tolist()), source) if source != "none" else None  # type: ignore[arg-type]
        episode = Episode(
            int(arrays["episode_start"][i]), int(arrays["episode_stop"][i]), str(arrays["rhythm"][i])
        )
        lead = str(arrays["lead"][i])
        yield Record(
            f"{arrays['record'][i]}@{arrays['start'][i]}",
            signal.astype(np.float32),
            fs,
            INDEPENDENT_LEADS if lead == "8" else (lead,),
            str(arrays["subject"][i]),
            str(arrays["source"][i]),
            (episode,),
            beats,
        )


def measured(record: Record) -> dict[str, float]:
    """All numbers of a one-episode record."""
    return integrity(record.signal, record.fs, record.leads) | episode_numbers(record, record.episodes[0])


def fit(records: list[Record], rows: list[dict[str, float]], split: SplitManifest) -> Calibration:
    """Bounds from the people in ``train``."""
    train = set(split.train)
    groups: dict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        if record.subject in train:
            groups[str(record.episodes[0].rhythm)].append(i)
    inside = [i for group in groups.values() for i in group]
    people = [records[i].subject for i in inside]
    model, odds = _evidence(records, rows, inside)
    rows = [row | ({"evidence": odds[i]} if i in odds else {}) for i, row in enumerate(rows)]
    signal_bounds, _ = fit_rhythm([rows[i] for i in inside], people, INTEGRITY_ENDS, {})
    for name, least in INTEGRITY_FLOOR.items():
        signal_bounds[name] = (-np.inf, max(least, signal_bounds[name][1]))
    rhythms, counts, fitted = {}, {}, {}
    beating = [i for name, group in groups.items() if RHYTHMS[name].has_beats for i in group]
    pooled, _ = fit_rhythm([rows[i] for i in beating], [records[i].subject for i in beating], POOLED_ENDS, {})
    for name, group in sorted(groups.items()):
        people = [records[i].subject for i in group]
        rhythm = RHYTHMS[name]
        rhythms[name], fitted[name] = fit_rhythm(
            [rows[i] for i in group], people, ends_of(rhythm), table_bounds(rhythm)
        )
        counts[name] = len(set(people))
        if counts[name] < MANY_PEOPLE and rhythm.has_beats:
            widen_to(rhythms[name], pooled)
    return Calibration(split.sha256, signal_bounds, rhythms, counts, model, fitted)


def _evidence(
    records: list[Record], rows: list[dict[str, float]], inside: list[int]
) -> tuple[Evidence, dict[int, float]]:
    """The model of the stretches ``inside``, and their log-odds from models that did not see the person."""
    rhythms = [str(record.episodes[0].rhythm) for record in records]
    people = [record.subject for record in records]
    _, owner = np.unique([people[i] for i in inside], return_inverse=True)
    fold = np.random.default_rng(0).permutation(int(owner.max()) + 1)[owner] % 5
    odds: dict[int, float] = {}
    for k in range(5):
        chosen = [i for i, at in zip(inside, fold, strict=True) if at != k]
        model = _fit(rows, rhythms, people, chosen)
        for i in (i for i, at in zip(inside, fold, strict=True) if at == k):
            value = log_odds(model, rows[i], rhythms[i])
            if value is not None:
                odds[i] = value
    return _fit(rows, rhythms, people, inside), odds


def _fit(rows: list[dict[str, float]], rhythms: list[str], people: list[str], chosen: list[int]) -> Evidence:
    return fit_evidence([rows[i] for i in chosen], [rhythms[i] for i in chosen], [people[i] for i in chosen])


def held_out_table(
    records: list[Record], split: SplitManifest, calibration: Calibration
) -> list[dict[str, Any]]:
    """Pass rates of people who were not fitted on, as their own rhythm and as another's."""
    held = [r for r in records if r.subject not in set(split.train)]
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in held:
        groups[str(record.episodes[0].rhythm)].append(record)
    table = []
    for name in sorted(set(calibration.rhythms) | set(groups)):
        group = groups.get(name, [])
        verdicts = [check_record(r, calibration) for r in group]
        why: dict[str, int] = defaultdict(int)
        for verdict in verdicts:
            for reason in verdict.reasons:
                why[reason.split(":")[0]] += 1
        wrong = {
            other: float(np.mean([check_record(_claim(r, name), calibration).passed for r in groups[other]]))
            for other in WRONG.get(name, ())
            if groups.get(other)
        }
        table.append(
            {
                "rhythm": name,
                "train_people": calibration.people.get(name, 0),
                "held_out_people": len({r.subject for r in group}),
                "held_out_records": len(group),
                "pass": float(np.mean([v.passed for v in verdicts])) if group else None,
                "pass_by_person": _by_person(group, [v.passed for v in verdicts]),
                "why": dict(sorted(why.items(), key=lambda item: -item[1])),
                "pass_when_claimed_by": wrong,
            }
        )
    return table


def _claim(record: Record, rhythm: str) -> Record:
    episode = record.episodes[0]
    return replace(record, episodes=(Episode(episode.start, episode.stop, rhythm),))


def _by_person(records: list[Record], passed: list[bool]) -> float | None:
    people: dict[str, list[bool]] = defaultdict(list)
    for record, ok in zip(records, passed, strict=True):
        people[record.subject].append(ok)
    return float(np.mean([np.mean(oks) for oks in people.values()])) if people else None


def main(arguments: list[str] | None = None) -> int:
    """Fit, write, report."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True, help="split by person (JSON)")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="calibration to write")
    parser.add_argument("--report", type=Path, help="JSON with the held-out pass rates")
    options = parser.parse_args(arguments)
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    real = list(trainable(read_all(options.data)))
    known = set(split.train) | set(split.val) | set(split.test)
    real = [record for record in real if record.subject in known]
    records = list(records_of(pack(real, seconds=SECONDS)))
    records += list(records_of(pack(real, seconds=SECONDS, leads="twelve")))
    rows = [measured(record) for record in records]
    calibration = fit(records, rows, split)
    save_calibration(calibration, options.out)
    table = held_out_table(records, split, calibration)
    if options.report:
        options.report.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(
        "| rhythm | people fitted | held out | stretches | pass | by person | why not | wrong label passes |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in table:
        rates = [f"{row[k]:.1%}" if row[k] is not None else "-" for k in ("pass", "pass_by_person")]
        why = ", ".join(f"{k} {v}" for k, v in row["why"].items())
        wrong = ", ".join(f"{k} {v:.0%}" for k, v in row["pass_when_claimed_by"].items())
        head = (row["rhythm"], row["train_people"], row["held_out_people"], row["held_out_records"])
        print(f"| {' | '.join(map(str, (*head, *rates, why, wrong)))} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
