"""Noise of a recording by its source: baseline wander, muscle, mains hum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.plan import PLAN_FS

Array = NDArray[np.float64]

#: Per source: baseline wander, muscle noise, mains hum in mV (SD), and mains frequency in Hz; the first two
#: such that 10 s strips of sinus rhythm have the same median SD below 0.7 Hz, and over 25 Hz between beats,
#: as real ones.
NOISE: dict[str, tuple[float, float, float, float]] = {
    "mitdb": (0.055, 0.012, 0.004, 60.0),
    "vfdb": (0.07, 0.014, 0.004, 60.0),
    "cudb": (0.06, 0.012, 0.004, 60.0),
    "qtdb": (0.05, 0.010, 0.003, 60.0),
    "cinc2017": (0.07, 0.0045, 0.001, 60.0),
    "ptbxl": (0.035, 0.005, 0.001, 50.0),
    "ludb": (0.035, 0.006, 0.001, 50.0),
    "cinc2021": (0.028, 0.014, 0.002, 50.0),
}
_OTHER_NOISE = (0.04, 0.010, 0.002, 50.0)


def noise(source: str, leads: int, n: int, rng: np.random.Generator) -> Array:
    """Baseline wander, muscle noise and mains hum [leads, n] in mV at the level usual for ``source``."""
    wander, muscle, hum, mains = NOISE.get(source, _OTHER_NOISE)
    level = np.exp([0.7, 0.45, 0.5] * rng.standard_normal(3))
    t = np.arange(n) / PLAN_FS
    frequency = rng.uniform(0.12, 0.4, 3)
    breathing = np.sin(2 * np.pi * (frequency[:, None] * t + rng.uniform(0, 1, (3, 1))))
    out = 0.5 * level[0] * wander * (rng.standard_normal((leads, 3)) @ breathing)
    burst = np.exp(0.5 * slow_wander(n, 1.5, rng))
    white = rng.standard_normal((leads, n + 2), dtype=np.float32)
    coloured = (white[:, :-2] + 1.2 * white[:, 1:-1] + white[:, 2:]) / 1.85
    out += level[1] * muscle * burst * coloured
    together = np.sin(2 * np.pi * mains * t + rng.uniform(0, 6.28))
    out += level[2] * hum * rng.uniform(0.5, 1.5, (leads, 1)) * together
    for row in out:
        row += level[0] * wander * _smooth_wander(n, rng)
    return out


def _smooth_wander(n: int, rng: np.random.Generator) -> Array:
    """Electrode drift: unit-variance noise below about 0.3 Hz, cubic between knots 1.5 s apart."""
    knots = rng.standard_normal(int(n / PLAN_FS / 1.5) + 5)
    position = np.arange(n) / PLAN_FS / 1.5
    k = position.astype(np.int64)
    u = position - k
    weights = (  # uniform cubic B-spline
        (1 - u) ** 3 / 6,
        (3 * u**3 - 6 * u**2 + 4) / 6,
        (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6,
        u**3 / 6,
    )
    return np.asarray(sum(w * knots[k + i] for i, w in enumerate(weights)) * 1.4)


def slow_wander(n: int, seconds: float, rng: np.random.Generator) -> Array:
    """Smooth unit-variance wander [n] that forgets itself after about ``seconds``."""
    knots = int(n / PLAN_FS / seconds) + 3
    t = np.arange(n) / PLAN_FS / seconds
    return np.interp(t, np.arange(knots), 1.2 * rng.standard_normal(knots))
