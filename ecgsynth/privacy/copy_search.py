"""What of a record the copy index looks up, and the products that find what is nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from ecgsynth.privacy.copy_codes import LENGTH, Counts, Floats
from ecgsynth.privacy.samples import LEADS, MOST_LEADS
from ecgsynth.privacy.traces import FLAT_MV, SHORTEST_S, SLOW_HZ, STRIP, slow_signal
from ecgsynth.records import Record

#: Lead, rhythm, start in seconds and signal at `SLOW_HZ`.
Looked = tuple[str, str, float, Floats]

#: Samples of records slowed down at a time.
_SAMPLES: Final = 1 << 19
#: Rows compared with a block of windows at a time: what fits in a cache.
_ROWS: Final = 608


def strips_looked_up(records: Sequence[Record]) -> list[list[Looked]]:
    """Lead, rhythm, start in seconds and signal of every strip of each record that is looked up."""
    found = []
    for record, leads, slow in zip(records, *_slowed(records), strict=True):
        own = []
        for lead, signal in zip(leads, slow, strict=True):
            for start in range(0, max(1, signal.shape[0] - STRIP // 2), STRIP):
                strip = signal[start : start + STRIP]
                if len(strip) >= SHORTEST_S * SLOW_HZ and float(strip.std()) >= FLAT_MV:
                    rhythm = _rhythm_at(record, (start + len(strip) / 2) / SLOW_HZ)
                    own.append((lead, rhythm, start / SLOW_HZ, strip))
        found.append(own)
    return found


def _slowed(records: Sequence[Record]) -> tuple[list[list[str]], list[Floats]]:
    """The leads of each record that are looked up, and these at `SLOW_HZ`; equal lengths go together."""
    order = {lead: k for k, lead in enumerate(LEADS)}
    rows = [
        sorted(range(len(r.leads)), key=lambda i: order.get(r.leads[i], len(order)))[:MOST_LEADS]
        for r in records
    ]
    slow: list[Floats] = [np.empty(0, dtype=np.float32)] * len(records)
    groups: dict[tuple[float, int], list[int]] = {}
    for i, record in enumerate(records):
        groups.setdefault((record.fs, record.n_samples), []).append(i)
    for (fs, samples), members in groups.items():
        size = max(1, _SAMPLES // (MOST_LEADS * max(1, samples)))
        for first in range(0, len(members), size):
            some = members[first : first + size]
            made = slow_signal(np.concatenate([records[i].signal[rows[i]] for i in some]), fs)
            ends = np.cumsum([len(rows[i]) for i in some])[:-1]
            for i, own in zip(some, np.split(made, ends), strict=True):
                slow[i] = own
    return [[r.leads[i] for i in own] for r, own in zip(records, rows, strict=True)], slow


def _rhythm_at(record: Record, second: float) -> str:
    found = (e.rhythm for e in record.episodes if e.start <= second * record.fs < e.stop)
    return next(found, None) or ""


def nearest_of(rows: Floats, known: Floats, edges: Counts, apart: Any = None) -> Floats:
    """Largest cosine of each row with the vectors of each block: [rows, blocks]; -1 without any.

    ``apart`` are the windows that are not compared with a strip [windows, strips], and each row's strip.
    """
    import torch

    blocks = list(pairwise(edges.tolist()))
    held = [(k, (a, b)) for k, (a, b) in enumerate(blocks) if a < b]
    best = np.full((len(blocks), len(rows)), -(LENGTH**2), dtype=np.float32)
    # Written to over and over: a new array for each product would be asked of the system each time.
    space = torch.empty(_ROWS * max((b - a for a, b in blocks), default=0))
    with torch.inference_mode():
        every = torch.from_numpy(known)
        for first in range(0, len(rows), _ROWS):
            asked = torch.from_numpy(rows[first : first + _ROWS]).T.contiguous()
            width = asked.shape[1]
            for k, (a, b) in held:
                product = space[: (b - a) * width].view(b - a, width)
                torch.mm(every[a:b], asked, out=product)
                if apart is not None:
                    hidden = apart[0][a:b][:, apart[1][first : first + width]]
                    product[torch.from_numpy(hidden)] = -float(LENGTH**2)
                best[k, first : first + width] = product.amax(dim=0).numpy()
    best /= np.float32(LENGTH**2)
    return np.ascontiguousarray(best.T)
