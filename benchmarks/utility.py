"""The studies behind docs/utility.md: runs or resumes them and copies what they found to docs/results.

    python benchmarks/utility.py --data DIR --split docs/results/split.json --work DIR [--study af-single,...]
        [--people 2] [--seeds 3] [--sweep-seeds 1] [--ratios 0.25,1,4] [--generators cvae,cgan]
        [--arms none,synthetic] [--workers 2] [--out docs/results]

The same as `ecgsynth benchmark utility` with the studies that ship, but smaller where asked for; --work keeps
the cells, so a later call with more people, seeds, ratios or generators only runs what is missing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from ecgsynth.utility.run import UtilityOptions, run_study
from ecgsynth.utility.study import SHIPPED, Study, load_study


def smaller(study: Study, options: argparse.Namespace) -> Study:
    """The study with what the command line changes."""
    changes: dict[str, object] = {}
    if options.people:
        changes["people"] = tuple(int(part) for part in options.people.split(","))
    if options.ratios:
        changes["ratios"] = tuple(float(part) for part in options.ratios.split(","))
    for name in ("generators", "arms"):
        if getattr(options, name) is not None:
            changes[name] = tuple(filter(None, getattr(options, name).split(",")))
    for name in ("seeds", "sweep_seeds"):
        if getattr(options, name):
            changes[name] = getattr(options, name)
    return replace(study, **changes)


def show(done: int, total: int | None, note: str) -> None:
    print(f"{done}/{total} {note}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the studies."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="where cells are kept")
    parser.add_argument("--study", default=",".join(SHIPPED))
    parser.add_argument("--people", default="", help="comma-separated; the study's by default")
    parser.add_argument("--ratios", default="", help="comma-separated; the study's by default")
    parser.add_argument("--arms", help="comma-separated; the study's by default")
    parser.add_argument("--generators", help="comma-separated; the study's by default; none with ''")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--sweep-seeds", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args(arguments)
    for name in options.study.split(","):
        study = smaller(load_study(name), options)
        work = options.work / name
        run_study(
            UtilityOptions(
                study=study,
                data=options.data,
                split=options.split,
                out=work,
                workers=options.workers,
                resume=work.exists(),
            ),
            show,
        )
        for kind in ("json", "md", "png"):
            shutil.copyfile(work / f"utility.{kind}", options.out / f"utility_{name}.{kind}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
