"""How many records of each generator does the gate turn down, and for what?

    python benchmarks/gate_rejections.py [--records 100] [--twelve-records 48] [--out docs/results]

Every rhythm that the shipped weights offer, drawn as ``ecgsynth generate`` draws it, before any redraw. The
copy gate is not asked; ``benchmarks/copy_gate.py`` counts what that refuses.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ecgsynth.errors import OptionError, TooFewPeopleError
from ecgsynth.fidelity.calibration import SHIPPED, load_calibration
from ecgsynth.fidelity.gate import check_records
from ecgsynth.generators import GENERATORS
from ecgsynth.records import TWELVE_LEADS
from ecgsynth.report.tally import wilson
from ecgsynth.report.words import check_title
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.sampling import Sampler

SEED, SECONDS = 11, 10.0


def measure(name: str, twelve: bool, records: int) -> dict[str, dict[str, Any]]:
    """Share turned down of every rhythm that generator ``name`` offers, and why."""
    sampler, calibration = Sampler(name), load_calibration()
    leads = {"leads": TWELVE_LEADS} if twelve else {}
    rows: dict[str, dict[str, Any]] = {}
    for rhythm in RHYTHMS:
        try:
            drawn = sampler.sample(rhythm=rhythm, n=records, seed=SEED, seconds=SECONDS, **leads)
        except (OptionError, TooFewPeopleError):
            continue
        verdicts = check_records(drawn, calibration)
        refused = sum(not verdict.passed for verdict in verdicts)
        why = Counter(check for v in verdicts for check in {reason.split(":")[0] for reason in v.reasons})
        low, high = wilson(refused / records, records)
        rows[rhythm] = {
            "records": records, "refused": refused, "low": low, "high": high,
            "reasons": dict(why.most_common()),
        }  # fmt: skip
        print(f"{name} {'twelve' if twelve else 'one'} {rhythm}: {refused}", file=sys.stderr, flush=True)
    return rows


def page(result: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = [
        "# What the gate turns down",
        "",
        "Share of draws of the shipped weights that the record gate turns down, before `ecgsynth generate` "
        f"draws them again: records of {SECONDS:g} s, seed {SEED}; 95 % intervals (Wilson) over records. One "
        "record can fail several checks. Made by `benchmarks/gate_rejections.py`.",
    ]
    for kind, generators in result["kinds"].items():
        lines += ["", f"## {kind.capitalize()}", ""]
        lines += ["| rhythm | " + " | ".join(f"{name} | why" for name in generators) + " |"]
        lines.append("|---|" + "---:|---|" * len(generators))
        for rhythm in sorted({rhythm for rows in generators.values() for rhythm in rows}):
            cells = [_cells(rows.get(rhythm)) for rows in generators.values()]
            lines.append(f"| {rhythm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any] | None) -> str:
    if row is None:
        return "not offered | "
    share = row["refused"] / row["records"]
    why = ", ".join(f"{check_title(name)} {count}" for name, count in list(row["reasons"].items())[:3])
    return f"{100 * share:.0f} % ({100 * row['low']:.0f} to {100 * row['high']:.0f}) | {why}"


def main(arguments: list[str] | None = None) -> int:
    """Draw, judge, count, write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--records", type=int, default=100, help="per rhythm, of one lead")
    parser.add_argument("--twelve-records", type=int, default=48, help="per rhythm, of twelve leads")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args(arguments)
    kinds = {
        kind: {name: measure(name, twelve, records) for name in GENERATORS}
        for kind, twelve, records in (
            ("one lead", False, options.records),
            ("twelve leads", True, options.twelve_records),
        )
    }
    result = {"calibration": json.loads(SHIPPED.read_text(encoding="utf-8"))["split"], "kinds": kinds}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gate_rejections.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "gate_rejections.md").write_text(page(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
