"""Time and memory of ``ecgsynth report``: so many ten-second records against as many.

    python benchmarks/report_speed.py --data DIR [--records 2000,20000] [--work DIR] [--out results/]

Real side: ten-second strips of CinC 2017 (sinus rhythm and AF). Synthetic side: ``parametric``, half of each
rhythm. Where more are asked than there are, the same again with another gain and noise, as other people's.
The command runs as a user runs it, with the cores there are; CPU seconds are of all its processes, memory is
the sum over them at one time (proportional set size, Linux; every 0.2 s).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

import ecgsynth
from ecgsynth.datasets import open_dataset
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.wfdb_io import write_record

SECONDS, MOST_DRAWN = 10.0, 2000
RHYTHMS_ASKED = ("nsr", "afib")
COMMAND = "from ecgsynth.cli import main; main()"


def real_strips(data: Path) -> list[Record]:
    """Ten-second strips of every person of CinC 2017 in sinus rhythm or AF."""
    strips = []
    for record in open_dataset(data / "cinc2017"):
        if record.episodes[0].rhythm not in RHYTHMS_ASKED:
            continue
        n = int(SECONDS * record.fs)
        for k in range(record.n_samples // n):
            strips.append(replace(record.slice(k * n, (k + 1) * n), name=f"{record.name}_{k}"))
    return strips


def synthetic_strips(n: int) -> list[Record]:
    """``n`` records, half of each rhythm."""
    generator = ecgsynth.load_generator("parametric")
    made = []
    for rhythm in RHYTHMS_ASKED:
        wish = {"seconds": SECONDS, "leads": ("I",), "source": "cinc2017", "fs": 300.0}
        for record in generator.sample(rhythm=rhythm, n=n // 2, seed=0, **wish):
            made.append(replace(record, name=f"{rhythm}_{record.name}"))
    return made


def enough(strips: list[Record], n: int) -> Iterator[Record]:
    """``n`` records: these, then the same with another gain and noise under other names."""
    rng = np.random.default_rng(0)
    for k, record in enumerate(islice(cycle(strips), n)):
        turn = k // len(strips)
        signal = record.signal
        if turn:
            signal = signal * rng.uniform(0.8, 1.2) + rng.normal(0, 0.005, signal.shape)
        name, person = f"{record.name}_{turn}", f"{record.subject.split('/')[-1]}_{turn}"
        yield replace(record, name=name, subject=person, signal=signal.astype(np.float32))


def write(strips: Iterator[Record], folder: Path) -> Path:
    """A WFDB folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in strips:
        mark = (0, RHYTHMS[record.episodes[0].rhythm or "nsr"].aux)
        about = [f"Subject: {record.subject}"]
        write_record(folder, record.name, record.signal, record.fs, ("I",), about, marks=[mark])
    return folder


def memory_gb(pid: int) -> float:
    """Memory of a process and its children now, shared pages counted once."""
    total = 0
    for own in (pid, *children(pid)):
        try:
            text = Path(f"/proc/{own}/smaps_rollup").read_text(encoding="ascii")
        except OSError:  # it has just ended
            continue
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1e6


def children(pid: int) -> list[int]:
    """Processes that this one started, and theirs."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    own = [int(part) for part in text.split()]
    return own + [below for child in own for below in children(child)]


def watched(arguments: list[Any], allowed: tuple[int, ...] = (0,), program: str = COMMAND) -> dict[str, Any]:
    """Run ``ecgsynth`` (or another program) with these; CPU and wall seconds, peak memory, and what it said.

    Raises
    ------
    SystemExit
        If it ends with another code than those ``allowed``.
    """
    command = [sys.executable, "-c", program, *arguments]
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            peak[0] = max(peak[0], memory_gb(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = process.communicate()[0]
    done.set()
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if process.returncode not in allowed:
        raise SystemExit(f"{arguments[0]} ended with {process.returncode}: {said}")
    found = {"cpu_s": round(cpu, 1), "wall_s": round(time.perf_counter() - wall, 1)}
    return {**found, "memory_gb": round(peak[0], 3), "cores": os.cpu_count(), "said": said.splitlines()}


def measure(synthetic: Path, real: Path, out: Path, n: int) -> dict[str, Any]:
    """Run the report and say what it took."""
    found = watched(["report", synthetic, "--real", real, "--out", out, "--overwrite"], allowed=(0, 7))
    verdicts = found.pop("said")[:2]
    return {"records": n, **found, "verdicts": verdicts}


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        "# Time and memory of `ecgsynth report`",
        "",
        "Ten-second single-lead records, as many on either side, two rhythms; start-up, reading both folders",
        "twice, the gate on every record, page and PDF included. CPU seconds are of all processes; the wall",
        "clock is that of a machine that others were using. Made by `benchmarks/report_speed.py`.",
        "",
    ]
    return "\n".join(lines + table("records a side", rows)) + "\n"


def table(counted: str, rows: list[dict[str, Any]]) -> list[str]:
    """Lines of a table of what `watched` found, one row per number of records."""
    lines = [
        f"| {counted} | CPU s | CPU s over the cores | wall s | memory |",
        "|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        share = f"{r['cpu_s'] / r['cores']:.0f} ({r['cores']})"
        lines.append(
            f"| {r['records']:,} | {r['cpu_s']:.0f} | {share} | {r['wall_s']:.0f} | {r['memory_gb']:.2f} GB |"
        )
    return lines


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--records", default="2000,20000", help="records a side, comma-separated")
    parser.add_argument("--work", type=Path, default=Path("speed-work"), help="for the folders")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for n in (int(part) for part in options.records.split(",")):
        folders = [options.work / f"{side}{n}" for side in ("synthetic", "real")]
        if not folders[0].is_dir():
            write(enough(synthetic_strips(min(n, MOST_DRAWN)), n), folders[0])
        if not folders[1].is_dir():
            write(enough(real_strips(options.data), n), folders[1])
        rows.append(measure(*folders, options.work / f"report{n}", n))
        print(json.dumps(rows[-1]), flush=True)
    (options.out / "report_speed.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (options.out / "report_speed.md").write_text(markdown(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
