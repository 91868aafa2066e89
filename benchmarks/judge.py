"""Is the judge any good? Faults planted in recordings of people it has not seen: how many does it find?

    python benchmarks/judge.py --data DIR --split split.json [--seeds 3] [--per-person 2] [--sets]
        [--peer-python PYTHON] [--calibration gate.json] [--out results/]

Every fault of ``ecgsynth.fidelity.faults`` goes into strips of people in ``test``, whom the
record gate was not fitted on; strips of other rhythms are passed off as sinus rhythm. Told are the share
found, per rhythm, beside the share of sound strips that are turned down. ``--sets`` adds what sdmetrics and
ECGEN-Eval (in the Python that ``--peer-python`` names) make of sets in which a share of the records is
faulty.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from judge_report import plot, write_report

from ecgsynth.datasets import read_all
from ecgsynth.errors import EcgSynthError, OptionError
from ecgsynth.fidelity.calibration import Calibration, load_calibration
from ecgsynth.fidelity.faults import FAULTS, find_partner, plant
from ecgsynth.fidelity.gate import check_records
from ecgsynth.fidelity.leads import rows_of_eight
from ecgsynth.fidelity.sound import one_lead, sound_strips
from ecgsynth.pack import trainable
from ecgsynth.records import Episode, Record
from ecgsynth.split import SplitManifest

#: Records that the gate gets at once.
BATCH = 200
#: Rhythms passed off as sinus rhythm, by the name of the fault.
MISLABELLED = {
    "afib_as_nsr": ("atrial fibrillation labelled sinus", "afib"),
    "vt_as_nsr": ("ventricular tachycardia labelled sinus", "vt"),
    "svt_as_nsr": ("supraventricular tachycardia labelled sinus", "svt"),
}
#: Rhythms whose sets are judged: those with people enough.
SET_RHYTHMS = ("nsr", "afib")
#: Columns of the report: rhythms that are told together.
GROUPS = {
    "nsr": ("nsr",),
    "afib": ("afib",),
    "other sinus": ("sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia", "avb1"),
    "vt, vf, flutter": ("vt", "vf", "vflutter"),
    "other": ("aflutter", "svt", "bigeminy", "trigeminy", "paced", "junctional", "idioventricular"),
}


@dataclass(frozen=True)
class Outcome:
    """One verdict: ``own`` says that the check made for the fault was among the reasons."""

    fault: str
    rhythm: str
    twelve: bool
    subject: str
    seed: int
    caught: bool
    own: bool
    reasons: tuple[str, ...]


def units_of(strips: Iterable[Record], seed: int = 0) -> list[Record]:
    """Each strip as recorded, and where it has several leads one of them alone."""
    rng = np.random.default_rng(seed)
    units = []
    for strip in strips:
        units.append(strip)
        alone = one_lead(strip, rng) if len(strip.leads) > 1 else None
        units += [alone] if alone is not None else []
    return units


def judge(units: Sequence[Record], calibration: Calibration, seeds: int) -> list[Outcome]:
    """Verdicts on sound strips (fault ``""``), on the same with every fault, and on mislabelled ones."""
    outcomes = _outcomes([("", record, record) for record in units], 0, calibration)
    pools: dict[tuple[str, float], list[Record]] = defaultdict(list)
    for record in units:
        pools[_rhythm(record), record.fs].append(record)
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 1])
        planted: list[tuple[str, Record, Record]] = []
        for k, record in enumerate(units):
            for fault in FAULTS.values():
                if not fault.applies(record, _rhythm(record)):
                    continue
                pool = pools[_rhythm(record), record.fs]
                partner = find_partner(record, pool, rng) if fault.partner else None
                damaged = plant(fault, record, rng, "judge", partner)
                if damaged is not None:
                    planted.append((fault.name, damaged, record))
            if len(planted) >= BATCH or k == len(units) - 1:
                outcomes += _outcomes(planted, seed, calibration)
                planted = []
                print(f"seed {seed}: {k + 1} of {len(units)} strips", file=sys.stderr, flush=True)
    for name, (_, true) in MISLABELLED.items():
        some = [record for record in units if _rhythm(record) == true]
        claimed = [replace(r, episodes=(Episode(0, r.n_samples, "nsr"),)) for r in some]
        outcomes += _outcomes([(name, r, r) for r in claimed], 0, calibration)
    return outcomes


def _rhythm(record: Record) -> str:
    return str(record.episodes[0].rhythm)


def _outcomes(
    planted: Sequence[tuple[str, Record, Record]], seed: int, calibration: Calibration
) -> list[Outcome]:
    """Verdicts on ``(fault, record with it, record before)``."""
    outcomes = []
    verdicts = check_records([record for _, record, _ in planted], calibration)
    for (fault, _, before), verdict in zip(planted, verdicts, strict=True):
        checks = tuple(reason.split(":")[0] for reason in verdict.reasons)
        own = any(check.removesuffix("_12") == f"looks_{fault}" for check in checks)
        twelve = rows_of_eight(before.leads) is not None
        outcomes.append(
            Outcome(fault, _rhythm(before), twelve, before.subject, seed, not verdict.passed, own, checks)
        )
    return outcomes


def rate(outcomes: Sequence[Outcome], resamples: int = 500) -> dict[str, Any] | None:
    """Share caught, each person weighing the same, with a 95 % interval from resampling people."""
    if not outcomes:
        return None
    people: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        people[outcome.subject].append(outcome.caught)
    means = np.array([np.mean(found) for found in people.values()])
    rng = np.random.default_rng(0)
    draws = means[rng.integers(0, len(means), (resamples, len(means)))].mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    every = float(np.mean([outcome.caught for outcome in outcomes]))
    return {
        "by_person": float(means.mean()), "low": low, "high": high, "of_records": every,
        "records": len(outcomes), "people": len(people),
    }  # fmt: skip


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Rates of every fault: in all, per group of rhythms, per rhythm, and in twelve-lead records."""
    by_fault: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_fault[outcome.fault].append(outcome)
    table: dict[str, Any] = {}
    for name, found in by_fault.items():
        why = Counter(check for outcome in found for check in outcome.reasons)
        table[name or "sound"] = {
            "title": _title(name),
            "all": rate(found),
            "own": float(np.mean([outcome.own for outcome in found])),
            "groups": {g: rate([o for o in found if o.rhythm in rhythms]) for g, rhythms in GROUPS.items()},
            "rhythms": {
                r: rate([o for o in found if o.rhythm == r]) for r in sorted({o.rhythm for o in found})
            },
            "twelve": rate([o for o in found if o.twelve]),
            "single": rate([o for o in found if not o.twelve]),
            "reasons": dict(why.most_common(8)),
        }
    return table


