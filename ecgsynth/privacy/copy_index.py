"""A small index of training strips that goes with weights, so that ``generate`` can refuse near copies.

What it holds of a strip, and of each of its halves, are 32 bytes: 64 numbers of four bits that describe the
shape of an amplitude spectrum (`descriptors`). Phases are gone, so it does not say where a beat lies or which
way it points. It is not nothing: whoever holds a recording can ask whether a strip like it was in training,
and whoever holds many recordings can guess heart rates and, a little better than by the average beat of
everybody, the outline of a beat. ``benchmarks/copy_gate.py`` measures how well.

What a strip is refused for is not its likeness but by how much that exceeds what strangers reach with a strip
like it (`copy_expectation`): a noisy copy is less like its original, and still more than any stranger's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import CheckpointError
from ecgsynth.privacy.copy_expectation import Doubles, Expectation, traits
from ecgsynth.privacy.descriptors import HALF, Describer
from ecgsynth.privacy.samples import LEADS, MOST_LEADS
from ecgsynth.privacy.traces import FLAT_MV, SHORTEST_S, SLOW_HZ, STRIP, slow_signal
from ecgsynth.records import Record

Floats = NDArray[np.float32]

SHIPPED: Final = Path(__file__).parent.parent / "weights" / "copy_index.safetensors"
KINDS: Final = ("full", "half")
#: Numbers of a code. With 64 instead of the audit's 48, more noisy and stretched copies are found.
SIZE: Final = 64
#: Power of the amplitude spectrum that is described. With 1 instead of the audit's 0.5, noise does less.
POWER: Final = 1.0
#: Stretches that a whole strip is looked up at: to 6 %, as `STRETCH_COST` leaves room for.
STRETCHES: Final = tuple(float(f) for f in np.round(1 + np.arange(-8, 9) * 0.0075, 4))
#: What a stretch of 1 % takes off the `atanh` of a cosine: among 17 stretches one fits a stranger by chance.
STRETCH_COST: Final = 0.033
#: Samples from one half to the next that is looked up (0.25 s). The index holds halves every 2.56 s only;
#: a copy that begins between them is found because one of the halves looked up falls on one it holds.
STEP: Final = 16
#: Largest cosine that is told apart: what an exact copy has, less rounding.
_SAME: Final = 0.9999
#: Arrays of an `Expectation`.
_EXPECTED: Final = ("mean", "second", "weights")
_LEVELS: Final = 7
_DEVIATIONS: Final = 3.0
#: Length of a code as whole numbers. Any partial sum of a product of two stays below 2**24, where float32 is
#: exact: a likeness does not depend on how many records are looked up at once, or in which order it is added.
_LENGTH: Final = 4000
#: Windows compared at a time: what fits in a cache.
_BLOCK: Final = 1024


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
class CopyIndex:
    """Coarse descriptors of training strips.

    Attributes
    ----------
    describe : dict of str to Describer
        ``full`` and ``half``, for windows of a strip and of half a strip.
    codes : dict of str to int8 array [windows, SIZE]
        From -7 to 7.
    expect : dict of str to Expectation
        What strangers reach.
    limits : dict of str to dict of str to float
        Largest excess allowed over that, by ``full`` and ``half`` and by rhythm; ``""`` for all others.
    notes : dict
        People, windows, how the limits were found.
    """

    describe: dict[str, Describer]
    codes: dict[str, NDArray[np.int8]]
    expect: dict[str, Expectation]
    limits: dict[str, dict[str, float]]
    notes: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def whole_numbers(self) -> dict[str, Floats]:
        """The codes as vectors of length `_LENGTH` made of whole numbers, made once."""
        return {kind: _whole(codes) for kind, codes in self.codes.items()}

    def likeness(self, signals: Sequence[Floats]) -> Floats:
        """How near strips at 64 Hz are to a whole and to a half training strip: `nearest` [n, kinds, 2]."""
        about = [traits(signal) for signal in signals]
        return np.stack([self.nearest(kind, signals, about) for kind in KINDS], axis=1)

    def nearest(
        self, kind: str, signals: Sequence[Floats], about: Sequence[Doubles], apart: Any = None
    ) -> Floats:
        """How near each strip at 64 Hz is to a training window of one kind: [signals, 2].

        The cosine with the window that exceeds most what strangers reach, and the excess of its `atanh`.

        Parameters
        ----------
        kind : {"full", "half"}
        signals : sequence of float32 array [<= STRIP]
        about : sequence of float64 array [TRAITS]
            Their `traits`.
        apart : bool array [windows, len(signals)], optional
            Windows that are not to be compared with a strip, such as its own person's.
        """
        cosines, parts, starts = self.cosines(kind, signals, apart)
        over = np.concatenate([self.expect[kind](*one) for one in zip(parts, about, strict=True)])
        excess = fisher(cosines) - cost(kind, len(over)) - over
        best = [first + int(excess[first:last].argmax()) for first, last in pairwise(starts.tolist())]
        return np.column_stack([cosines[best], excess[best]]).astype(np.float32)

    def cosines(
        self, kind: str, signals: Sequence[Floats], apart: Any = None
    ) -> tuple[Floats, list[Floats], NDArray[np.int64]]:
        """Largest cosine of each window looked up, unit codes of these by strip, and where strips begin."""
        # One by one: described together, a strip's numbers would be rounded as its neighbours want it.
        parts = [_whole(code(_looked_up(self.describe[kind], kind, signal))) for signal in signals]
        counts = [len(part) for part in parts]
        owner = np.repeat(np.arange(len(parts)), counts)
        cosines = _nearest(np.concatenate(parts), self.whole_numbers[kind], owner, apart)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cosines, [part / np.float32(_LENGTH) for part in parts], starts

    def look_up(self, records: Sequence[Record]) -> list[list[Likeness]]:
        """Likeness of every strip of every record: 10.24 s that do not overlap, on at most two leads."""
        strips = [_strips(record) for record in records]
        flat = [signal for own in strips for *_, signal in own]
        values = iter(self.likeness(flat).reshape(len(flat), -1) if flat else [])
        return [
            [Likeness(lead, rhythm, at, *map(float, next(values))) for lead, rhythm, at, _ in own]
            for own in strips
        ]

    def judge(self, records: Sequence[Record]) -> list[str | None]:
        """Why each record may not be exported: what of it is too near to a training strip; or None.

        Parameters
        ----------
        records : sequence of Record
            Any sampling rate, leads and length of at least 4 s; shorter ones are let through.

        Notes
        -----
        Some 2 ms for ten seconds of one lead where 32 records are judged together.
        """
        return [self._first(found) for found in self.look_up(records)]

    def _first(self, found: list[Likeness]) -> str | None:
        for one in found:
            nearest = ((one.full, one.full_excess), (one.half, one.half_excess))
            for kind, (value, excess) in zip(KINDS, nearest, strict=True):
                limit = self.limits[kind].get(one.rhythm, self.limits[kind][""])
                if excess > limit:
                    allowed = float(np.tanh(fisher(value) - excess + limit))
                    return (
                        f"copy: lead {one.lead} from {one.at:g} s on is too near to a training strip "
                        f"(likeness {value:.3f}, allowed {allowed:.3f})"
                    )
        return None


def _strips(record: Record) -> list[tuple[str, str, float, Floats]]:
    """Lead, rhythm, start in seconds and signal of every strip of a record that is looked up."""
    order = {lead: k for k, lead in enumerate(LEADS)}
    rows = sorted(range(len(record.leads)), key=lambda i: order.get(record.leads[i], len(order)))[:MOST_LEADS]
    slow = slow_signal(record.signal[rows], record.fs)
    found = []
    for row, signal in zip(rows, slow, strict=True):
        for start in range(0, max(1, signal.shape[0] - STRIP // 2), STRIP):
            strip = signal[start : start + STRIP]
            if len(strip) >= SHORTEST_S * SLOW_HZ and float(strip.std()) >= FLAT_MV:
                rhythm = _rhythm_at(record, (start + len(strip) / 2) / SLOW_HZ)
                found.append((record.leads[row], rhythm, start / SLOW_HZ, strip))
    return found


def _rhythm_at(record: Record, second: float) -> str:
    found = (e.rhythm for e in record.episodes if e.start <= second * record.fs < e.stop)
    return next(found, None) or ""


def _looked_up(describe: Describer, kind: str, signal: Floats) -> Floats:
    """What a strip is looked up as: stretched wholes, or halves every `STEP`; short ones end in zeros."""
    if kind == "full":
        return describe.at_stretches(padded([signal], STRIP)[0], STRETCHES)
    starts = range(0, max(1, len(signal) - HALF + 1), STEP)
    return describe(padded([signal[start : start + HALF] for start in starts], HALF))


def cost(kind: str, rows: int) -> Floats:
    """What the stretches of ``rows`` windows looked up cost, in `atanh` of the cosine."""
    if kind == "half":
        return np.zeros(rows, dtype=np.float32)
    once = 100 * STRETCH_COST * np.abs(np.array(STRETCHES, dtype=np.float32) - 1)
    return np.tile(once, rows // len(STRETCHES))


def fisher(cosine: Any) -> Any:
    """Fisher's transform, which spreads what lies near 1."""
    return np.arctanh(np.clip(cosine, -_SAME, _SAME))


