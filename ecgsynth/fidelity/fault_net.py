"""A small convolutional network that looks at the strip itself, beside the trees that see numbers of it.

Numbers of a strip say little of how one part of it differs from another; filters that were learned do. The
network is trained with torch by ``scripts/gate_net.py`` and needs nothing but numpy here, strip by strip, so
that a strip's scores do not depend on those beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beat_view import INTERVALS, VIEWS, WIDTH, beat_views, interval_numbers
from ecgsynth.fidelity.beatshape import middle
from ecgsynth.fidelity.evidence import context

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

#: Samples at 250 Hz that the network sees: 10.24 s. Shorter strips are followed by zeros.
SAMPLES = 2560
#: Convolutions: channels, width, and stride of each. A frame at the end stands for `HOP` samples.
LAYERS = ((16, 17, 4), (24, 9, 2), (32, 7, 2), (40, 5, 2), (48, 5, 1))
HOP = 32
#: The same for the beats, and the numbers that are left of them.
BEAT_LAYERS = ((16, 9, 2), (24, 7, 2), (32, 5, 2))
BEAT_NUMBERS = 32
#: Layers of both, and channels of what they see.
BRANCHES = {"conv": (LAYERS, 1), "beat": (BEAT_LAYERS, VIEWS)}
#: Heights of QRS complexes, in units of the strip's own, beyond which samples are cut off.
FARTHEST = 8.0
#: The strip's own height is this quantile of its distance from the median, at least so many mV.
HEIGHT_AT, LEAST_MV = 0.99, 1e-3
#: Places along the strip where one part may end and another begin, as shares of it.
CUTS = np.linspace(0.25, 0.75, 24)
#: The one output that is also told by comparing what lies before each of `CUTS` with what lies behind.
JOINED = "splice"
#: Added to variances, in (activations)^2, before they divide.
LEAST_VARIANCE, LEAST_SPREAD = 1e-2, 1e-4
#: What the outputs are asked beside the strip: which rhythm it claims, which lead, how its beats follow each
#: other, how high, how long.
ASKED = 12 + INTERVALS


@dataclass(frozen=True)
class Strip:
    """What the network sees of one lead.

    Attributes
    ----------
    signal : float16 array [`SAMPLES`]
        Without baseline and median, in units of its own height, zeros behind its end.
    samples : int
        How many there are.
    height : float
        Natural logarithm of the height in mV.
    peaks : int64 array [beats]
        R peaks, in samples.
    """

    signal: NDArray[np.float16]
    samples: int
    height: float
    peaks: NDArray[np.int64]

    @cached_property
    def views(self) -> Floats:
        """What is seen of its beats, see :mod:`ecgsynth.fidelity.beat_view`; found once."""
        return beat_views(self.signal[: self.samples], self.peaks)


def height_of(part: NDArray[np.floating]) -> float:
    """The strip's own height, see `HEIGHT_AT`, in the unit of ``part`` [samples], whose median is 0."""
    return float(np.quantile(np.abs(part), HEIGHT_AT))


def strip_of(clean: Array, peaks: NDArray[np.int64]) -> Strip:
    """The first `SAMPLES` of a lead [samples] in mV at 250 Hz, without its baseline, and its R peaks."""
    part = clean[:SAMPLES] - middle(clean[:SAMPLES])
    height = max(height_of(part), LEAST_MV)
    signal = np.zeros(SAMPLES, dtype=np.float16)
    signal[: len(part)] = np.clip(part / height, -FARTHEST, FARTHEST)
    return Strip(signal, len(part), float(np.log(height)), peaks[peaks < len(part)])


def asked_of(strip: Strip, rhythm: str, lead: str) -> Floats:
    """What is asked beside the strip [`ASKED`]."""
    height = float(np.clip(strip.height, -5.0, 4.0))
    intervals = interval_numbers(strip.peaks, strip.samples)
    inputs = [*context(rhythm, lead).values(), *intervals, height, abs(height), strip.samples / SAMPLES]
    return np.array(inputs, dtype=np.float32)


