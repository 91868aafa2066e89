"""What more workers bring, what one process does alone, and what ten million records would take.

    python benchmarks/scaling.py --out results/ [--records 640] [--files 60000] [--engines processes,ray]

``generate``, ``report`` and ``audit`` by one and by two workers, each in a process of its own; every number
of workers and every engine must write the same bytes, or the benchmark fails. Wall seconds depend on what
else the machine does (its load is written down); processor seconds hardly do. The process that writes works
alone, so the records that it can take per processor second bound what workers can bring. Memory that grows
with the number of records bounds what one run can hold.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

#: Records of the dataset on paper, and workers it is shared by.
PAPER, WORKERS = 10_000_000, (2, 16, 100)
SUFFIXES = (".dat", ".hea", ".atr")
#: The file of a command's output that says whether two outputs are the same.
TOLD_BY = {"generate": "SHA256SUMS.txt", "report": "fidelity.json", "audit": "privacy.json"}
#: Exit codes with which a report and an audit end that have something to complain of.
COMPLAINTS = (6, 7, 8)


def seconds(who: int) -> float:
    """Processor seconds of this process or of its children that have ended."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def part(words: list[str]) -> dict[str, Any]:
    """One command in this process, timed."""
    from ecgsynth.cli import main as command

    began = time.monotonic()
    try:
        command(words)
    except SystemExit as end:
        if end.code not in (0, None, *COMPLAINTS):
            raise
    return {
        "wall_s": time.monotonic() - began,
        "alone_cpu_s": seconds(resource.RUSAGE_SELF),
        # Ray's workers are nobody's children here.
        "workers_cpu_s": seconds(resource.RUSAGE_CHILDREN),
        "load": os.getloadavg()[0],
    }