def padded(rows: Sequence[Floats], width: int) -> Floats:
    """Rows of at most ``width`` samples as an array [rows, width] that ends in zeros."""
    out = np.zeros((len(rows), width), dtype=np.float32)
    for line, row in zip(out, rows, strict=True):
        line[: min(width, len(row))] = row[:width]
    return out


def code(vectors: Floats) -> NDArray[np.int8]:
    """Unit vectors [n, SIZE] as integers from -7 to 7; three typical sizes of a number are the largest."""
    top = _DEVIATIONS / np.sqrt(vectors.shape[1])
    return np.clip(np.rint(vectors / top * _LEVELS), -_LEVELS, _LEVELS).astype(np.int8)


def unit_codes(codes: NDArray[np.int8]) -> Floats:
    """Codes [n, SIZE] as vectors of length 1, to a part in `_LENGTH`."""
    return _whole(codes) / np.float32(_LENGTH)


def _whole(codes: NDArray[np.int8]) -> Floats:
    numbers = codes.astype(np.float64)
    length = np.linalg.norm(numbers, axis=1, keepdims=True)
    return np.rint(_LENGTH * numbers / np.maximum(length, 1.0)).astype(np.float32)


def _nearest(codes: Floats, known: Floats, owner: NDArray[np.int64], apart: Any) -> Floats:
    """Largest cosine of each code [n, SIZE] with the known ones, a block of them at a time."""
    import torch

    best = np.full(len(codes), -1.0, dtype=np.float32)
    asked = torch.from_numpy(codes)
    with torch.inference_mode():
        for first in range(0, len(known), _BLOCK):
            block = asked @ torch.from_numpy(known[first : first + _BLOCK]).T
            if apart is not None:
                block[torch.from_numpy(apart[first : first + _BLOCK].T[owner])] = -float(_LENGTH**2)
            best = np.maximum(best, block.amax(dim=1).numpy() / _LENGTH**2)
    return best


