"""What to generate: a proposal from how many people and strips show each rhythm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecgsynth.augment.strips import Census
from ecgsynth.checkpoint import read_metadata, shipped_weights
from ecgsynth.errors import OptionError
from ecgsynth.population import fewest_people
from ecgsynth.split import PARTS

#: Ratios of synthetic to real strips that are proposed: those that studies of augmentation sweep. More than
#: four times the real ones has hurt more often than it helped.
RATIOS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
#: More synthetic strips per real one are taken for a slip of the hand.
LARGEST_RATIO: Final = 20.0
#: Fewer people than this in the test part cannot show that anything got better.
FEWEST_TO_JUDGE: Final = 5


def check_ratio(ratio: float) -> None:
    """Refuse a ratio of synthetic to real strips that is no number from 0 to `LARGEST_RATIO`.

    Raises
    ------
    OptionError
    """
    if not (math.isfinite(ratio) and 0 <= ratio <= LARGEST_RATIO):
        raise OptionError(
            f"--ratio: {ratio:g} synthetic strips per real one; allowed are 0 to {LARGEST_RATIO:g}. Studies "
            "go to 4; more has hurt more often than it helped."
        )


@dataclass(frozen=True)
class Proposal:
    """One row of the plan.

    Attributes
    ----------
    rhythm : str
    people : dict of str to int
        People by part.
    strips : dict of str to int
        Strips by part.
    ratio : float
        Synthetic per real training strip; 0 where none are proposed.
    records : int
        Synthetic strips that come to.
    learned_from : int or None
        People that the generator learned the rhythm from; None where it learns from nobody (parametric).
    note : str
        Why, or what stands against it.
    """

    rhythm: str
    people: dict[str, int]
    strips: dict[str, int]
    ratio: float
    records: int
    learned_from: int | None
    note: str


def propose(
    census: Census, parts: Mapping[str, str], generator: str = "cvae", weights: Path | None = None
) -> list[Proposal]:
    """A row for each rhythm, the most common first.

    A rhythm is brought towards the most common one by the largest of `RATIOS` that does not overshoot it.

    Parameters
    ----------
    census : Census
    parts : mapping of str to str
        Everyone's part.
    generator : str
        As for ``ecgsynth generate``.
    weights : Path or None
    """
    twelve = len(census.leads) > 1
    population = _population(generator, twelve, weights)
    counts = {
        rhythm: {part: census.of(rhythm, parts, part) for part in PARTS}
        for rhythm in sorted({rhythm for _, rhythm in census.strips})
    }
    most = max(by["train"][1] for by in counts.values())
    rows = [_row(rhythm, by, most, population, fewest_people(twelve)) for rhythm, by in counts.items()]
    return sorted(rows, key=lambda row: (-row.strips["train"], row.rhythm))


def _population(generator: str, twelve: bool, weights: Path | None) -> Mapping[str, Any] | None:
    if generator == "parametric":
        return None
    found: Mapping[str, Any] = read_metadata(weights or shipped_weights(generator, twelve))["population"]
    return found


def _row(
    rhythm: str,
    by: Mapping[str, tuple[int, int]],
    most: int,
    population: Mapping[str, Any] | None,
    fewest: int,
) -> Proposal:
    people = {part: by[part][0] for part in PARTS}
    strips = {part: by[part][1] for part in PARTS}
    learned = None if population is None else int(population.get(rhythm, {}).get("people", 0))
    have = strips["train"]
    ratio = max((r for r in RATIOS if have * (1 + r) <= most), default=0.0) if have else 0.0
    if not have:
        note = "nobody to train on"
    elif ratio == 0:
        note = "common enough"
    elif learned is not None and learned < fewest:
        ratio, note = 0.0, f"generator learned it from {_people(learned)}; use --generator parametric"
    elif people["test"] < FEWEST_TO_JUDGE:
        note = f"{_people(people['test'])} in test: a gain cannot be shown"
    else:
        note = ""
    return Proposal(rhythm, people, strips, ratio, round(have * ratio), learned, note)


def _people(count: int) -> str:
    return {0: "nobody", 1: "one person"}.get(count, f"{count} people")


def plan_table(rows: list[Proposal]) -> str:
    """The plan as text."""
    head = ["RHYTHM", "PEOPLE (TRAIN/VAL/TEST)", "STRIPS", "LEARNED FROM", "RATIO", "GENERATE", "NOTE"]
    cells = [
        [
            row.rhythm,
            "/".join(str(row.people[part]) for part in PARTS),
            "/".join(str(row.strips[part]) for part in PARTS),
            "-" if row.learned_from is None else str(row.learned_from),
            f"{row.ratio:g}",
            str(row.records),
            row.note,
        ]
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in [head, *cells]
    ]
    return "\n".join(lines)
