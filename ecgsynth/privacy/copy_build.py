"""Building a copy index from training strips, with limits set by strips of other people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import RecordError
from ecgsynth.privacy.copy_index import KINDS, SIZE, CopyIndex, Floats, code, padded
from ecgsynth.privacy.descriptors import HALF, Describer, fit_describer, segments
from ecgsynth.privacy.traces import FLAT_MV, SLOW_HZ, STRIP, Strip, slow_signal, strips_of, traces_of
from ecgsynth.records import Record

#: Share of strangers' strips that each of the two limits refuses: they are drawn again, which costs little.
REFUSED: Final = 0.005
#: Fewest people of a rhythm for a limit of its own.
OWN_LIMIT: Final = 40
#: Strips per person and rhythm that limits are set by.
_STRIPS_EACH = 2
_FIT_ON = 6000
_AT_ONCE = 64


@dataclass(frozen=True)
class _Window:
    subject: str
    signal: Floats


def pack_strips(pack: Mapping[str, NDArray[Any]], people: set[str] | None = None) -> Iterator[Strip]:
    """Strips of a pack (:func:`ecgsynth.pack.pack`) of some people; of twelve leads the first two."""
    keep = (
        range(len(pack["subject"]))
        if people is None
        else np.flatnonzero(np.isin(pack["subject"], sorted(people)))
    )
    fs, names = float(pack["fs"][0]), pack["leads"].tolist()
    columns = [pack[key].tolist() for key in ("record", "subject", "lead", "rhythm", "start")]
    for i in keep:
        record, subject, lead, rhythm, start = (column[i] for column in columns)
        slow = slow_signal(pack["signal"][i, :2].astype(np.float32), fs)[:, :STRIP]
        for row, name in zip(slow, [lead] if len(slow) == 1 else names, strict=False):
            if row.std() > FLAT_MV:
                yield Strip(record, subject, name, rhythm, start / fs, row)


def record_strips(records: Iterable[Record]) -> Iterator[Strip]:
    """All strips of recordings, of every lead."""
    for record in records:
        for trace in traces_of(record):
            yield from strips_of(trace, most=10_000)


def build_index(
    strips: Iterable[Strip], notes: dict[str, Any], *, like: CopyIndex | None = None, seed: int = 0
) -> CopyIndex:
    """Describe training strips, and set the limits so that the strips of strangers pass.

    The limit of a rhythm is the quantile ``1 - REFUSED`` of what strips of its training people reach with
    the strips of all other training people: no one else's recordings are needed.

    Parameters
    ----------
    strips : iterable of Strip
        Stretches that are there twice, as in overlapping windows, are kept once.
    notes : dict
        What to say of the index.
    like : CopyIndex, optional
        Take descriptors and limits from it: a folder of a few people cannot set its own.
    seed : int
        Chooses what the descriptors are fitted on, and whose strips set the limits.

    Raises
    ------
    RecordError
        If there are no strips.
    """
    kept = list({(s.subject, s.record, s.lead, round(s.at, 2)): s for s in strips}.values())
    if not kept:
        raise RecordError("copy index: no strip of four seconds or more that is not flat; nothing to index.")
    windows = {
        "full": [_Window(s.subject, s.signal) for s in kept],
        "half": list(_halves(kept)),
    }
    rng = np.random.default_rng(seed)
    rows = {
        kind: padded([w.signal for w in windows[kind]], width)
        for kind, width in zip(KINDS, (STRIP, HALF), strict=True)
    }
    describe = like.describe if like is not None else {kind: _fit(rows[kind], rng) for kind in KINDS}
    codes = {kind: _coded(describe[kind], rows[kind]) for kind in KINDS}
    people = {s.subject for s in kept}
    notes = {**notes, "people": len(people), "windows": sum(map(len, codes.values()))}
    if like is not None:
        return CopyIndex(describe, _sorted(codes), like.limits, notes)
    bare = CopyIndex(describe, codes, {})
    limits = _limits(bare, {kind: [w.subject for w in windows[kind]] for kind in KINDS}, kept, rng)
    return CopyIndex(describe, _sorted(codes), limits, notes)


def _halves(strips: Sequence[Strip]) -> Iterator[_Window]:
    """Halves every 2.56 s; of strips that overlap, each stretch once."""
    seen: set[tuple[str, str, str, int]] = set()
    for strip in strips:
        for start in segments(strip.signal):
            key = (strip.subject, strip.record, strip.lead, round((strip.at * SLOW_HZ + start) / 8))
            if key not in seen:
                seen.add(key)
                yield _Window(strip.subject, strip.signal[start : start + HALF])


def _fit(rows: Floats, rng: np.random.Generator) -> Describer:
    return fit_describer(rows[np.sort(rng.permutation(len(rows))[:_FIT_ON])], SIZE)


def _coded(describe: Describer, rows: Floats) -> NDArray[np.int8]:
    return np.concatenate([code(describe(rows[i : i + 4096])) for i in range(0, len(rows), 4096)])


def _sorted(codes: Mapping[str, NDArray[np.int8]]) -> dict[str, NDArray[np.int8]]:
    """In the order of the codes: the order of people and of time goes."""
    return {kind: rows[np.lexsort(rows.T)] for kind, rows in codes.items()}


def _limits(
    index: CopyIndex, subjects: Mapping[str, list[str]], strips: Sequence[Strip], rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Quantiles of likeness to everyone else, by kind and rhythm; people count alike in each rhythm."""
    chosen: dict[tuple[str, str], list[Strip]] = {}
    for i in rng.permutation(len(strips)):
        own = chosen.setdefault((strips[i].rhythm, strips[i].subject), [])
        if len(own) < _STRIPS_EACH:
            own.append(strips[i])
    some = [strip for own in chosen.values() for strip in own]
    who = {kind: np.array(names)[:, None] for kind, names in subjects.items()}
    found = []
    for first in range(0, len(some), _AT_ONCE):
        part = some[first : first + _AT_ONCE]
        asked = np.array([strip.subject for strip in part])[None]
        apart = {kind: names == asked for kind, names in who.items()}
        found += index.likeness([strip.signal for strip in part], apart)
    values = np.array(found)
    rhythm = np.array([strip.rhythm for strip in some])
    people = {name: len({s.subject for s in some if s.rhythm == name}) for name in np.unique(rhythm).tolist()}
    named = {name: rhythm == name for name, count in sorted(people.items()) if count >= OWN_LIMIT}
    groups = {"": np.ones(len(some), dtype=bool), **named}
    return {
        kind: {name: float(np.quantile(values[rows, k], 1 - REFUSED)) for name, rows in groups.items()}
        for k, kind in enumerate(KINDS)
    }
