"""How small a share of faulty records does a judge of sets notice: ours, sdmetrics, ECGEN-Eval.

The other judges have no verdict on a record, so all of them are asked the same question about sets: is this
one worse than sets of real people usually are?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from judge_peers import PEER_DRAWS, peer_power, sdmetrics_scorers
from judge_planting import DRAWS, FS, LEVELS, SET_FAULTS, Scorer, drawn, faulty_sets, level_of, power
from numpy.typing import NDArray

from ecgsynth.errors import RecordError
from ecgsynth.fidelity.calibration import Calibration
from ecgsynth.fidelity.distances import kid
from ecgsynth.fidelity.encoder import embed
from ecgsynth.fidelity.faults import FAULTS
from ecgsynth.fidelity.features import FEATURES, record_features
from ecgsynth.fidelity.gate import check_records
from ecgsynth.fidelity.neighbours import density_coverage, meeting, surroundings
from ecgsynth.privacy.samples import median_beat
from ecgsynth.privacy.verifier import load_verifier
from ecgsynth.records import Record
from ecgsynth.rpeaks import detect_r_peaks

Array = NDArray[np.float64]

#: Share of sound records that are taken for a person of the other side.
MET = 0.01


def compare_judges(
    units: Sequence[Record], rhythm: str, calibration: Calibration, peer_python: str | None
) -> dict[str, Any]:
    """Power of every judge for every fault that one lead of ``rhythm`` and a set can have, per level."""
    known = load_verifier().people
    alone = [r for r in units if len(r.leads) == 1 and r.subject not in known]
    sound = [r for r in alone if r.episodes[0].rhythm == rhythm]
    others = [r for r in alone if r.episodes[0].rhythm != rhythm]
    rng = np.random.default_rng(7)
    people = sorted({r.subject for r in sound})
    first = set(rng.permutation(people)[: len(people) // 2].tolist())
    a, b = _sides(sound, first)
    bad = faulty_sets(a, b, others, rng)
    bad["person"] = _on_both_sides(a, [r for r in sound if r.subject in first], len(b))
    tables = {name: _features(records) for name, records in bad.items()}
    judges: dict[str, tuple[Scorer, str]] = {"record gate: turned down": (_gate(bad, calibration), "high")}
    judges |= {name: (scorer, worst) for name, (scorer, worst) in _embedded(a, bad).items()}
    judges["verification encoder: people met"] = (_met(a, bad), "high")
    for metric, scorer in sdmetrics_scorers(_features(a), tables).items():
        judges[f"sdmetrics: {metric}"] = (scorer, "low")
    found = {title: power(scorer, bad, len(b), worst) for title, (scorer, worst) in judges.items()}
    peer, note = peer_power(a, bad, peer_python)
    return {
        "size": len(b), "people": len(people), "levels": LEVELS, "draws": DRAWS,
        "peer_draws": PEER_DRAWS, "note": note,
        "power": found | peer,
        "titles": {name: fault.title for name, fault in FAULTS.items()} | SET_FAULTS,
    }  # fmt: skip


def _sides(sound: Sequence[Record], first: set[str]) -> tuple[list[Record], list[Record]]:
    """One strip each of the people in ``first`` and of the others, as many on either side."""
    seen: dict[str, Record] = {}
    for record in sound:
        seen.setdefault(record.subject, record)
    a = [record for person, record in seen.items() if person in first]
    b = [record for person, record in seen.items() if person not in first]
    size = min(len(a), len(b))
    return a[:size], b[:size]


def _on_both_sides(a: Sequence[Record], strips: Sequence[Record], size: int) -> list[Record | None]:
    """Another strip of each person of ``a``; None for people with a single one."""
    used = {record.name for record in a}
    more = {record.subject: record for record in strips if record.name not in used}
    found = [more.get(record.subject) for record in a]
    return (found + [None] * size)[:size]


def _gate(bad: Mapping[str, Sequence[Record | None]], calibration: Calibration) -> Scorer:
    refused = {}
    for name, records in bad.items():
        there = [record for record in records if record is not None]
        verdicts = iter(check_records(there, calibration))
        refused[name] = np.array([record is not None and not next(verdicts).passed for record in records])

    def score(mask: NDArray[np.bool_], fault: str, draw: int) -> float:
        rows = drawn(len(mask), draw)
        return float(np.where(mask, refused[fault], refused["sound"])[rows].mean())

    return score


def _embedded(
    a: Sequence[Record], bad: Mapping[str, Sequence[Record | None]]
) -> dict[str, tuple[Scorer, str]]:
    """KID and coverage of the report, on its encoder."""
    points = {name: _points(records) for name, records in {"real": a, **bad}.items()}
    owner = np.arange(len(a))
    around = surroundings(points["real"], owner)

    def mixed(mask: NDArray[np.bool_], fault: str, draw: int) -> NDArray[np.float32]:
        return np.where(mask[:, None], points[fault], points["sound"])[drawn(len(mask), draw)]

    def distance(mask: NDArray[np.bool_], fault: str, draw: int) -> float:
        made = mixed(mask, fault, draw)
        return float(kid(points["real"], owner, made, np.arange(len(made))).value)

    def coverage(mask: NDArray[np.bool_], fault: str, draw: int) -> float:
        near = meeting(points["real"], around, mixed(mask, fault, draw))
        return float(density_coverage(near)["coverage"].value)

    return {"report: KID": (distance, "high"), "report: coverage": (coverage, "low")}


def _points(records: Sequence[Record | None]) -> NDArray[np.float32]:
    blank = np.zeros(round(10 * FS), np.float32)
    rows = np.stack([blank if r is None else level_of(r) for r in records])[:, None]
    return np.asarray(embed(rows, FS, ("pooled",)), dtype=np.float32)


def _met(a: Sequence[Record], bad: Mapping[str, Sequence[Record | None]]) -> Scorer:
    """Share of records that the audit's verification encoder takes for a person of ``a``."""
    real = _beats(a)
    if real is None:
        raise RecordError("no record of the first side has beats to know a person by.")
    blank = np.zeros((len(next(iter(bad.values()))), real.shape[1]))
    found = {name: _beats(records) for name, records in bad.items()}
    nearest = {n: ((blank if rows is None else rows) @ real.T).max(axis=1) for n, rows in found.items()}
    limit = float(np.quantile(nearest["sound"], 1 - MET))

    def score(mask: NDArray[np.bool_], fault: str, draw: int) -> float:
        return float(
            (np.where(mask, nearest[fault], nearest["sound"])[drawn(len(mask), draw)] > limit).mean()
        )

    return score


def _beats(records: Sequence[Record | None]) -> Array | None:
    """Embeddings [records, size] of median beats, zeros where there is none; None without any."""
    verifier = load_verifier()
    beats = []
    for record in records:
        level = np.zeros(round(10 * FS)) if record is None else level_of(record).astype(np.float64)
        beats.append(median_beat(level, FS, detect_r_peaks(level, FS)))
    width = max((len(beat) for beat in beats if beat is not None), default=0)
    if not width:
        return None
    there = np.array([beat is not None for beat in beats])
    found = verifier.embed(np.array([np.zeros(width) if beat is None else beat for beat in beats]))
    return np.asarray(np.where(there[:, None], found, 0.0))


def _features(records: Sequence[Record | None]) -> Array:
    table = np.full((len(records), len(FEATURES)), np.nan)
    for line, record in zip(table, records, strict=True):
        if record is not None:
            found = record_features(level_of(record), FS)
            line[:] = [found[name] for name in FEATURES]
    return table
