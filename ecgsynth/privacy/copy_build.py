"""Building a copy index from training strips, with limits set by strips of other people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import RecordError
from ecgsynth.privacy.copy_codes import KINDS, WIDTHS, Coder, Codes, Counts, Floats, fisher, fit_coder, padded
from ecgsynth.privacy.copy_expectation import TERMS, fit_weights
from ecgsynth.privacy.copy_index import LIMITED, Asked, CopyIndex
from ecgsynth.privacy.descriptors import HALF, segments
from ecgsynth.privacy.traces import FLAT_MV, SLOW_HZ, STRIP, Strip, slow_signal, strips_of, traces_of
from ecgsynth.records import Record

Doubles = NDArray[np.float64]

#: Share of strangers' strips that each of the limits refuses: they are drawn again, which costs little.
REFUSED: Final = {"full": 0.003, "half": 0.0015, "both": 0.003}
#: Windows of a block, which holds all windows of each of its people, and the fewest blocks.
BLOCK: Final = {"full": 500, "half": 700}
_BLOCKS: Final = 20
#: Fewest people of a rhythm for a limit of its own.
OWN_LIMIT: Final = 40
#: Strips per person and rhythm that limits are set by.
_STRIPS_EACH = 2
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
    rows = {kind: padded([w.signal for w in windows[kind]], WIDTHS[kind]) for kind in KINDS}
    coders = like.coders if like is not None else {k: fit_coder(rows[k], rows["full"], rng) for k in KINDS}
    codes = {kind: _coded(coders[kind], rows[kind]) for kind in KINDS}
    notes = {**notes, "people": len({s.subject for s in kept}), "windows": sum(map(len, codes.values()))}
    if like is not None:
        base = like.like or like
        codes = {kind: rows[np.lexsort(rows.T)] for kind, rows in codes.items()}
        return CopyIndex(coders, codes, {}, base.weights, base.limits, base.scale, notes, base)
    who = {kind: np.array([w.subject for w in windows[kind]]) for kind in KINDS}
    blocks = {}
    for kind in KINDS:
        order, blocks[kind] = _blocks(codes[kind], who[kind], BLOCK[kind], rng)
        codes[kind], who[kind] = codes[kind][order], who[kind][order]
    strangers = _Strangers(kept, who, rng)
    index = CopyIndex(coders, codes, blocks, dict.fromkeys(KINDS, np.zeros(TERMS)), {}, {}, notes)
    index = replace(index, weights=strangers.expected(index))
    scale, limits = strangers.limits(index)
    return replace(index, scale=scale, limits=limits)


def _blocks(
    codes: Codes, who: NDArray[np.str_], size: int, rng: np.random.Generator
) -> tuple[Counts, Counts]:
    """An order of windows by blocks of people, in each by code, and where the blocks begin.

    People with many windows first, each to the block with the fewest; the order of people and of time goes.
    """
    names, count = np.unique(who, return_counts=True)
    shuffled = rng.permutation(len(names))
    blocks = min(len(names), max(_BLOCKS, -(-len(codes) // size)))
    filled, of = np.zeros(blocks, dtype=np.int64), np.empty(len(names), dtype=np.int64)
    for person in shuffled[np.argsort(-count[shuffled], kind="stable")]:
        of[person] = filled.argmin()
        filled[of[person]] += count[person]
    block = of[np.searchsorted(names, who)]
    return np.lexsort([*codes.T, block]), np.concatenate([[0], np.cumsum(filled)])


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
    """The two halves; of strips that overlap, each stretch once."""
    seen: set[tuple[str, str, str, int]] = set()
    for strip in strips:
        for start in segments(strip.signal, HALF, HALF):
            key = (strip.subject, strip.record, strip.lead, round((strip.at * SLOW_HZ + start) / 8))
            if key not in seen:
                seen.add(key)
                yield _Window(strip.subject, strip.signal[start : start + HALF])


def _coded(coder: Coder, rows: Floats) -> Codes:
    return np.concatenate([coder(rows[i : i + 4096]) for i in range(0, len(rows), 4096)])


class _Strangers:
    """Strips of training people, compared with everyone else's windows: at most `_STRIPS_EACH` per rhythm."""

    def __init__(
        self, strips: Sequence[Strip], who: Mapping[str, NDArray[np.str_]], rng: np.random.Generator
    ) -> None:
        chosen: dict[tuple[str, str], list[Strip]] = {}
        for i in rng.permutation(len(strips)):
            own = chosen.setdefault((strips[i].rhythm, strips[i].subject), [])
            if len(own) < _STRIPS_EACH:
                own.append(strips[i])
        self.strips = [strip for own in chosen.values() for strip in own]
        self.who, self.rng = who, rng

    def expected(self, index: CopyIndex) -> dict[str, Doubles]:
        """Weights of what the nearest of others' windows reaches, from strips as they are and with noise."""
        by: dict[str, list[Doubles]] = {kind: [] for kind in KINDS}
        reached: dict[str, list[Doubles]] = {kind: [] for kind in KINDS}
        for noise in _NOISES:
            for asked in self._asked(index, noise):
                for kind, ask in asked.items():
                    value = fisher(ask.nearest.max(axis=1)) - ask.cost
                    best = ask.best(value)
                    by[kind].append(ask.terms[best])
                    reached[kind].append(value[best].astype(np.float64))
        return {kind: fit_weights(np.concatenate(by[kind]), np.concatenate(reached[kind])) for kind in KINDS}

    def limits(self, index: CopyIndex) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Deviation of the excess by kind, and quantiles of it by `LIMITED` and rhythm.

        The limit of a rhythm lies halfway between its own quantile and that of all rhythms.
        """
        found = np.concatenate([index.found(asked) for asked in self._asked(index)])
        scale = {kind: max(1e-5, round(float(found[:, k, 1].std()), 5)) for k, kind in enumerate(KINDS)}
        values = replace(index, scale=scale).excess(found)
        rhythm = np.array([strip.rhythm for strip in self.strips])
        limits = {}
        for column, limited in zip(values.T, LIMITED, strict=True):
            everyone = float(np.quantile(column, 1 - REFUSED[limited]))
            limits[limited] = {"": round(everyone, 4)}
            for name in np.unique(rhythm).tolist():
                if len({s.subject for s in self.strips if s.rhythm == name}) >= OWN_LIMIT:
                    own = float(np.quantile(column[rhythm == name], 1 - REFUSED[limited]))
                    limits[limited][name] = round((own + everyone) / 2, 4)
        return scale, limits

    def _asked(self, index: CopyIndex, noise: float = 0.0) -> Iterator[dict[str, Asked]]:
        """Some strips at a time, with noise in mV at 250 Hz, beside all windows but their own person's."""
        for first in range(0, len(self.strips), _AT_ONCE):
            part = self.strips[first : first + _AT_ONCE]
            signals = [
                s.signal + self.rng.normal(0, _LEFT * noise, len(s.signal)).astype(np.float32) for s in part
            ]
            own = np.array([strip.subject for strip in part])[None]
            yield index.ask(signals, {kind: who[:, None] == own for kind, who in self.who.items()})
