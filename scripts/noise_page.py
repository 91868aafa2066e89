"""Draw ``docs/noise.png``: the same hearts as kinds of recorder write them, and at three ratios.

    python scripts/noise_page.py --out docs/noise.png

Every row is record 0 of the same seed: sinus rhythm on the left, ventricular bigeminy on the right.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import ecgsynth
from ecgsynth.plot import strips_page

ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--noise clean", {"noise": "clean"}),
    ("no option: the noise of the source", {}),
    ("--noise holter", {"noise": "holter"}),
    ("--noise handheld", {"noise": "handheld"}),
    ("--noise 12lead", {"noise": "12lead"}),
    ("--noise holter --snr 20", {"noise": "holter", "snr": 20.0}),
    ("--noise holter --snr 10", {"noise": "holter", "snr": 10.0}),
    ("--noise holter --snr 0", {"noise": "holter", "snr": 0.0}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator", default="cvae")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("docs/noise.png"))
    options = parser.parse_args()
    generator = ecgsynth.load_generator(options.generator)
    groups = []
    for heading, asked in ROWS:
        hearts = [
            generator.sample(rhythm=rhythm, n=1, seed=options.seed, leads=(lead,), **asked)[0]
            for rhythm, lead in (("nsr", "I"), ("bigeminy", "MLII"))
        ]
        groups.append((heading, hearts))
    strips_page(groups, options.out, seconds=8.0)


if __name__ == "__main__":
    main()
