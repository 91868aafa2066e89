"""How many strips of people held out pass a gate, per rhythm."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ecgsynth.fidelity.calibration import Calibration
from ecgsynth.fidelity.gate import check_record
from ecgsynth.fidelity.sound import one_lead
from ecgsynth.records import Record


def held_out_table(strips: Sequence[Record], calibration: Calibration) -> list[dict[str, Any]]:
    """How many held-out people's strips pass, per rhythm, as recorded and one lead alone."""
    rng = np.random.default_rng(0)
    groups: dict[str, list[tuple[str, bool, tuple[str, ...]]]] = defaultdict(list)
    for strip in strips:
        alone = one_lead(strip, rng)
        for record in (strip, alone) if len(strip.leads) > 1 else (strip,):
            if record is not None:
                verdict = check_record(record, calibration)
                groups[str(strip.episodes[0].rhythm)].append((strip.subject, verdict.passed, verdict.reasons))
    lines = []
    for name in sorted(set(calibration.rhythms) | set(groups)):
        people: dict[str, list[bool]] = defaultdict(list)
        for subject, passed, _ in groups[name]:
            people[subject].append(passed)
        why = Counter(reason.split(":")[0] for *_, reasons in groups[name] for reason in reasons)
        lines.append(
            {
                "rhythm": name,
                "train_people": calibration.people.get(name, 0),
                "held_out_people": len(people),
                "held_out_records": len(groups[name]),
                "pass": float(np.mean([p for _, p, _ in groups[name]])) if people else None,
                "pass_by_person": float(np.mean([np.mean(p) for p in people.values()])) if people else None,
                "why": dict(why.most_common()),
            }
        )
    return lines


def print_table(lines: Sequence[Mapping[str, Any]]) -> None:
    """The table as Markdown."""
    print("| rhythm | people fitted | held out | records | pass | by person | why not |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        rates = [f"{line[k]:.1%}" if line[k] is not None else "-" for k in ("pass", "pass_by_person")]
        why = ", ".join(f"{k} {v}" for k, v in line["why"].items())
        head = (line["rhythm"], line["train_people"], line["held_out_people"], line["held_out_records"])
        print(f"| {' | '.join(map(str, (*head, *rates, why)))} |")
