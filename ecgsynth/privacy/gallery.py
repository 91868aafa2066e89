"""The recordings that are searched, cut into pages, with a descriptor for every place in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.descriptors import HALF, HOP, Describer, fit_describer
from ecgsynth.privacy.traces import STRIP, Trace

Floats = NDArray[np.float32]

#: Samples of a page: a strip fits at every lag into a transform of 2048. Pages overlap by one strip.
PAGE: Final = 2048 - STRIP
#: Windows that the principal directions are fitted on.
_FIT_ON = 6000


@dataclass(frozen=True)
class Index:
    """Descriptors of all windows of one width.

    Attributes
    ----------
    describe : Describer
    vectors : float32 array [windows, size]
        Sorted by page.
    first : int64 array [pages]
        The first window of each page.
    """

    describe: Describer
    vectors: Floats
    first: NDArray[np.int64]


@dataclass(frozen=True)
class Gallery:
    """Traces ready to be searched.

    Attributes
    ----------
    traces : tuple of Trace
        Those hardly longer than a strip are continued by themselves.
    length : int64 array [traces]
        Samples of each trace before that.
    page_trace, page_start, page_person : int64 array [pages]
        Number of the trace, first sample, and number of the person of each page.
    full, half : Index
        Windows of a whole strip and of half a strip.
    """

    traces: tuple[Trace, ...]
    length: NDArray[np.int64]
    page_trace: NDArray[np.int64]
    page_start: NDArray[np.int64]
    page_person: NDArray[np.int64]
    full: Index
    half: Index

    def pages(self, which: NDArray[np.int64]) -> Floats:
        """Signals [len(which), PAGE] of some pages, zeros past the end of a trace."""
        out = np.zeros((len(which), PAGE), dtype=np.float32)
        for row, page in zip(out, which, strict=True):
            start = self.page_start[page]
            part = self.traces[self.page_trace[page]].signal[start : start + PAGE]
            row[: len(part)] = part
        return out


def build_gallery(traces: Iterable[Trace], seed: int = 0) -> Gallery:
    """Cut and describe traces; ``seed`` chooses the windows that the descriptors are fitted on.

    Raises
    ------
    ValueError
        If there are no traces.
    """
    kept = tuple(traces)
    if not kept:
        raise ValueError("copy search: no traces to search; give at least one recording.")
    owner, start = [], []
    for number, trace in enumerate(kept):
        count = max(1, -(-(len(trace.signal) - STRIP) // (PAGE - STRIP)))
        owner += [number] * count
        start += [k * (PAGE - STRIP) for k in range(count)]
    page_trace, page_start = np.array(owner, dtype=np.int64), np.array(start, dtype=np.int64)
    rng = np.random.default_rng(seed)
    full, half = (_index(kept, page_trace, page_start, width, rng) for width in (STRIP, HALF))
    length = np.array([len(trace.signal) for trace in kept], dtype=np.int64)
    number_of = {name: k for k, name in enumerate(sorted({trace.subject for trace in kept}))}
    person = np.array([number_of[trace.subject] for trace in kept], dtype=np.int64)[page_trace]
    continued = tuple(_continued(trace) for trace in kept)
    return Gallery(continued, length, page_trace, page_start, person, full, half)


def _continued(trace: Trace) -> Trace:
    """A trace that fits into a page twice, followed by itself.

    A copy that was rolled (what leaves at one end comes in at the other) then fits whole; by one of its
    halves alone it is no nearer to the person than a stranger's four beats are. Descriptors of the trace
    as it is find it, as they do not know where a beat lies.
    """
    if 2 * len(trace.signal) > PAGE:
        return trace
    return replace(trace, signal=np.concatenate([trace.signal, trace.signal]))


def _index(
    traces: Sequence[Trace],
    page_trace: NDArray[np.int64],
    page_start: NDArray[np.int64],
    width: int,
    rng: np.random.Generator,
) -> Index:
    places = [
        _starts(len(traces[t].signal) - s, width) + s for t, s in zip(page_trace, page_start, strict=True)
    ]
    counts = np.array([len(p) for p in places])
    trace_of = np.repeat(page_trace, counts)
    start = np.concatenate(places)
    some = np.sort(rng.permutation(len(start))[:_FIT_ON])
    describe = fit_describer(next(_windows(traces, trace_of[some], start[some], width, _FIT_ON)))
    vectors = np.concatenate([describe(part) for part in _windows(traces, trace_of, start, width, 4096)])
    return Index(describe, vectors, np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64))


def _starts(left: int, width: int) -> NDArray[np.int64]:
    """Window starts within a page that has ``left`` samples to the end of its trace."""
    last = max(0, min(left, PAGE) - width)
    starts = np.arange(0, last + 1, HOP, dtype=np.int64)
    return starts if last - starts[-1] < HOP // 4 else np.append(starts, last)


def _windows(
    traces: Sequence[Trace],
    trace_of: NDArray[np.int64],
    start: NDArray[np.int64],
    width: int,
    block: int,
) -> Iterator[Floats]:
    for at in range(0, len(start), block):
        rows = np.zeros((min(block, len(start) - at), width), dtype=np.float32)
        for row, t, s in zip(rows, trace_of[at : at + block], start[at : at + block], strict=True):
            part = traces[t].signal[s : s + width]
            row[: len(part)] = part
        yield rows
