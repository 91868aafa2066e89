"""Numbers of real strips and of the same strips with planted faults, for fitting the gate."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gate_recorders import Recorder

from ecgsynth.fidelity.faults import FAULTS, Strength, find_partner, known_narrow, plant
from ecgsynth.fidelity.integrity import integrity
from ecgsynth.fidelity.leads import rows_of_eight
from ecgsynth.fidelity.measures import measure
from ecgsynth.fidelity.sound import one_lead, shortened
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS

#: Faults that a number of its own finds; no trees are fitted for them.
CERTAIN = ("nan", "flat", "einthoven")
#: Shorter strips are not measured, in seconds.
SHORTEST = 3.0
#: Strips that are measured, and kept, together.
BATCH = 50
#: Most strips of one person and rhythm that faults are planted in; fewer of rhythms with many people.
MOST_SPOILT, SPOILT = 4, {"nsr": 2, "afib": 3}


@dataclass(frozen=True)
class Row:
    """One strip as the gate sees it; ``fault`` is empty for a sound one, ``twelve`` has the eight leads."""

    subject: str
    rhythm: str
    lead: str
    twelve: bool
    fault: str
    numbers: Mapping[str, float]


def rows_of(
    strips: Iterable[Record],
    seed: int,
    strength: Strength | None = None,
    elsewhere: bool = False,
    keep: Path | None = None,
    artefacts: float = 0.0,
) -> list[Row]:
    """Rows of strips: each as recorded if it has the eight leads, and one of its leads alone.

    With a ``strength`` also with every fault that applies, see `SPOILT`. With ``elsewhere`` each also as
    another recorder would have stored it (:mod:`gate_recorders`) and at times shorter, with ``artefacts`` in
    that share of them; faults are planted in one of the two. ``keep`` is a folder that gets the rows of every
    `BATCH` strips as they are measured; what it holds is not measured again.
    """
    plan = plan_of(strips, seed, strength, artefacts)
    rows: list[Row] = []
    began = time.monotonic()
    for first in range(0, len(plan.records), BATCH):
        path = keep / f"rows_{seed}_{first:05}.npz" if keep else None
        if path is not None and path.is_file():
            rows += load_rows(path)
            continue
        measured = _measured(list(variants_of(plan, seed, elsewhere, first, first + BATCH)))
        if path is not None:
            save_rows(measured, path)
            measured = load_rows(path)  # stored numbers are rounded: the same whether read or measured
        rows += measured
        done = min(first + BATCH, len(plan.records))
        print(
            f"{done} of {len(plan.records)} strips, {time.monotonic() - began:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return rows


@dataclass(frozen=True)
class Plan:
    """Records to measure, the strength of the faults planted in each (None: none), and partners by kind.

    ``artefacts`` is the share with one of those that another recorder stores.
    """

    records: Sequence[Record]
    strengths: Sequence[Strength | None]
    pools: Mapping[tuple[str, float, int], list[Record]]
    artefacts: float = 0.0


def plan_of(strips: Iterable[Record], seed: int, strength: Strength | None, artefacts: float = 0.0) -> Plan:
    """Each strip as recorded if it has the eight leads, and one of its leads alone."""
    rng = np.random.default_rng(seed)
    records: list[Record] = []
    for strip in strips:
        if rows_of_eight(strip.leads) is not None:
            records.append(strip)
        alone = one_lead(strip, rng)
        if alone is not None:
            records.append(alone)
    pools: dict[tuple[str, float, int], list[Record]] = defaultdict(list)
    counts: Counter[tuple[tuple[str, float, int], str]] = Counter()
    strengths = []
    for record in records:
        kind = kind_of(record)
        pools[kind].append(record)
        counts[kind, record.subject] += 1
        strengths.append(
            strength if counts[kind, record.subject] <= SPOILT.get(kind[0], MOST_SPOILT) else None
        )
    return Plan(records, strengths, pools, artefacts)


def variants_of(
    plan: Plan, seed: int, elsewhere: bool, first: int = 0, stop: int | None = None
) -> Iterator[tuple[Record, str]]:
    """The records ``first`` to ``stop`` and what is made of them, each with the name of its fault."""
    for k in range(first, len(plan.records) if stop is None else min(stop, len(plan.records))):
        own = np.random.default_rng([seed, k])
        yield from _variants(plan.records[k], plan, own, plan.strengths[k], elsewhere)


def _variants(
    record: Record,
    plan: Plan,
    rng: np.random.Generator,
    strength: Strength | None,
    elsewhere: bool,
) -> list[tuple[Record, str]]:
    """The record, as another recorder stores it, and with faults; each with the name of its fault."""
    variants = [(record, "")]
    sound, recorder = record, None
    if elsewhere:
        recorder = Recorder.drawn(rng, plan.artefacts)
        moved = shortened(recorder.store(record), rng)
        variants.append((moved, ""))
        if rng.random() < 0.5:
            sound = moved
        else:
            sound, recorder = shortened(record, rng), None
    for fault in FAULTS.values() if strength else ():
        if fault.name in CERTAIN or not fault.applies(sound, str(sound.episodes[0].rhythm)):
            continue
        partner = find_partner(record, plan.pools[kind_of(record)], rng) if fault.partner else None
        if partner is not None and recorder is not None:
            partner = recorder.store(partner)  # both people by the same device
        damaged = plant(fault, sound, rng, strength or "learn", partner)
        if damaged is not None and damaged.seconds >= SHORTEST:
            variants.append((damaged, fault.name))
    return variants


def kind_of(record: Record) -> tuple[str, float, int]:
    """Rhythm, sampling rate and number of leads: records of one kind can be spliced."""
    return str(record.episodes[0].rhythm), record.fs, len(record.leads)


def _measured(batch: list[tuple[Record, str]]) -> list[Row]:
    """Rows of records and the faults planted in them; together they take less time than one by one."""
    rows = []
    measured = measure([(record, 0, record.n_samples) for record, _ in batch])
    for (record, fault), found in zip(batch, measured, strict=True):
        rhythm = str(record.episodes[0].rhythm)
        numbers = integrity(record.signal, record.fs, record.leads) | found.numbers
        beats = record.beats
        numbers |= {"seconds": record.seconds, "narrow": float(beats is None or known_narrow(beats))}
        if beats is not None and beats.source == "annotated" and RHYTHMS[rhythm].has_beats:
            numbers |= found.agreement(beats.samples, record.fs, record.n_samples)
        twelve = rows_of_eight(record.leads) is not None
        rows.append(Row(record.subject, rhythm, found.lead, twelve, fault, numbers))
    return rows


def save_rows(rows: list[Row], path: Path) -> None:
    """Keep measured rows: measuring takes longer than fitting."""
    names = sorted({name for row in rows for name in row.numbers})
    at = {name: i for i, name in enumerate(names)}
    values = np.full((len(rows), len(names)), np.nan, dtype=np.float32)
    for line, row in zip(values, rows, strict=True):
        for name, value in row.numbers.items():
            line[at[name]] = value
    columns = {
        k: np.array([getattr(row, k) for row in rows])
        for k in ("subject", "rhythm", "lead", "twelve", "fault")
    }
    np.savez_compressed(path, values=values, names=np.array(names), **columns)


def load_rows(path: Path) -> list[Row]:
    """What `save_rows` wrote."""
    with np.load(path) as file:
        names = file["names"].tolist()
        columns = [file[k].tolist() for k in ("subject", "rhythm", "lead", "twelve", "fault")]
        numbers = [
            {name: value for name, value in zip(names, line, strict=True) if value == value}
            for line in file["values"].tolist()
        ]
    return [Row(*meta, values) for *meta, values in zip(*columns, numbers, strict=True)]
