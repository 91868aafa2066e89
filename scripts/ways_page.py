"""Draw ``docs/ways.png``: from one rhythm to another, and from one person to another, in five steps.

python scripts/ways_page.py --out docs/ways.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ecgsynth
from ecgsynth.interpolation import interpolate
from ecgsynth.plot import strips_page

STEPS = 5
COLUMNS = ((("nsr", "afib"), "sinus rhythm to atrial fibrillation"), (("nsr", None), "one person to another"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator", default="cvae")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/ways.png"))
    options = parser.parse_args()
    generator = ecgsynth.load_generator(options.generator)
    ways = [interpolate(generator, *ends, STEPS, options.seed, leads=("II",)) for ends, _ in COLUMNS]
    titles = ", ".join(title for _, title in COLUMNS)
    groups = [
        (f"{titles} (right); start" if k == 0 else f"{k}/{STEPS - 1} of the way", [way[k] for way in ways])
        for k in range(STEPS)
    ]
    strips_page(groups, options.out, seconds=8.0)


if __name__ == "__main__":
    main()
