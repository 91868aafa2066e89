"""A small index of training strips that goes with weights, so that ``generate`` can refuse near copies.

What it holds of a strip, and of its two halves, are 24 bytes: 48 numbers of four bits that describe the shape
of an amplitude spectrum (`copy_codes`). Phases are gone, so it does not say where a beat lies or which way it
points. Nor does it name anybody; but all windows of a person lie in one of some thirty blocks. It is not
nothing: whoever holds a recording can ask whether a strip like it was in training, and whoever holds many
recordings can guess heart rates and, a little better than by the average beat of everybody, the outline of a
beat. ``benchmarks/copy_gate.py`` measures how well.

What a strip is refused for is not its likeness but by how much that exceeds what strangers reach with a strip
like it (`copy_expectation`): a noisy copy is less like its original, and still more than any stranger's. The
strangers are always the people of the shipped index; the few of a folder are only compared with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.copy_codes import (
    KINDS,
    STRETCHES,
    Coder,
    Codes,
    Counts,
    Floats,
    fisher,
    halves_of,
    padded,
    stretch_cost,
)
from ecgsynth.privacy.copy_expectation import Doubles, terms, traits
from ecgsynth.privacy.copy_search import Looked, nearest_of, strips_looked_up
from ecgsynth.privacy.descriptors import coarse_spectra, fine_spectra
from ecgsynth.privacy.traces import STRIP
from ecgsynth.records import Record

#: What has a limit: a whole strip, a half of it, and both together.
LIMITED: Final = (*KINDS, "both")
#: Strips looked up at a time.
_AT_ONCE: Final = 64


@dataclass(frozen=True)
class Likeness:
    """How near the nearest training strip is.

    Attributes
    ----------
    lead, rhythm : str
        Of the strip that was looked up.
    at : float
        Where it begins in its record, in seconds.
    full, half : float
        Cosine with the nearest whole strip and the nearest half, -1 to 1.
    full_excess, half_excess : float
        By how much the `atanh` of that exceeds what is expected of strangers.
    """

    lead: str
    rhythm: str
    at: float
    full: float
    full_excess: float
    half: float
    half_excess: float


@dataclass(frozen=True)
class Asked:
    """Strips of one kind, as they are looked up, beside the people of the shipped index.

    Attributes
    ----------
    rows : float32 array [rows, size]
        What they are looked up as: stretched wholes, or halves.
    starts : int64 array [strips + 1]
        Which rows are of which strip.
    cost : float32 array [rows]
        What is taken off the `atanh` of a cosine.
    nearest : float32 array [rows, blocks]
        Largest cosine with each block of windows.
    terms : float64 array [rows, TERMS]
        What is expected of strangers by.
    """

    rows: Floats
    starts: Counts
    cost: Floats
    nearest: Floats
    terms: Doubles

    def best(self, value: Any) -> Counts:
        """The row of each strip where ``value`` [rows] is largest."""
        return np.array([a + int(value[a:b].argmax()) for a, b in pairwise(self.starts.tolist())])


@dataclass(frozen=True)
class CopyIndex:
    """Coarse descriptors of training strips.

    Attributes
    ----------
    coders : dict of str to Coder
        ``full`` and ``half``, for windows of a strip and of half a strip.
    codes : dict of str to int8 array [windows, SIZE]
        From -7 to 7.
    blocks : dict of str to int64 array [blocks + 1]
        Where blocks of windows begin; each person is in one. Empty for the people of a folder.
    weights : dict of str to float64 array [TERMS]
        What strangers reach.
    limits : dict of str to dict of str to float
        Largest excess allowed over that, by `LIMITED` and by rhythm; ``""`` for all others.
    scale : dict of str to float
        Deviation of strangers' excess, by which both are added.
    notes : dict
        People, windows, how the limits were found.
    like : CopyIndex, optional
        The shipped index, for the people of a folder: whose people are the strangers.
    """

    coders: dict[str, Coder]
    codes: dict[str, Codes]
    blocks: dict[str, Counts]
    weights: dict[str, Doubles]
    limits: dict[str, dict[str, float]]
    scale: dict[str, float]
    notes: dict[str, Any] = field(default_factory=dict)
    like: CopyIndex | None = None

    @cached_property
    def vectors(self) -> dict[str, Floats]:
        """The codes as vectors of whole numbers, made once."""
        return {kind: self.coders[kind].vectors(codes) for kind, codes in self.codes.items()}

    @cached_property
    def key(self) -> str:
        """What codes mean: those of an index with another key cannot be compared."""
        parts = [(c.describe.mean, c.describe.basis, c.scale) for c in self.coders.values()]
        return hashlib.sha256(b"".join(a.tobytes() for own in parts for a in own)).hexdigest()[:16]

    def ask(self, signals: Sequence[Floats], apart: Mapping[str, Any] | None = None) -> dict[str, Asked]:
        """Strips at 64 Hz, compared with the people of this index.

        Parameters
        ----------
        signals : sequence of float32 array [<= STRIP]
        apart : dict of str to bool array [windows, len(signals)], optional
            Windows that are not to be compared with a strip, such as its own person's.
        """
        fine = fine_spectra(padded(signals, STRIP).astype(np.float64))
        wholes = self.coders["full"].describe.at_stretches(fine, STRETCHES)
        halves, counts = halves_of(signals)
        each = np.full(len(signals), len(STRETCHES))
        coded = {
            "full": (self.coders["full"].coded(wholes.reshape(-1, wholes.shape[2])), each),
            "half": (self.coders["half"](halves), counts),
        }
        cost = {
            "full": np.tile(stretch_cost(), len(signals)),
            "half": np.zeros(len(halves), dtype=np.float32),
        }
        about = traits(coarse_spectra(fine))
        asked = {}
        for kind, (codes, count) in coded.items():
            rows, owner = self.coders[kind].vectors(codes), np.repeat(np.arange(len(signals)), count)
            hidden = None if apart is None else (apart[kind], owner)
            nearest = nearest_of(rows, self.vectors[kind], self.blocks[kind], hidden)
            starts = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
            asked[kind] = Asked(rows, starts, cost[kind], nearest, terms(about[owner], nearest))
        return asked

    def found(self, asked: Mapping[str, Asked]) -> Floats:
        """How near strips that ``like``, or this index, was asked are to a window: [strips, kinds, 2].

        The cosine with the window that exceeds most what strangers reach, and the excess of its `atanh`.
        """
        each = []
        for kind, ask in asked.items():
            if self.like is None:
                cosine = ask.nearest.max(axis=1)
            else:
                known = self.vectors[kind]
                edges = np.arange(0, len(known) + 1024, 1024).clip(max=len(known))
                cosine = nearest_of(ask.rows, known, edges).max(axis=1)
            excess = fisher(cosine) - ask.cost - ask.terms @ self.weights[kind]
            best = ask.best(excess)
            each.append(np.column_stack([cosine[best], excess[best]]))
        return np.stack(each, axis=1).astype(np.float32)

    def likeness(self, signals: Sequence[Floats]) -> Floats:
        """How near strips at 64 Hz are to a whole and to a half training strip: `found` [n, kinds, 2]."""
        return _found([self], signals)[0]

    def limit(self, kind: str, rhythm: str) -> float:
        """Largest excess allowed of one of `LIMITED` in a rhythm."""
        return self.limits[kind].get(rhythm, self.limits[kind][""])

    def over(self, found: Floats, rhythms: Sequence[str]) -> NDArray[np.bool_]:
        """Which limits [n, `LIMITED`] strips of these rhythms exceed, by what was `found` [n, kinds, 2]."""
        limits = [[self.limit(kind, rhythm) for kind in LIMITED] for rhythm in rhythms]
        return np.asarray(self.excess(found) > np.array(limits).reshape(-1, len(LIMITED)))

    def excess(self, found: Floats) -> Doubles:
        """What is limited [n, `LIMITED`]."""
        own = found[..., 1].astype(np.float64)
        both = sum(own[:, k] / self.scale[kind] for k, kind in enumerate(KINDS))
        return np.column_stack([own, both])

    def look_up(self, records: Sequence[Record]) -> list[list[Likeness]]:
        """Likeness of every strip of every record: 10.24 s that do not overlap, on at most two leads."""
        strips = strips_looked_up(records)
        values = iter(self.likeness([signal for own in strips for *_, signal in own]))
        return [
            [Likeness(lead, rhythm, at, *map(float, next(values).ravel())) for lead, rhythm, at, _ in own]
            for own in strips
        ]

    def judge(self, records: Sequence[Record]) -> list[str | None]:
        """Why each record may not be exported; see `refusals`."""
        return refusals([self], records)

    def _reason(self, strip: Looked, found: Floats) -> str | None:
        """Why a strip is refused, by what was `found` [kinds, 2] of it."""
        lead, rhythm, at, _ = strip
        over = self.over(found[None], [rhythm])[0]
        if not over.any():
            return None
        # Said of the half only where that alone is too near.
        limited = LIMITED[int(over.argmax())]
        kind = "half" if limited == "half" else "full"
        limit = self.limit(limited, rhythm)
        if limited == "both":
            limit = (limit - float(found[1, 1]) / self.scale["half"]) * self.scale["full"]
        value, excess = map(float, found[KINDS.index(kind)])
        allowed = float(np.tanh(fisher(value) - excess + limit))
        return (
            f"copy: lead {lead} from {at:g} s on is too near to a training strip "
            f"(likeness {value:.3f}, allowed {allowed:.3f})"
        )


def refusals(indexes: Sequence[CopyIndex], records: Sequence[Record]) -> list[str | None]:
    """Why each record may not be exported: what of it is too near to a strip of an index; or None.

    Parameters
    ----------
    indexes : sequence of CopyIndex
        The shipped one, or like it.
    records : sequence of Record
        Any sampling rate, leads and length of at least 4 s; shorter ones are let through.

    Notes
    -----
    Some 1.3 ms for ten seconds of one lead where 32 records are judged together.
    """
    strips = strips_looked_up(records)
    found = _found(indexes, [signal for own in strips for *_, signal in own])
    reasons: list[str | None] = []
    first = 0
    for own in strips:
        said = (
            index._reason(strip, row)
            for index, rows in zip(indexes, found, strict=True)
            for strip, row in zip(own, rows[first : first + len(own)], strict=True)
        )
        reasons.append(next((reason for reason in said if reason is not None), None))
        first += len(own)
    return reasons


def _found(indexes: Sequence[CopyIndex], signals: Sequence[Floats]) -> list[Floats]:
    """`CopyIndex.found` of strips by each index; the shipped people are compared with once."""
    found: list[list[Floats]] = [[np.empty((0, len(KINDS), 2), dtype=np.float32)] for _ in indexes]
    for first in range(0, len(signals), _AT_ONCE):
        some = signals[first : first + _AT_ONCE]
        asked: dict[int, dict[str, Asked]] = {}
        for own, index in zip(found, indexes, strict=True):
            base = index.like or index
            if id(base) not in asked:
                asked[id(base)] = base.ask(some)
            own.append(index.found(asked[id(base)]))
    return [np.concatenate(own) for own in found]
