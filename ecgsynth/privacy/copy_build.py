"""Building a copy index from training strips, with limits set by strips of other people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import RecordError
from ecgsynth.privacy.copy_expectation import TERMS, Expectation, fit_weights, moments, traits
from ecgsynth.privacy.copy_index import (
    KINDS,
    POWER,
    SIZE,
    CopyIndex,
    Floats,
    code,
    cost,
    fisher,
    padded,
    unit_codes,
)
from ecgsynth.privacy.descriptors import HALF, Describer, fit_describer, segments
from ecgsynth.privacy.traces import FLAT_MV, SLOW_HZ, STRIP, Strip, slow_signal, strips_of, traces_of
from ecgsynth.records import Record

#: Share of strangers' strips that each of the two limits refuses: they are drawn again, which costs little.
REFUSED: Final = {"full": 0.006, "half": 0.003}
#: Fewest people of a rhythm for a limit of its own.
OWN_LIMIT: Final = 40
#: Strips per person and rhythm that limits are set by.
_STRIPS_EACH = 2
_FIT_ON = 6000
#: White noise in mV at 250 Hz of strips that expectations are learned from; what of it is left under 25 Hz.
_NOISES: Final = (0.0, 0.05, 0.15)
#: Cosine of two readings of one stretch.
_SAME: Final = 0.99
_LEFT: Final = float(np.sqrt(25 / 125))
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

    Limits are quantiles ``1 - REFUSED`` of what strips of training people reach with the strips of all other
    training people, above what is expected of them: no one else's recordings are needed.

    Parameters
    ----------
    strips : iterable of Strip
        Stretches that are there twice, as in overlapping windows, are kept once.
    notes : dict
        What to say of the index.
    like : CopyIndex, optional
        Take descriptors, expectations and limits from it: a folder of a few people cannot set its own.
    seed : int
        Chooses what the descriptors are fitted on, and whose strips set the limits.

    Raises
    ------
    RecordError
        If there are no strips.
    """
    kept = _once(strips)
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
        return CopyIndex(describe, _sorted(codes), like.expect, like.limits, notes)
    strangers = _Strangers(kept, {kind: [w.subject for w in windows[kind]] for kind in KINDS}, rng)
    bare = CopyIndex(describe, codes, {}, {})
    index = replace(bare, expect={kind: strangers.expected(bare, kind) for kind in KINDS}, notes=notes)
    return replace(index, codes=_sorted(codes), limits=strangers.limits(index))


def _once(strips: Iterable[Strip]) -> list[Strip]:
    """Each stretch of each channel once; channels of one name (both "ECG", say) get names of their own."""
    kept: dict[tuple[str, str, str, float], list[Strip]] = {}
    for strip in strips:
        own = kept.setdefault((strip.subject, strip.record, strip.lead, round(strip.at, 2)), [])
        if not any(_same(strip.signal, other.signal) for other in own):
            own.append(replace(strip, lead=f"{strip.lead}/{len(own)}") if own else strip)
    return [strip for own in kept.values() for strip in own]


def _same(first: Floats, second: Floats) -> bool:
    """Whether two strips are one stretch of one channel, read twice."""
    size = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    return len(first) == len(second) and float(first @ second) > _SAME * size


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
    return fit_describer(rows[np.sort(rng.permutation(len(rows))[:_FIT_ON])], SIZE, POWER)


def _coded(describe: Describer, rows: Floats) -> NDArray[np.int8]:
    return np.concatenate([code(describe(rows[i : i + 4096])) for i in range(0, len(rows), 4096)])


def _sorted(codes: Mapping[str, NDArray[np.int8]]) -> dict[str, NDArray[np.int8]]:
    """In the order of the codes: the order of people and of time goes."""
    return {kind: rows[np.lexsort(rows.T)] for kind, rows in codes.items()}


class _Strangers:
    """Strips of training people, compared with everyone else's windows: at most `_STRIPS_EACH` per rhythm."""

    def __init__(
        self, strips: Sequence[Strip], subjects: Mapping[str, list[str]], rng: np.random.Generator
    ) -> None:
        chosen: dict[tuple[str, str], list[Strip]] = {}
        for i in rng.permutation(len(strips)):
            own = chosen.setdefault((strips[i].rhythm, strips[i].subject), [])
            if len(own) < _STRIPS_EACH:
                own.append(strips[i])
        self.strips = [strip for own in chosen.values() for strip in own]
        self.who = {kind: np.array(names)[:, None] for kind, names in subjects.items()}
        self.rng = rng

    def expected(self, index: CopyIndex, kind: str) -> Expectation:
        """What the nearest of others' windows reaches, learned from strips as they are and with noise."""
        mean, second = moments(unit_codes(index.codes[kind]))
        bare = Expectation(mean, second, np.zeros(TERMS))
        terms, nearest = [], []
        for noise in _NOISES:
            for part, apart in self._parts(kind):
                signals = [s + self.rng.normal(0, _LEFT * noise, len(s)).astype(np.float32) for s in part]
                cosines, units, starts = index.cosines(kind, signals, apart)
                value = fisher(cosines) - cost(kind, len(cosines))
                for i, (unit, signal) in enumerate(zip(units, signals, strict=True)):
                    best = int(value[starts[i] : starts[i + 1]].argmax())
                    terms.append(bare.terms(unit, traits(signal))[best])
                    nearest.append(value[starts[i] + best])
        return replace(bare, weights=fit_weights(np.array(terms), np.array(nearest, dtype=np.float64)))

    def limits(self, index: CopyIndex) -> dict[str, dict[str, float]]:
        """Quantiles of the excess over that, by kind and rhythm.

        The limit of a rhythm lies halfway between its own quantile and that of all rhythms.
        """
        rhythm = np.array([strip.rhythm for strip in self.strips])
        people = {
            name: len({s.subject for s in self.strips if s.rhythm == name})
            for name in np.unique(rhythm).tolist()
        }
        limits = {}
        for kind in KINDS:
            found = [
                index.nearest(kind, part, [traits(signal) for signal in part], apart)[:, 1]
                for part, apart in self._parts(kind)
            ]
            values = np.concatenate(found)
            everyone = float(np.quantile(values, 1 - REFUSED[kind]))
            limits[kind] = {"": round(everyone, 4)}
            for name, count in sorted(people.items()):
                if count >= OWN_LIMIT:
                    own = float(np.quantile(values[rhythm == name], 1 - REFUSED[kind]))
                    limits[kind][name] = round((own + everyone) / 2, 4)
        return limits

    def _parts(self, kind: str) -> Iterator[tuple[list[Floats], NDArray[np.bool_]]]:
        """Some strips at a time, and which windows are their own person's [windows, strips]."""
        for first in range(0, len(self.strips), _AT_ONCE):
            part = self.strips[first : first + _AT_ONCE]
            asked = np.array([strip.subject for strip in part])[None]
            yield [strip.signal for strip in part], self.who[kind] == asked
