"""Many twelve-lead records through generate, verify and report: time, memory, and whether memory grows.

    python benchmarks/load.py --out results/ [--records 1000,10000] [--work DIR]

Records of 10 s at 500 Hz, as most clinics store them. Each command runs as a user runs it, in a process of
its own, one after the other. ``write`` is `DatasetWriter` alone with records that are there already, so that
the generator does not set the pace; its seconds are without start-up. The report compares with 1,000 records
of the parametric generator, which need no data. CPU seconds are of all processes of a command; memory is the
most that they hold at one time, shared pages counted once (proportional set size, Linux; every 0.2 s). The
wall clock depends on who else uses the machine: its load is written down. The folders are removed as soon as
they are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from report_speed import watched

from ecgsynth.records import TWELVE_LEADS

FS, SEED, REAL = 500.0, 7, 1000
#: Runs `write` by itself.
WRITE = "import sys; sys.path.insert(0, sys.argv[1]); import load; load.write(int(sys.argv[2]), sys.argv[3])"
TWELVE = ["--lead", "12", "--fs", f"{FS:g}"]
#: Exit code of a report with a rhythm that fails, which is not of interest here.
FAILS = 7


def write(n: int, out: str) -> None:
    """``n`` records of 32 that are there already, by the writer alone."""
    from ecgsynth.export import DatasetWriter
    from ecgsynth.export.writer import MANIFEST_KEYS
    from ecgsynth.sampling import Sampler

    made = Sampler("parametric").sample("afib", n=32, seed=SEED, leads=TWELVE_LEADS, fs=FS)
    line: dict[str, Any] = dict.fromkeys(MANIFEST_KEYS, "x")
    line |= {"attempt": 0, "turned_down": [], "index": 0}
    wall, cpu = time.perf_counter(), time.process_time()
    with DatasetWriter(Path(out), n_records=n) as writer:
        for k in range(n):
            writer.add(replace(made[k % len(made)], name=f"r{k:07d}"), line)
        writer.finish({"Records": n})
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall_s": round(wall, 2), "cpu_s": round(cpu, 2)}))


def commands(n: int, work: Path, generated: bool) -> dict[str, list[str]]:
    """What is run for so many records; without generated ones those of the writer are verified and judged."""
    out, written = str(work / f"made{n}"), str(work / f"written{n}")
    made = out if generated else written
    return {
        "generate": ["generate", "--rhythm", "afib", "-n", str(n), *TWELVE, "--out", out],
        "write": [str(Path(__file__).parent), str(n), written],
        "verify": ["verify", made],
        "report": ["report", made, "--real", str(work / "real"), "--out", str(work / f"report{n}")],
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The tables: what each command took, and how memory grew."""
    few, many = min(row["records"] for row in rows), max(row["records"] for row in rows)
    lines = [
        "# Load: many twelve-lead records",
        "",
        f"Records of 10 s at {FS:g} Hz in twelve leads (120 kB of samples each). {os.cpu_count()} virtual",
        "cores; where others used them too, the wall clock is a lower bound on speed, and `load`",
        "(mean over one minute at the end) says how much. `records/CPU s` counts all processes of a command;",
        "`write` uses one and is without start-up. Made by `benchmarks/load.py`.",
        "",
        "| command | records | wall s | records/s | CPU s | records/CPU s | peak memory | load |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        n = r["records"]
        lines.append(
            f"| {r['command']} | {n:,} | {r['wall_s']:.1f} | {n / r['wall_s']:.0f} | {r['cpu_s']:.1f} | "
            f"{n / r['cpu_s']:.0f} | {1000 * r['memory_gb']:.0f} MB | {r['load']:.1f} |"
        )
    lines += ["", f"| command | peak memory, {many:,} records against {few:,} |", "|---|---:|"]
    for command in dict.fromkeys(row["command"] for row in rows):
        peak = {row["records"]: row["memory_gb"] for row in rows if row["command"] == command}
        if {few, many} <= peak.keys():
            lines.append(f"| {command} | {peak[many] / peak[few] - 1:+.1%} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--records", default="1000,10000", help="how many, comma-separated")
    parser.add_argument("--commands", default="generate,write,verify,report", help="which, comma-separated")
    parser.add_argument("--work", type=Path, default=Path("load-work"), help="for the folders")
    parser.add_argument("--keep", action="store_true", help="leave the folders there")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    asked = options.commands.split(",")
    if "report" in asked and not (options.work / "real").is_dir():
        other = ["generate", "--generator", "parametric", "--rhythm", "afib", "--seed", "1", "-n", str(REAL)]
        watched([*other, *TWELVE, "--out", str(options.work / "real")])
    results = options.out / "load.json"
    rows: list[dict[str, Any]] = json.loads(results.read_text()) if results.is_file() else []
    for n in (int(part) for part in options.records.split(",")):
        for command, words in commands(n, options.work, "generate" in asked).items():
            if command not in asked:
                continue
            if command == "write":
                taken = watched(words, program=WRITE)
                taken |= json.loads(taken["said"][-1])
            else:
                taken = watched(words, allowed=(0, FAILS))
            del taken["said"]
            row = {"command": command, "records": n, **taken, "load": round(os.getloadavg()[0], 1)}
            rows = [old for old in rows if (old["command"], old["records"]) != (command, n)] + [row]
            print(json.dumps(row), flush=True)
            results.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            (options.out / "load.md").write_text(markdown(rows), encoding="utf-8")
        if not options.keep:
            for name in ("made", "written", "report"):
                shutil.rmtree(options.work / f"{name}{n}", ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
