"""Rewrite the table of rhythms in README.md from the metadata of the weights that ship.

python scripts/readme_table.py            # rewrite
python scripts/readme_table.py --check    # exit 1 if it is out of date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from ecgsynth.cli.rhythms import Population, shipped_populations
from ecgsynth.rhythms import RHYTHMS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- rhythms: written by scripts/readme_table.py -->", "<!-- end of rhythms -->"


def table(seen: Mapping[str, Population]) -> str:
    """Markdown table: a row per rhythm; per checkpoint the people behind it and the minutes seen."""
    head = ["`--rhythm`", "Rhythm", "Mark", *(f"`{stem}`" for stem in seen)]
    rows = [
        [f"`{rhythm.name}`", rhythm.title, f"`{rhythm.aux}`", *(cell(p.get(name)) for p in seen.values())]
        for name, rhythm in RHYTHMS.items()
    ]
    rule = ["---"] * 3 + ["---:"] * len(seen)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def cell(seen: Mapping[str, float] | None) -> str:
    if not seen:
        return "-"
    people, minutes = seen["people"], seen["seconds"] / 60
    return f"{people:.0f} ({minutes:.0f} min)" if minutes >= 1 else f"{people:.0f} (<1 min)"


def rewritten(text: str, seen: Mapping[str, Population]) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{README}: the lines {BEGIN!r} and {END!r} are not both there.")
    return f"{before}{BEGIN}\n{table(seen)}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if out of date")
    old = README.read_text(encoding="utf-8")
    new = rewritten(old, shipped_populations())
    if parser.parse_args().check:
        print(
            "README.md is up to date"
            if new == old
            else "README.md is out of date: run scripts/readme_table.py"
        )
        return int(new != old)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
