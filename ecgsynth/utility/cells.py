"""The cells of a study: one training each, written as one small file when it is done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import RecordError
from ecgsynth.split import check_disjoint
from ecgsynth.utility.arms import ARMS
from ecgsynth.utility.metrics import Labelled
from ecgsynth.utility.strips import Strips
from ecgsynth.utility.study import Study


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes
    ----------
    arm : str
        Key of `ARMS`.
    generator : str
        ``""`` where the arm needs none.
    people : int
        People with the rhythm; 0 for all.
    ratio : float
    seed : int
    """

    arm: str
    generator: str
    people: int
    ratio: float
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        parts = [self.arm, self.generator, f"k{self.people}", f"r{self.ratio:g}", f"s{self.seed}"]
        return "_".join(part for part in parts if part)


def first_cells(study: Study) -> Iterator[Cell]:
    """Cells that need to know nothing of others: all without synthetic strips, and the sweep over ratios."""
    for seed in range(study.seeds):
        for name in study.arms:
            arm = ARMS[name]
            late = seed >= study.sweep_seeds and (arm.swept or arm.control)
            if arm.chooses or late:
                continue
            for people in (0,) if arm.everyone or not arm.real else study.people:
                if not arm.synthetic or arm.synthetic == "jittered":
                    yield Cell(name, "", people, 1.0 if arm.synthetic else 0.0, seed)
                    continue
                for generator in study.generators:
                    for ratio in study.ratios if arm.swept else (1.0,):
                        yield Cell(name, generator, people, ratio, seed)


def second_cells(
    study: Study, chosen: Mapping[tuple[str, int], float], best: Mapping[int, str]
) -> Iterator[Cell]:
    """The rest, at the ratio chosen for (generator, people); controls for the best learned generator only."""
    for seed in range(study.seeds):
        for name in study.arms:
            arm = ARMS[name]
            control = arm.control and seed >= study.sweep_seeds
            if control or not (arm.chooses or (arm.swept and seed >= study.sweep_seeds)):
                continue
            for (generator, people), ratio in sorted(chosen.items()):
                if not arm.control or best.get(people) == generator:
                    yield Cell(name, generator, people, ratio, seed)


def part_rows(study: Study, strips: Strips) -> dict[str, NDArray[np.int64]]:
    """Rows of ``train``, ``val`` and of every test, people checked to be in one only.

    Raises
    ------
    RecordError
        If someone is on both sides, or a part lacks people with or without the rhythm.
    """
    rare = np.isin(strips.rhythm, study.positive)
    ours = np.isin(strips.source, study.sources) & (rare | np.isin(strips.rhythm, study.negative))
    rows = {part: np.flatnonzero(ours & (strips.part == part)) for part in ("train", "val")}
    for name, cohort in study.tests.items():
        common = np.isin(strips.rhythm, cohort.negative) if cohort.negative else ~rare
        there = np.isin(strips.source, cohort.sources) & np.isin(strips.part, ("test", ""))
        rows[name] = np.flatnonzero(there & (rare | common))
    groups = {name: np.unique(strips.subject[own]).tolist() for name, own in rows.items()}
    for name in study.tests:
        check_disjoint(**{"train": groups["train"], "val": groups["val"], f"the test {name}": groups[name]})
    for name, own in rows.items():
        for wanted, what in ((True, "with"), (False, "without")):
            if not len(own[rare[own] == wanted]):
                raise RecordError(
                    f"study {study.name}: nobody {what} {' or '.join(study.positive)} in {name}; look at the "
                    "split and at the study's sources."
                )
    return rows


def chosen_people(subjects: NDArray[np.str_], count: int, seed: int) -> list[str]:
    """Who is trained on: the first of one order per seed, so that fewer are among more.

    Raises
    ------
    RecordError
        If there are not that many.
    """
    everyone = np.unique(subjects)
    if count > len(everyone):
        raise RecordError(
            f"study: {count} people with the rhythm to train on; there are {len(everyone)}. Lower `people`."
        )
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0x9E,)))
    return [str(p) for p in rng.permutation(everyone)[: count or None]]


def tested_of(study: Study, strips: Strips, rows: NDArray[np.int64]) -> Labelled:
    """Truth and people of a test's rows."""
    people = np.unique(strips.subject[rows], return_inverse=True)[1].astype(np.int64)
    return Labelled(np.isin(strips.rhythm[rows], study.positive), people)


def write_cell(folder: Path, cell: Cell, found: Mapping[str, Any]) -> None:
    """The cell's file, whole or not at all."""
    path = folder / f"{cell.name}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"cell": asdict(cell), **found}) + "\n", encoding="utf-8")
    partial.replace(path)


def read_cell(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """What `write_cell` wrote, or None."""
    path = folder / f"{cell.name}.json"
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise RecordError(
            f"{path}: is damaged ({error}); remove it, and --resume runs that cell again."
        ) from error
    return found