def apart(words: list[str]) -> dict[str, Any]:
    """The same in a process of its own, so that nothing is loaded before and nothing shared."""
    line = [sys.executable, __file__, "--part", *words]
    run = subprocess.run(line, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{words}: {run.stderr.strip().splitlines()[-1]}")
    return dict(json.loads(run.stdout.splitlines()[-1]))


def commands(args: argparse.Namespace, scratch: Path) -> dict[str, list[str]]:
    """What is run, without workers and output."""
    made, real, others = (str(scratch / name) for name in ("made", "real", "others"))
    asked = ["generate", "--rhythm", "afib", "-n", str(args.records)]
    return {
        "generate": [*asked, "--generator", args.generator],
        "report": ["report", made, "--real", real, "--quick"],
        "audit": ["audit", made, "--train", real, "--holdout", others],
    }


def runs(args: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """Every command by every engine with one and two workers; raises where the bytes differ."""
    found = []
    for name, seed in (("real", 1), ("others", 2)):
        words = ["generate", "--rhythm", "afib", "--generator", "parametric", "-n", str(args.records)]
        apart([*words, "--seed", str(seed), "--out", str(scratch / name)])
    for command, words in commands(args, scratch).items():
        first: bytes | None = None
        for engine, workers in [(e, w) for e in args.engines.split(",") for w in (1, 2)]:
            out = scratch / (
                "made" if command == "generate" and first is None else f"{command}{engine}{workers}"
            )
            row = apart([*words, "--engine", engine, "--workers", str(workers), "--out", str(out)])
            told = (out / TOLD_BY[command]).read_bytes()
            first = first or told
            if told != first:
                raise SystemExit(
                    f"{command} by {engine} with {workers} workers wrote other bytes than the first"
                )
            row = {"command": command, "engine": engine, "workers": workers, "records": args.records, **row}
            found.append(row)
            print(json.dumps(row), file=sys.stderr)
    # Start-up and the contact sheet cost the same however many there are: a shorter run tells them apart.
    fewer = args.records // 4
    words = ["generate", "--rhythm", "afib", "-n", str(fewer), "--generator", args.generator]
    for workers in (1, 2):
        row = apart([*words, "--workers", str(workers), "--out", str(scratch / f"fewer{workers}")])
        row = {"command": "generate", "engine": "processes", "workers": workers, "records": fewer, **row}
        found.append(row)
    return found


def sizes(folder: Path, records: int) -> dict[str, float]:
    """Bytes and blocks per record, and bytes of the lists per record."""
    paths = [path for path in folder.rglob("*") if path.suffix in SUFFIXES]
    lists = [folder / name for name in ("RECORDS", "manifest.jsonl", "SHA256SUMS.txt")]
    return {
        "files": len(paths) / records,
        "bytes": sum(path.stat().st_size for path in paths) / records,
        "disk_bytes": sum(512 * path.stat().st_blocks for path in paths) / records,
        "list_bytes": sum(path.stat().st_size for path in lists) / records,
    }


def kept(call: Callable[[], object]) -> tuple[float, float]:
    """Bytes that the result of a call holds, and the most that the call held."""
    tracemalloc.start()
    held = call()
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del held
    return now, peak


def memory(folder: Path, records: int) -> dict[str, float]:
    """Bytes per record that verify, report and audit hold, after a first call that loads libraries."""
    from ecgsynth.datasets import open_dataset
    from ecgsynth.export import verify_dataset
    from ecgsynth.privacy.samples import read_side
    from ecgsynth.report.folders import open_folder
    from ecgsynth.report.survey import survey

    calls: dict[str, tuple[int, Callable[[], object]]] = {
        "verify_peak": (1, lambda: verify_dataset(folder)),
        "report_survey": (0, lambda: survey(open_folder(folder), lambda done: None)),
        "audit_side": (0, lambda: read_side("synthetic", open_dataset(folder), every_strip=True)),
    }
    found = {}
    for name, (which, call) in calls.items():
        call()
        found[name] = kept(call)[which] / records
    return found


def writing(records: int, scratch: Path) -> dict[str, float]:
    """Processor seconds per record of the writer alone: early ones, and those after thousands of others."""
    import numpy as np

    import ecgsynth
    from ecgsynth.export import DatasetWriter
    from ecgsynth.export.writer import MANIFEST_KEYS

    sample = ecgsynth.load_generator("parametric").sample("afib", n=1, seed=0)[0]
    line: dict[str, object] = dict.fromkeys(MANIFEST_KEYS, "x")
    # Names are all that differ: a resumed run counts attempts in these lines.
    line |= {"attempt": 0, "turned_down": [], "index": 0}
    marks = []
    with DatasetWriter(scratch / "written", n_records=records) as writer:
        for k in range(records):
            if k % (records // 10) == 0:
                marks.append(seconds(resource.RUSAGE_SELF))
            writer.add(replace(sample, name=f"r{k:07d}"), line)
        marks.append(seconds(resource.RUSAGE_SELF))
        writer.finish({"Records": records})
    steps = np.diff(marks) / (records // 10)
    return {"records": records, "first_tenth_s": float(steps[0]), "last_tenth_s": float(steps[-1])}


def folders(files: int, scratch: Path) -> dict[str, dict[str, float]]:
    """Seconds to make, list and look for files in one flat folder and in folders of 3,000."""
    found = {}
    for name, each in (("flat", files), ("split", 3000)):
        root = scratch / name
        began = seconds(resource.RUSAGE_SELF)
        for k in range(files):
            folder = root / f"{k // each:05d}"
            if k % each == 0:
                folder.mkdir(parents=True)
            (folder / f"r{k:09d}.hea").touch()
        made = seconds(resource.RUSAGE_SELF)
        listed = sum(len(names) for _, _, names in os.walk(root))
        if listed != files:
            raise SystemExit(f"{name}: {listed} of {files} files listed")
        walked = seconds(resource.RUSAGE_SELF)
        found[name] = {"files": files, "make_s": made - began, "list_s": walked - made}
        shutil.rmtree(root)
    return found


def paper(rows: list[dict[str, Any]], size: dict[str, float], held: dict[str, float]) -> dict[str, Any]:
    """Ten million records from what was measured, on cores like this machine's."""
    per_record, alone = cost(rows, 1), cost(rows, 2)
    return {
        "records": PAPER,
        "cpu_hours": PAPER * per_record / 3600,
        "writer_cpu_hours": PAPER * alone / 3600,
        "most_useful_workers": per_record / alone,
        "hours": {str(w): PAPER * max(per_record / w, alone) / 3600 for w in WORKERS},
        "files": PAPER * size["files"],
        "disk_gb": PAPER * size["disk_bytes"] / 1e9,
        "data_gb": PAPER * size["bytes"] / 1e9,
        "lists_gb": PAPER * size["list_bytes"] / 1e9,
        "memory_gb": {name: PAPER * per / 1e9 for name, per in held.items()},
    }


def cost(rows: list[dict[str, Any]], workers: int) -> float:
    """Processor seconds that one more record takes of the process that writes."""
    own = [r for r in rows if (r["command"], r["engine"], r["workers"]) == ("generate", "processes", workers)]
    many, few = max(own, key=lambda r: r["records"]), min(own, key=lambda r: r["records"])
    return float((many["alone_cpu_s"] - few["alone_cpu_s"]) / (many["records"] - few["records"]))


def markdown(content: dict[str, Any]) -> str:
    """The tables."""
    lines = [
        "# Scaling",
        "",
        f"Single-lead records of 10 s ({content['generator']}), {content['cores']} virtual cores. Others",
        "used the machine: `load` says how much, and wall seconds are to be",
        "read beside it. CPU `alone` is the process that reads, writes and decides, `workers` all others.",
        "Every row of a command wrote the same bytes. Made by `benchmarks/scaling.py`.",
        "",
        "| command | records | engine | workers | wall s | CPU s alone | CPU s workers | load |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for r in content["runs"]:
        helped = f"{r['workers_cpu_s']:.1f}" if r["engine"] == "processes" else "not measured"
        spent = f"{r['wall_s']:.1f} | {r['alone_cpu_s']:.1f} | {helped} | {r['load']:.1f}"
        lines.append(f"| {r['command']} | {r['records']} | {r['engine']} | {r['workers']} | {spent} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:2] == ["--part"]:
        print(json.dumps(part(sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--records", type=int, default=640)
    parser.add_argument("--written", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=60_000)
    parser.add_argument("--generator", default="cvae")
    parser.add_argument("--engines", default="processes")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"cores": os.cpu_count(), "generator": args.generator}
    with tempfile.TemporaryDirectory(prefix="ecgsynth-scaling-") as name:
        scratch = Path(name)
        parts: dict[str, Callable[[], Any]] = {
            "runs": lambda: runs(args, scratch),
            "per_record": lambda: sizes(scratch / "made", args.records),
            "memory_bytes_per_record": lambda: memory(scratch / "made", args.records),
            "writing": lambda: writing(args.written, scratch),
            "folders": lambda: folders(args.files, scratch),
        }
        for part_name, measure in parts.items():
            content[part_name] = measure()
            save(content, args.out)
    content["paper"] = paper(content["runs"], content["per_record"], content["memory_bytes_per_record"])
    save(content, args.out)
    print(json.dumps(content["paper"], indent=1))


def save(content: dict[str, Any], out: Path) -> None:
    """Write what there is so far."""
    (out / "scaling.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / "scaling.md").write_text(markdown(content))


if __name__ == "__main__":
    main()