def save_index(index: CopyIndex, path: Path) -> None:
    """Write an index: two numbers of four bits to a byte."""
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {}
    for kind, codes in index.codes.items():
        shifted = (codes + _LEVELS + 1).astype(np.uint8)
        tensors[f"{kind}.codes"] = np.ascontiguousarray(shifted[:, 0::2] << 4 | shifted[:, 1::2])
        tensors[f"{kind}.mean"] = index.describe[kind].mean
        tensors[f"{kind}.basis"] = np.ascontiguousarray(index.describe[kind].basis)
        expect = index.expect[kind]
        for part in _EXPECTED:
            tensors[f"{kind}.expect_{part}"] = np.ascontiguousarray(getattr(expect, part))
    notes = json.dumps({"limits": index.limits, "notes": index.notes}, sort_keys=True)
    staged = path.with_name(path.name + ".partial")
    staged.write_bytes(save(tensors, {"copy_index": notes}))
    staged.replace(path)


@lru_cache(maxsize=2)
def load_index(path: Path = SHIPPED) -> CopyIndex:
    """Read an index.

    Raises
    ------
    CheckpointError
        If the file is missing or not such an index.
    """
    from safetensors import SafetensorError, safe_open

    describe, codes, expect = {}, {}, {}
    try:
        with safe_open(path, framework="np") as file:
            said = json.loads((file.metadata() or {})["copy_index"])
            for kind, width in zip(KINDS, (STRIP, HALF), strict=True):
                packed = file.get_tensor(f"{kind}.codes")
                both = np.empty((len(packed), 2 * packed.shape[1]), dtype=np.int8)
                both[:, 0::2], both[:, 1::2] = packed >> 4, packed & 15
                codes[kind] = both - np.int8(_LEVELS + 1)
                mean, basis = (file.get_tensor(f"{kind}.{part}") for part in ("mean", "basis"))
                describe[kind] = Describer(width, mean, basis, POWER)
                expect[kind] = Expectation(*(file.get_tensor(f"{kind}.expect_{part}") for part in _EXPECTED))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a copy index ({type(error).__name__}); expected what scripts/build_copy_index.py "
            "or `ecgsynth train` writes. Install the package again, or train again."
        ) from error
    return CopyIndex(describe, codes, expect, said["limits"], said["notes"])