@dataclass(frozen=True)
class FaultNet:
    """The network, with its normalisation folded into the convolutions.

    Attributes
    ----------
    outputs : tuple of str
        Names of the faults.
    arrays : mapping of str to float32 array
        As `shapes_of` says.
    """

    outputs: tuple[str, ...]
    arrays: Mapping[str, Floats]

    def log_odds(self, strip: Strip, rhythm: str, lead: str) -> dict[str, float]:
        """Natural log-odds of each fault, for a strip of ``lead`` that claims to be ``rhythm``."""
        asked = asked_of(strip, rhythm, lead)
        frames = self._frames(strip)
        beats = self._convolved("beat", BEAT_LAYERS, strip.views.T)
        seen = self._layer("beats", beats.T.ravel(), True)
        one = self._layer(
            "head.1", self._layer("head.0", np.concatenate([_summary(frames), seen, asked]), True)
        )
        odds = dict(zip(self.outputs, one.tolist(), strict=True))
        if JOINED in odds:
            odds[JOINED] += self._joined(frames, asked)
        return odds

    def _layer(self, name: str, values: Floats, bend: bool = False) -> Floats:
        out = values @ self.arrays[f"{name}.weight"].T + self.arrays[f"{name}.bias"]
        return np.maximum(out, 0.0) if bend else out

    @cached_property
    def _kernels(self) -> dict[str, Floats]:
        """Weights [width * channels, own] of the convolutions, in the order in which `_convolved` sees."""
        kernels = {}
        for name, (layers, channels) in BRANCHES.items():
            for i, (own, width, _) in enumerate(layers):
                stored = self.arrays[f"{name}.{i}.weight"].reshape(own, channels, width)
                kernels[f"{name}.{i}"] = np.ascontiguousarray(stored.transpose(2, 1, 0).reshape(-1, own))
                channels = own
        return kernels

    def _frames(self, strip: Strip) -> Floats:
        """Activations [channels, frames] of the part that there is."""
        rows = self._convolved("conv", LAYERS, strip.signal.astype(np.float32)[:, None])
        return rows[: -(-strip.samples // HOP)].T

    def _convolved(self, name: str, layers: Sequence[tuple[int, int, int]], rows: Floats) -> Floats:
        """Activations [frames, channels] behind all ``layers`` of rows [samples, channels]."""
        for i, (_, width, stride) in enumerate(layers):
            n, channels = rows.shape
            padded = np.zeros((n + width - 1, channels), dtype=np.float32)
            padded[width // 2 : width // 2 + n] = rows
            # What a filter sees is one piece of memory: frame by frame, all channels of a frame together.
            shape, step = ((n - 1) // stride + 1, width * channels), 4 * channels * stride
            seen = np.lib.stride_tricks.as_strided(padded, shape, (step, 4), writeable=False)
            rows = np.maximum(seen @ self._kernels[f"{name}.{i}"] + self.arrays[f"{name}.{i}.bias"], 0.0)
        return rows

    def _joined(self, frames: Floats, asked: Floats) -> float:
        """Log-odds that somewhere along the strip one part ends and another begins."""
        parts = self._layer("project", frames.T)
        n = len(parts)
        at = np.clip((CUTS.astype(np.float32) * np.float32(n)).astype(np.int64), 1, n - 1)
        first, square = np.cumsum(parts, axis=0), np.cumsum(parts * parts, axis=0)
        before, behind = at[:, None].astype(np.float32), (n - at)[:, None].astype(np.float32)
        means = first[at - 1] / before, (first[-1] - first[at - 1]) / behind
        spreads = (
            np.maximum(square[at - 1] / before - means[0] ** 2, 0.0),
            np.maximum((square[-1] - square[at - 1]) / behind - means[1] ** 2, 0.0),
        )
        step = np.abs(means[0] - means[1]) / np.sqrt((spreads[0] + spreads[1]) / 2 + LEAST_VARIANCE)
        ratio = np.abs(np.log((spreads[0] + LEAST_VARIANCE) / (spreads[1] + LEAST_VARIANCE)))
        rows = np.concatenate([step, ratio, np.tile(asked, (len(at), 1))], axis=1)
        odds = self._layer("cut.1", self._layer("cut.0", rows, True))[:, 0]
        top = float(odds.max())
        return top + float(np.log(np.exp(odds - top).mean()))


def _summary(frames: Floats) -> Floats:
    """Mean, spread, maximum, trend and difference of halves of each channel [5 * channels]."""
    n = frames.shape[1]
    along = ((np.arange(n) - (n - 1) / 2) / n).astype(np.float32)
    mean = frames.mean(axis=1)
    spread = np.sqrt(((frames - mean[:, None]) ** 2).mean(axis=1) + LEAST_SPREAD)
    trend = (frames * along).mean(axis=1) * 6.0
    side = np.where(along < 0, 1.0, -1.0).astype(np.float32)
    halves = np.abs((frames * side).mean(axis=1)) * 2.0
    return np.concatenate([mean, spread, frames.max(axis=1), trend, halves])


#: Channels that are compared before and behind a cut, and hidden units of the two heads.
COMPARED, HIDDEN, CUT_HIDDEN = 24, 48, 24


def beat_frames() -> int:
    """Frames that are left of a beat."""
    n = WIDTH
    for _, _, stride in BEAT_LAYERS:
        n = (n - 1) // stride + 1
    return n


def shapes_of(outputs: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of a network, in the order in which they are stored."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (layers, channels) in BRANCHES.items():
        for i, (own, width, _) in enumerate(layers):
            shapes |= {f"{name}.{i}.weight": (own, channels * width), f"{name}.{i}.bias": (own,)}
            channels = own
    channels = LAYERS[-1][0]
    for name, rows, columns in (
        ("beats", BEAT_NUMBERS, beat_frames() * BEAT_LAYERS[-1][0]),
        ("head.0", HIDDEN, 5 * channels + BEAT_NUMBERS + ASKED),
        ("head.1", outputs, HIDDEN),
        ("project", COMPARED, channels),
        ("cut.0", CUT_HIDDEN, 2 * COMPARED + ASKED),
        ("cut.1", 1, CUT_HIDDEN),
    ):
        shapes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    return shapes


def mean_odds(nets: Sequence[FaultNet], strip: Strip, rhythm: str, lead: str) -> dict[str, float]:
    """Log-odds of each fault, the mean of all networks; empty without any."""
    odds = [net.log_odds(strip, rhythm, lead) for net in nets]
    return {name: sum(own[name] for own in odds) / len(odds) for name in (odds[0] if odds else ())}


def add_strip_odds(looks: Mapping[str, float], odds: Mapping[str, float]) -> dict[str, float]:
    """Log-odds of trees, ``looks_<fault>``, with those of the networks added to the faults that they know."""
    return {name: value + odds.get(name.removeprefix("looks_"), 0.0) for name, value in looks.items()}


def packed(net: FaultNet) -> bytes:
    """All arrays in half precision, one behind the other."""
    return b"".join(net.arrays[name].astype("<f2").tobytes() for name in shapes_of(len(net.outputs)))


def unpacked(outputs: Sequence[str], raw: bytes) -> FaultNet:
    """What `packed` wrote; ValueError where the size is another or a weight is not finite."""
    arrays: dict[str, Any] = {}
    at = 0
    for name, shape in shapes_of(len(outputs)).items():
        size = 2 * int(np.prod(shape))
        arrays[name] = np.frombuffer(raw[at : at + size], dtype="<f2").astype(np.float32).reshape(shape)
        at += size
    if at != len(raw) or not all(np.isfinite(values).all() for values in arrays.values()):
        raise ValueError("a strip network of another size, or not of numbers")
    return FaultNet(tuple(outputs), arrays)
