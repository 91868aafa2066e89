"""How fast the QRS is: durations and frequencies of the median beat that need no onset and no offset.

A complex that is stretched, or read at half its sampling rate, is slower in all of them at once, whatever the
noise does; edges of a QRS that a delineator marks are lost in the noise first.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import BeatShape

Array = NDArray[np.float64]

#: The QRS lies within this many seconds around R, and its spectrum is taken at so many points.
HALF, POINTS = 0.12, 256


@lru_cache(maxsize=8)
def _taper(n: int, fs: float) -> tuple[Array, Array]:
    """Window [n] (flat over the middle half) and the frequencies in Hz of `POINTS` points."""
    edge = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) / (n / 4)
    return np.minimum(1.0, edge), np.asarray(np.fft.rfftfreq(POINTS, 1 / fs), dtype=np.float64)


def _spread(weight: Array, shares: tuple[float, ...]) -> list[float]:
    """Samples between the quantiles that hold each share of the weight around its middle."""
    summed = np.cumsum(weight)
    summed = summed / max(float(summed[-1]), 1e-12)
    place: Array = np.arange(len(weight), dtype=np.float64)
    ends = [np.interp((0.5 - s / 2, 0.5 + s / 2), summed, place) for s in shares]
    return [float(high - low) for low, high in ends]


def bandwidth_numbers(shape: BeatShape) -> dict[str, float]:
    """Speed of the QRS of the median beat.

    ``rise`` log10 of the steepest slope over the height, per second; ``bend`` log10 of the sharpest turn over
    the steepest slope, per second; ``fast_50_ms``, ``fast_80_ms``, ``fast_95_ms`` how long so many % of the
    power of the slope last; ``crest_ms`` width of the largest deflection at half its height; ``qrs_hz_50``,
    ``qrs_hz_80``, ``qrs_hz_95`` frequencies under which so many % of the power of the slope lie;
    ``fast_rr`` log10 of ``fast_80_ms`` over RR.
    """
    fs = shape.fs
    level, span = shape.levelled
    window = shape.window(-HALF, HALF)
    part = level[window]
    slope = np.diff(part)
    taper, frequency = _taper(len(slope), fs)
    slope = slope * taper
    steep = float(np.abs(slope).max())
    turn = float(np.abs(np.diff(slope)).max())
    lasting = [1000.0 * value / fs for value in _spread(slope * slope, (0.5, 0.8, 0.95))]
    power = np.cumsum(np.abs(np.fft.rfft(slope, POINTS)) ** 2)
    power = power / max(float(power[-1]), 1e-18)
    at = np.interp((0.5, 0.8, 0.95), power, frequency).tolist()
    return {
        "rise": float(np.log10(max(steep * fs / span, 1e-3))),
        "bend": float(np.log10(max(turn * fs / max(steep, 1e-9), 1e-3))),
        "crest_ms": _crest(part) * 1000.0 / fs,
        "fast_rr": float(np.log10(max(lasting[1], 1.0) / (1000.0 * max(shape.rr, 0.1)))),
        **dict(zip(("fast_50_ms", "fast_80_ms", "fast_95_ms"), lasting, strict=True)),
        **dict(zip(("qrs_hz_50", "qrs_hz_80", "qrs_hz_95"), at, strict=True)),
    }


def _crest(part: Array) -> float:
    """Samples around the largest deflection over which it stays above half its height, to a fraction."""
    size = np.abs(part)
    top = int(size.argmax())
    high = part * np.sign(part[top]) - 0.5 * size[top]
    below = np.flatnonzero(high < 0)
    left, right = below[below < top], below[below > top]
    first = float(left[-1]) + _crossing(high[left[-1] : left[-1] + 2]) if len(left) else 0.0
    last = (
        float(right[0]) - 1 + _crossing(high[right[0] - 1 : right[0] + 1]) if len(right) else len(part) - 1.0
    )
    return last - first


def _crossing(pair: Array) -> float:
    return float(pair[0] / (pair[0] - pair[1])) if pair[0] != pair[1] else 0.0