def _title(name: str) -> str:
    if not name:
        return "none: sound strips turned down"
    return MISLABELLED[name][0] if name in MISLABELLED else FAULTS[name].title


def held_out_strips(data: Path, split: SplitManifest, per_person: int) -> list[Record]:
    """Strips of people whom the gate was not fitted on."""
    held = set(split.test)
    records = (record for record in trainable(read_all(data)) if record.subject in held)
    return sound_strips(records, per_person)


def main(arguments: list[str] | None = None) -> int:
    """Plant, judge, report."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True, help="split by person (JSON)")
    parser.add_argument("--calibration", type=Path, help="gate calibration; the shipped one by default")
    parser.add_argument(
        "--seeds", type=int, default=3, help="how often every fault is planted in every strip"
    )
    parser.add_argument("--per-person", type=int, default=2, help="strips per person and rhythm")
    parser.add_argument("--sets", action="store_true", help="compare with sdmetrics and ECGEN-Eval")
    parser.add_argument("--peer-python", help="Python in which ecgen-eval is installed")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args(arguments)
    try:
        if options.seeds < 1 or options.per_person < 1:
            raise OptionError("--seeds and --per-person: allowed is 1 or more.")
        split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
        calibration = load_calibration(options.calibration)
        began = time.process_time()
        strips = held_out_strips(options.data, split, options.per_person)
        units = units_of(strips)
        outcomes = judge(units, calibration, options.seeds)
        result: dict[str, Any] = {
            "split": split.sha256, "seeds": options.seeds, "per_person": options.per_person,
            "faults": summary(outcomes),
        }  # fmt: skip
        print(f"{len(outcomes)} verdicts in {time.process_time() - began:.0f} s", file=sys.stderr)
        if options.sets:
            from judge_sets import compare_judges

            result["sets"] = {
                rhythm: compare_judges(units, rhythm, calibration, options.peer_python)
                for rhythm in SET_RHYTHMS
            }
        options.out.mkdir(parents=True, exist_ok=True)
        _write(result, options.out)
    except EcgSynthError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _write(result: Mapping[str, Any], out: Path) -> None:
    (out / "judge.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = write_report(result, tuple(GROUPS))
    (out / "judge.md").write_text(text, encoding="utf-8")
    plot(result, out / "judge.png")
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())
