"""How well waves are delineated: ecgsynth beside NeuroKit2 and wfdb, against human marks of LUDB and QTDB.

    python benchmarks/delineation.py --data DIR --out docs/results [--people 20] [--only ecgsynth]

Only people that no rule was tuned on are judged (`tuning_half`). Every method gets one lead and its sampling
rate, finds its own R peaks and runs in one thread. Three protocols:

* ``LUDB, lead by lead``: each of the twelve leads alone, against the marks made in that lead;
* ``QTDB, better lead``: both leads alone, and for each mark the lead that comes closer (Martinez et al.,
  IEEE Trans Biomed Eng 51:570-581, 2004: the reader saw both leads); extra waves are those of the lead with
  fewer;
* for ecgsynth also ``LUDB, 12 leads`` and ``QTDB, 2 leads``: all leads at once, in the latter case against
  the points combined over leads.

A wave is found if its peak is within 150 ms of the marked one. Besides, the share of beats with a P wave in
fibrillation and in sinus rhythm, intervals of the median beat, and ten-second records per CPU second.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from delineation_methods import METHODS, PACKAGES, Clock
from delineation_numbers import Scores, share_of, summary
from delineation_tables import markdown, plot
from numpy.typing import NDArray

from ecgsynth.datasets import find_reader, recognise
from ecgsynth.fidelity.delineation import delineate, delineate_many, intervals_ms
from ecgsynth.fidelity.delineation_marks import (
    WaveMarks,
    better_of,
    marked_intervals,
    read_marked,
    score_waves,
    tuning_half,
)
from ecgsynth.records import Record
from ecgsynth.rpeaks import bridge_gaps

Array = NDArray[np.float64]

#: Longest stretch of a recording that P waves are counted in, in seconds.
STRETCH_S = 30.0


def leads_of(record: Record) -> Array:
    return bridge_gaps(record.signal.astype(np.float64))


def score_marked(
    records: list[tuple[Record, list[WaveMarks]]], methods: dict[str, Clock]
) -> dict[str, dict[str, list[tuple[str, Scores]]]]:
    """Per protocol and method: (person, scores of one lead or recording)."""
    table: dict[str, dict[str, list[tuple[str, Scores]]]] = {}

    def add(protocol: str, method: str, person: str, scores: Scores) -> None:
        table.setdefault(protocol, {}).setdefault(method, []).append((person, scores))

    for record, marks in records:
        signal = leads_of(record)
        for name, method in methods.items():
            own = [
                score_waves(mark, method(lead, record.fs) / record.fs)
                for lead, mark in zip(signal, marks, strict=True)
            ]
            if record.source == "ludb":
                for scores in own:
                    add("LUDB, lead by lead", name, record.subject, scores)
            else:
                add("QTDB, better lead", name, record.subject, better_of(own, marks[0]))
        if "ecgsynth" not in methods:
            continue
        found = delineate(signal, record.fs)
        if record.source == "ludb":
            for points, mark in zip(found.points, marks, strict=True):
                add("LUDB, 12 leads", "ecgsynth", record.subject, score_waves(mark, points / record.fs))
        else:
            scores = score_waves(marks[0], found.combined / record.fs)
            add("QTDB, 2 leads", "ecgsynth", record.subject, scores)
    return table


def stretches(folder: Path, rhythm: str) -> Iterator[tuple[str, Array, float]]:
    """Person, first lead of up to 30 s and fs of each episode of a rhythm of at least 10 s."""
    for record in find_reader(recognise(folder))(folder):
        if tuning_half(record.subject):
            continue
        for episode in record.episodes:
            if episode.rhythm == rhythm and episode.stop - episode.start >= 10 * record.fs:
                stop = min(episode.stop, episode.start + round(STRETCH_S * record.fs))
                lead = bridge_gaps(record.slice(episode.start, stop).signal[:1].astype(np.float64))[0]
                yield record.subject, lead, record.fs


def p_shares(
    data: Path, marked: list[tuple[Record, list[WaveMarks]]], methods: dict[str, Clock], people: int | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Per rhythm, database and method: share of beats with a P wave, people and beats."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    rng = np.random.default_rng(1)
    for rhythm in ("afib", "nsr"):
        own = [r for r, _ in marked if r.source == "ludb" and r.episodes[0].rhythm == rhythm]
        sets = {"LUDB, lead by lead": [(r.subject, lead, r.fs) for r in own for lead in leads_of(r)]}
        for folder in sorted(path for path in data.iterdir() if path.is_dir()):
            if recognise(folder) in ("mitdb", "cinc2017"):
                sets[recognise(folder)] = list(stretches(folder, rhythm))
        for name, rows in sets.items():
            kept = set(sorted({person for person, _, _ in rows})[:people])
            for key, method in methods.items():
                if key == "wfdb":
                    continue
                found = [(person, method(lead, fs)) for person, lead, fs in rows if person in kept]
                out.setdefault(rhythm, {}).setdefault(name, {})[key] = share_of(found, rng)
        if "ecgsynth" in methods:
            whole = [(r.subject, delineate(r.signal, r.fs).combined) for r in own]
            out[rhythm]["LUDB, 12 leads"] = {"ecgsynth": share_of(whole, rng)}
    return out


def median_intervals(marked: list[tuple[Record, list[WaveMarks]]]) -> dict[str, dict[str, float]]:
    """Interval of the median beat less the median marked one in ms, over LUDB's leads (12 leads at once)."""
    gaps: dict[str, list[float]] = {}
    for record, marks in marked:
        if record.source != "ludb":
            continue
        found = delineate(record.signal, record.fs)
        for points, mark in zip(found.median, marks, strict=True):
            ours = intervals_ms(points, record.fs)
            for name, value in marked_intervals(mark).items():
                gaps.setdefault(name, []).append(float(ours[name]) - value)
    return {
        name: {
            "n": int(np.isfinite(gap).sum()),
            "mean": round(float(np.nanmean(gap)), 1),
            "sd": round(float(np.nanstd(gap)), 1),
        }
        for name, gap in gaps.items()
    }


