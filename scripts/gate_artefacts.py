"""Short artefacts of skin, muscle and cable: the gate must not take one for a splice or another fault.

Sound strips that score highest as splices are mostly those with an artefact on one side. Training people show
too few of them to learn that beats before and after are the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rng = np.random.Generator


def muscle(n: int, fs: float, rng: Rng) -> Array:
    """A burst of noise as muscles make: the faster the stronger."""
    noise = np.diff(rng.standard_normal(n + 1))
    return _bell(n, fs, rng, 0.3, 4.0) * noise * rng.uniform(0.03, 0.3)


def motion(n: int, fs: float, rng: Rng) -> Array:
    """Swings of an electrode that moves, 0.8 to 6 Hz."""
    time = np.arange(n) / fs
    swing = sum(
        np.sin(2 * np.pi * (rng.uniform(0.8, 6.0) * time + rng.random())) * rng.uniform(0.2, 1.0)
        for _ in range(4)
    )
    return _bell(n, fs, rng, 0.5, 3.0) * np.asarray(swing) * rng.uniform(0.15, 0.8)


def jump(n: int, fs: float, rng: Rng) -> Array:
    """An electrode that lost touch: a step that a high pass lets decay."""
    time = np.arange(n) / fs - rng.uniform(0.0, n / fs)
    fall = np.exp(-np.clip(time, 0.0, None) / rng.uniform(0.1, 0.8))
    return np.where(time >= 0, fall, 0.0) * rng.choice((-1.0, 1.0)) * rng.uniform(0.3, 2.0)


def knocks(n: int, fs: float, rng: Rng) -> Array:
    """A few narrow pulses, as of a finger on the recorder."""
    time, out = np.arange(n) / fs, np.zeros(n)
    for _ in range(int(rng.integers(1, 6))):
        apart = (time - rng.uniform(0.0, n / fs)) / rng.uniform(0.004, 0.04)
        out += np.exp(-0.5 * apart**2) * rng.choice((-1.0, 1.0)) * rng.uniform(0.3, 2.0)
    return out


ARTEFACTS: tuple[Callable[[int, float, Rng], Array], ...] = (muscle, motion, jump, knocks)


def artefact(n: int, fs: float, rng: Rng) -> Array:
    """One at random [n], in heights of the strip."""
    return ARTEFACTS[int(rng.integers(len(ARTEFACTS)))](n, fs, rng)


def _bell(n: int, fs: float, rng: Rng, least: float, most: float) -> Array:
    """Where a burst is: a bell of ``least`` to ``most`` seconds somewhere."""
    half = rng.uniform(least, most) / 2
    apart = (np.arange(n) / fs - rng.uniform(0.0, n / fs)) / half
    return np.asarray(np.where(np.abs(apart) < 1, np.cos(np.pi * apart / 2) ** 2, 0.0))
