"""A small index of the training strips that ships with weights, so that ``generate`` can refuse near copies.

What it holds of a strip are 24 bytes: 48 numbers of four bits that describe the shape of its amplitude
spectrum (`descriptors`). Phases are gone, so it does not say where a beat lies or what it looks like, and a
strip cannot be drawn from it. It does answer one question: whoever holds a recording can ask whether a strip
like it was in training. Ship an index only with weights whose training people are known anyway.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import CheckpointError
from ecgsynth.privacy.descriptors import HALF, SIZE, Describer, fit_describer, segments, stretched
from ecgsynth.privacy.samples import LEADS
from ecgsynth.privacy.traces import FLAT_MV, SHORTEST_S, SLOW_HZ, STRIP, slow_signal
from ecgsynth.records import Record

Floats = NDArray[np.float32]

SHIPPED: Final = Path(__file__).parent.parent / "weights" / "copy_index.safetensors"
#: Share of strangers' records that may be refused: they are drawn again, which costs little.
REFUSED: Final = 0.01
#: Stretches that a whole strip is looked up at.
STRETCHES: Final = (0.97, 1.0, 1.03)
#: Leads of a record that are looked up.
MOST_LEADS: Final = 2
#: Fewest people of a rhythm for a limit of its own.
OWN_LIMIT: Final = 20
_LEVELS: Final = 7
_DEVIATIONS: Final = 3.0
_FIT_ON = 6000


@dataclass(frozen=True)
class CopyIndex:
    """Coarse descriptors of training strips.

    Attributes
    ----------
    describe : dict of str to Describer
        ``full`` and ``half``, for windows of a strip and of half a strip.
    codes : dict of str to int8 array [windows, SIZE]
        From -7 to 7.
    limits : dict of str to dict of str to float
        Largest likeness allowed, by ``full`` and ``half`` and by rhythm; ``""`` for all others.
    notes : dict
        People, windows, how the limits were found.
    """

    describe: dict[str, Describer]
    codes: dict[str, NDArray[np.int8]]
    limits: dict[str, dict[str, float]]
    notes: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def unit(self) -> dict[str, Floats]:
        """The codes as unit vectors, made once."""
        return {kind: _normal(codes.astype(np.float32)) for kind, codes in self.codes.items()}

    def likeness(self, signal: Floats) -> dict[str, float]:
        """Likeness, -1 to 1, of the nearest whole and half training strip to a strip [samples] at 64 Hz."""
        full = np.zeros((len(STRETCHES), STRIP), dtype=np.float32)
        for row, factor in zip(full, STRETCHES, strict=True):
            row[: len(signal)] = stretched(signal[:STRIP], factor)
        width = min(HALF, len(signal))
        half = np.zeros((len(segments(signal)), HALF), dtype=np.float32)
        for row, start in zip(half, segments(signal), strict=True):
            row[:width] = signal[start : start + width]
        found = {}
        for kind, windows in (("full", full), ("half", half)):
            vectors = _coarse(self.describe[kind](windows))
            found[kind] = float((vectors @ self.unit[kind].T).max())
        return found

    def too_close(self, record: Record) -> str | None:
        """Why a record may not be exported: which part of it is too near to a training strip; or None.

        Parameters
        ----------
        record : Record
            Any sampling rate, leads and length of at least 4 s; shorter ones are let through.

        Notes
        -----
        About 1.5 ms for ten seconds of one lead. Looks at strips of 10.24 s that do not overlap, on at most
        two leads.
        """
        order = {lead: k for k, lead in enumerate(LEADS)}
        rows = sorted(range(len(record.leads)), key=lambda i: order.get(record.leads[i], len(order)))
        slow = slow_signal(record.signal[rows[:MOST_LEADS]], record.fs)
        for row, signal in zip(rows, slow, strict=False):
            for start in range(0, max(1, signal.shape[0] - STRIP // 2), STRIP):
                strip = signal[start : start + STRIP]
                if len(strip) < SHORTEST_S * SLOW_HZ or float(strip.std()) < FLAT_MV:
                    continue
                rhythm = _rhythm_at(record, (start + len(strip) / 2) / SLOW_HZ)
                for kind, value in self.likeness(strip).items():
                    limit = self.limits[kind].get(rhythm, self.limits[kind][""])
                    if value > limit:
                        at = start / SLOW_HZ
                        return (
                            f"copy: lead {record.leads[row]} from {at:g} s on is too near to a training "
                            "strip "
                            f"(likeness {value:.3f}, allowed {limit:.3f})"
                        )
        return None


def _rhythm_at(record: Record, second: float) -> str:
    found = (e.rhythm for e in record.episodes if e.start <= second * record.fs < e.stop)
    return next(found, None) or ""


def _normal(vectors: Floats) -> Floats:
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9), dtype=np.float32)


def _codes(vectors: Floats) -> NDArray[np.int8]:
    """Unit vectors [n, SIZE] as integers from -7 to 7; three typical sizes of a number are the largest."""
    top = _DEVIATIONS / np.sqrt(SIZE)
    return np.clip(np.rint(vectors / top * _LEVELS), -_LEVELS, _LEVELS).astype(np.int8)


def _coarse(vectors: Floats) -> Floats:
    return _normal(_codes(vectors).astype(np.float32))


def build_index(
    training: Sequence[Floats],
    holdout: Iterable[tuple[str, str, Floats]],
    notes: dict[str, Any],
    seed: int = 0,
) -> CopyIndex:
    """Describe training strips, and set the limits by strips of people who are not among them.

    Parameters
    ----------
    training : sequence of float32 array [samples]
        Strips at 64 Hz (`slow_signal`), at most `STRIP` samples.
    holdout : iterable of (subject, rhythm, float32 array [samples])
    notes : dict
        What to say of the index.
    seed : int
        Chooses the strips that the descriptors are fitted on.
    """
    rng = np.random.default_rng(seed)
    windows = {"full": _padded(training, STRIP), "half": _halves(training)}
    describe, codes = {}, {}
    for kind, rows in windows.items():
        describe[kind] = fit_describer(rows[np.sort(rng.permutation(len(rows))[:_FIT_ON])])
        parts = [_codes(describe[kind](rows[i : i + 4096])) for i in range(0, len(rows), 4096)]
        codes[kind] = np.concatenate(parts)
        # In the order of the codes, not of the people.
        codes[kind] = codes[kind][np.lexsort(codes[kind].T)]
    bare = CopyIndex(describe, codes, {})
    found: dict[str, list[tuple[str, dict[str, float]]]] = {"": []}
    for subject, rhythm, signal in holdout:
        likeness = bare.likeness(signal)
        found[""].append((subject, likeness))
        found.setdefault(rhythm, []).append((subject, likeness))
    limits = {
        kind: {
            rhythm: float(np.quantile([value[kind] for _, value in rows], 1 - REFUSED / 2))
            for rhythm, rows in sorted(found.items())
            if rhythm == "" or len({subject for subject, _ in rows}) >= OWN_LIMIT
        }
        for kind in codes
    }
    return CopyIndex(describe, codes, limits, {**notes, "windows": sum(len(c) for c in codes.values())})


def _padded(strips: Sequence[Floats], width: int) -> Floats:
    rows = np.zeros((len(strips), width), dtype=np.float32)
    for row, strip in zip(rows, strips, strict=True):
        row[: len(strip)] = strip[:width]
    return rows


def _halves(strips: Sequence[Floats]) -> Floats:
    return _padded([s[start : start + HALF] for s in strips for start in segments(s)], HALF)


def save_index(index: CopyIndex, path: Path) -> None:
    """Write an index: two numbers of four bits to a byte."""
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {}
    for kind, codes in index.codes.items():
        shifted = (codes + _LEVELS + 1).astype(np.uint8)
        tensors[f"{kind}.codes"] = np.ascontiguousarray(shifted[:, 0::2] << 4 | shifted[:, 1::2])
        tensors[f"{kind}.mean"] = index.describe[kind].mean
        tensors[f"{kind}.basis"] = np.ascontiguousarray(index.describe[kind].basis)
    notes = json.dumps({"limits": index.limits, "notes": index.notes}, sort_keys=True)
    path.write_bytes(save(tensors, {"copy_index": notes}))


@lru_cache(maxsize=2)
def load_index(path: Path = SHIPPED) -> CopyIndex:
    """Read an index.

    Raises
    ------
    CheckpointError
        If the file is missing or not such an index.
    """
    from safetensors import SafetensorError, safe_open

    describe, codes = {}, {}
    try:
        with safe_open(path, framework="np") as file:
            said = json.loads((file.metadata() or {})["copy_index"])
            for kind, width in (("full", STRIP), ("half", HALF)):
                packed = file.get_tensor(f"{kind}.codes")
                both = np.empty((len(packed), 2 * packed.shape[1]), dtype=np.int8)
                both[:, 0::2], both[:, 1::2] = packed >> 4, packed & 15
                codes[kind] = both - np.int8(_LEVELS + 1)
                mean, basis = (file.get_tensor(f"{kind}.{part}") for part in ("mean", "basis"))
                describe[kind] = Describer(width, mean, basis)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a copy index ({type(error).__name__}); expected what scripts/build_copy_index.py "
            "writes. Install the package again, or build one."
        ) from error
    return CopyIndex(describe, codes, said["limits"], said["notes"])