def batch_speed(marked: list[tuple[Record, list[WaveMarks]]]) -> dict[str, float]:
    """Ten-second records per CPU second of `delineate_many`, R-peak search included."""
    whole = [(r.signal, r.fs) for r, _ in marked if r.source == "ludb"]
    singles = [lead for signal, _ in whole for lead in signal[:6]]
    speeds = {}
    for name, signals in (("single lead", singles), ("12 leads", [signal for signal, _ in whole])):
        delineate_many(signals[:4], whole[0][1])
        before = time.process_time()
        delineate_many(signals, whole[0][1])
        seconds = sum(signal.shape[-1] for signal in signals) / whole[0][1]
        speeds[name] = round(seconds / 10.0 / (time.process_time() - before), 1)
    return speeds


def installed(names: list[str]) -> dict[str, str]:
    """Versions of those methods whose package is there; the others are named on stderr."""
    found = {}
    for name in names:
        try:
            found[name] = version(PACKAGES[name])
        except PackageNotFoundError:
            print(f"{name}: not installed, left out", file=sys.stderr)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure all and write delineation.json, .md and .png."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("ECGSYNTH_DATA"), help="folder of databases"
    )
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the results")
    parser.add_argument("--people", type=int, help="at most so many people per database")
    parser.add_argument("--only", default=",".join(METHODS), help="comma-separated methods")
    options = parser.parse_args(arguments)
    names = options.only.split(",")
    unknown = sorted(set(names) - set(METHODS))
    if unknown:
        parser.error(f"unknown method {', '.join(unknown)}; known are {', '.join(METHODS)}")
    if options.data is None:
        parser.error("give --data DIR, or set ECGSYNTH_DATA")
    versions = installed(names)
    methods = {name: Clock(METHODS[name][1]) for name in versions}
    marked = held_out(Path(options.data), options.people)
    table = score_marked(marked, methods)
    rng = np.random.default_rng(0)
    result: dict[str, Any] = {
        "versions": versions,
        "titles": {name: METHODS[name][0] for name in versions},
        "protocols": {p: {m: summary(s, rng) for m, s in rows.items()} for p, rows in table.items()},
        "p_share": p_shares(Path(options.data), marked, methods, options.people),
        "failed_leads": {name: clock.failed for name, clock in methods.items()},
        "per_cpu_second": {name: round(clock.signal / 10 / clock.cpu, 1) for name, clock in methods.items()},
    }
    if "ecgsynth" in methods:
        result["median_beat"] = median_intervals(marked)
        result["batch_per_cpu_second"] = batch_speed(marked)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "delineation.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "delineation.md").write_text(markdown(result), encoding="utf-8")
    plot(result, options.out / "delineation.png")
    print(markdown(result))
    return 0


def held_out(data: Path, people: int | None) -> list[tuple[Record, list[WaveMarks]]]:
    """Marked recordings of people that nothing was tuned on; the first ``people`` of each database."""
    seen: dict[str, set[str]] = {}
    kept = []
    for record, marks in read_marked(data):
        own = seen.setdefault(record.source, set())
        if tuning_half(record.subject) or (
            people is not None and len(own) >= people and record.subject not in own
        ):
            continue
        own.add(record.subject)
        kept.append((record, marks))
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
