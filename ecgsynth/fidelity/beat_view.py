"""What the gate's network sees of the beats of a strip: their middle, and how they change along it.

A P wave that is lost in the noise of every single beat is there in the middle of all of them, so this is
taken before the network bends anything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import AFTER, BEFORE, MIN_BEATS, aligned_beats, middle
from ecgsynth.fidelity.measures import FS

Floats = NDArray[np.float32]

#: Samples of a beat.
WIDTH = round(BEFORE * FS) + round(AFTER * FS)
#: What is seen of every beat: its middle, how its halves of the strip differ, how it changes along the strip,
#: how far single beats stray, how every other one differs; then the first three enlarged, for small waves.
VIEWS = 8
#: How much larger small waves are shown, and where they are cut off, in heights of the strip.
ENLARGED, CUT = 10.0, 1.5
#: Numbers of the intervals between beats.
INTERVALS = 6


def beat_views(signal: NDArray[np.floating], peaks: NDArray[np.int64]) -> Floats:
    """What is seen of beats [`VIEWS`, `WIDTH`] of a strip [samples] in its own heights; 0 with under 4 beats.

    ``peaks`` are samples of the strip at `FS`.
    """
    beats, _ = aligned_beats(signal.astype(np.float64), FS, peaks)
    n = len(beats)
    if n < MIN_BEATS:
        return np.zeros((VIEWS, WIDTH), dtype=np.float32)
    usual = middle(beats, 0)
    along = (np.arange(n) - (n - 1) / 2) / (n - 1)
    halves = middle(beats[: n // 2], 0) - middle(beats[n // 2 :], 0)
    trend = (along / (along @ along)) @ (beats - usual)
    stray = np.sqrt(middle(np.abs(beats - usual), 0))
    others = middle(beats[::2], 0) - middle(beats[1::2], 0)
    large = np.clip(np.stack([usual, halves, trend]) * ENLARGED, -CUT, CUT)
    return np.concatenate([np.stack([usual, halves, trend, stray, others]), large]).astype(np.float32)


def interval_numbers(peaks: NDArray[np.int64], samples: int) -> Floats:
    """Beats per second, and how long and how even the intervals between them are [`INTERVALS`]."""
    numbers = np.zeros(INTERVALS, dtype=np.float32)
    numbers[0] = len(peaks) * FS / samples
    if len(peaks) < 4:
        return numbers
    rr = np.diff(peaks) / FS
    usual = float(middle(rr))
    step = np.sort(np.abs(np.diff(rr))) / usual
    spread = float(middle(np.abs(rr / usual - 1.0)))
    found = (
        usual,
        float(np.sqrt(np.mean(step**2))),
        spread,
        step[len(step) // 4],
        step[(3 * len(step)) // 4],
    )
    numbers[1:] = np.log(np.array(found) + 0.01)
    return numbers
