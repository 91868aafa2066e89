"""Sets of strips of which a share is wrong: single strips with a fault, and faults that only a set has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.faults import FAULTS, find_partner, plant
from ecgsynth.records import Record
from ecgsynth.rpeaks import bridge_gaps
from ecgsynth.windows import resample

FS, SECONDS = 250.0, 10.0
#: Share of faulty records; 0 is for the alarms that are false.
LEVELS = (0.0, 0.01, 0.02, 0.05, 0.10, 0.50, 1.0)
#: Sets without a fault that say what is usual, and further sets per fault and level.
NULLS, DRAWS = 40, 5
#: A collapsed generator repeats so many records, with noise of so many mV.
COPIED, JITTER = 3, 0.01
#: ``score(faulty, fault, draw)``: one set, the records ``faulty`` [records] replaced by those with the fault.
Scorer = Callable[[NDArray[np.bool_], str, int], float]

#: Faults of a set, by name, for people to read.
SET_FAULTS = {
    "collapse": f"mode collapse: copies of {COPIED} records",
    "labels": "label shuffle: records of other rhythms",
    "person": "a person on both sides",
}


def faulty_sets(
    a: Sequence[Record], b: Sequence[Record], others: Sequence[Record], rng: np.random.Generator
) -> dict[str, list[Record | None]]:
    """What each record of ``b`` becomes under each fault; None where the fault cannot be planted.

    ``a`` is what sets are compared with, ``others`` are strips of other rhythms. A person on both sides gets
    another strip of a person of ``a``.
    """
    bad: dict[str, list[Record | None]] = {"sound": list(b)}
    for fault in FAULTS.values():
        if not fault.twelve:
            bad[fault.name] = [_planted(fault.name, record, b, rng) for record in b]
    bad["collapse"] = [_jittered(b[i % COPIED], rng) for i in range(len(b))]
    bad["labels"] = [
        replace(others[k], episodes=(replace(others[k].episodes[0], rhythm=b[0].episodes[0].rhythm),))
        for k in rng.integers(0, len(others), len(b)).tolist()
    ]
    return bad


def _planted(name: str, record: Record, pool: Sequence[Record], rng: np.random.Generator) -> Record | None:
    fault = FAULTS[name]
    if not fault.applies(record, str(record.episodes[0].rhythm)):
        return None
    partner = find_partner(record, pool, rng) if fault.partner else None
    return plant(fault, record, rng, "judge", partner)


def _jittered(record: Record, rng: np.random.Generator) -> Record:
    noise = JITTER * rng.standard_normal(record.signal.shape)
    return replace(record, signal=(record.signal + noise).astype(np.float32))


def mixes(size: int, bad: Sequence[Any], level: float, draws: int, seed: int) -> list[NDArray[np.bool_]]:
    """Which records of a set are faulty, ``draws`` times; at least one is unless ``level`` is 0."""
    rng = np.random.default_rng([seed, round(1000 * level)])
    can = np.flatnonzero([item is not None for item in bad])
    masks = []
    for _ in range(draws):
        mask = np.zeros(size, dtype=bool)
        if level > 0:
            mask[rng.choice(can, min(len(can), max(1, round(level * size))), replace=False)] = True
        masks.append(mask)
    return masks


def drawn(size: int, draw: int) -> NDArray[np.int64]:
    """Four fifths of the set, another four fifths for every draw."""
    return np.sort(np.random.default_rng([11, draw]).permutation(size)[: 4 * size // 5])


def power(score: Scorer, bad: dict[str, list[Any]], size: int, worst: str = "high") -> dict[str, list[float]]:
    """Share of contaminated sets scored worse than 95 % of sound ones, per fault and level.

    Every draw takes other records, so that sound sets differ too.
    """
    sign = 1.0 if worst == "high" else -1.0
    none = np.zeros(size, dtype=bool)
    usual = sign * np.array([score(none, "sound", draw) for draw in range(NULLS)])
    limit = float(np.quantile(usual, 0.95))
    table: dict[str, list[float]] = {}
    for fault, records in bad.items():
        if fault == "sound":
            continue
        row = []
        for level in LEVELS:
            masks = mixes(size, records, level, DRAWS, 3)
            values = [sign * score(mask, fault, NULLS + k) for k, mask in enumerate(masks)]
            row.append(float(np.mean(np.nan_to_num(values, nan=np.inf) > limit)))
        table[fault] = row
    return table


def level_of(record: Record) -> NDArray[np.float32]:
    """One lead at 250 Hz, 10 s: repeated where it is shorter, gaps bridged."""
    n = round(SECONDS * FS)
    row = bridge_gaps(resample(record, FS).signal[:1].astype(np.float64))[0]
    row = np.tile(row, -(-n // len(row)))[:n] if len(row) < n else row[:n]
    return row.astype(np.float32)
