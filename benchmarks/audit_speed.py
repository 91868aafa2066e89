"""Time and memory of ``ecgsynth audit``: so many synthetic records against recordings of 1,000 people.

    python benchmarks/audit_speed.py --data DIR [--records 10000] [--work DIR] [--out results/]

Training and holdout: recordings of 30 s of CinC 2017 in any rhythm, one per person. Where more people are
asked than there are, the same again with another gain and noise, as other people's. Synthetic: ten-second
records of ``parametric``, half in sinus rhythm and half in AF. The command runs as a user runs it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from report_speed import SECONDS, enough, synthetic_strips, table, watched, write

from ecgsynth.datasets import open_dataset
from ecgsynth.records import Record

TRAIN, HOLDOUT, TRAIN_S, MOST_DRAWN = 1000, 200, 30, 2000


def real_records(data: Path) -> tuple[list[Record], list[Record]]:
    """Recordings of 30 s of CinC 2017: every fifth person is holdout, the others are training."""
    found = []
    for record in open_dataset(data / "cinc2017"):
        n = round(TRAIN_S * record.fs)
        if record.n_samples >= n and record.episodes[0].rhythm:
            found.append(replace(record.slice(0, n), name=record.name))
    return [r for k, r in enumerate(found) if k % 5], found[::5]


def folders(data: Path, work: Path, n: int) -> dict[str, Path]:
    """The three folders, made once."""
    found = {side: work / f"{side}{n}" for side in ("synthetic", "train", "holdout")}
    if not found["synthetic"].is_dir():
        write(enough(synthetic_strips(min(n, MOST_DRAWN)), n), found["synthetic"])
    if not found["train"].is_dir():
        train, holdout = real_records(data)
        write(enough(holdout, HOLDOUT), found["holdout"])
        write(enough(train, TRAIN), found["train"])
    return found


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        "# Time and memory of `ecgsynth audit`",
        "",
        f"Synthetic single-lead records of {SECONDS:g} s against {TRAIN:,} training and {HOLDOUT} holdout",
        f"recordings of {TRAIN_S} s; start-up, reading, all attacks and the page included. CPU seconds are",
        "of all processes; the wall clock is worth what else ran on the machine (nothing, here). Made by",
        "`benchmarks/audit_speed.py`.",
        "",
    ]
    return "\n".join(lines + table("synthetic records", rows)) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--records", default="10000", help="synthetic records, comma-separated")
    parser.add_argument("--work", type=Path, default=Path("speed-work"), help="for the folders")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for n in (int(part) for part in options.records.split(",")):
        at = folders(options.data, options.work, n)
        out = options.work / f"audit{n}"
        command = ["audit", at["synthetic"], "--train", at["train"], "--holdout", at["holdout"]]
        found = watched([*command, "--out", out, "--overwrite"], allowed=(0, 8))
        rows.append({"records": n, **found, "said": found["said"][:3]})
        print(json.dumps(rows[-1]), flush=True)
    (options.out / "audit_speed.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (options.out / "audit_speed.md").write_text(markdown(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
