"""Dipoles of f waves, flutter waves, ventricular flutter and fibrillation from a plan's phase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.plan import Plan
from ecgsynth.generators.strip_noise import slow_wander

Array = NDArray[np.float64]


def osc_vector(plan: Plan, rng: np.random.Generator) -> Array:
    """Direction and size [3] in mV of a person's f waves, flutter waves or fibrillation (log-SD 0.4)."""
    rhythms = {e.rhythm for e in plan.episodes}
    if rhythms & {"vf", "vflutter"}:
        size, direction = (0.9 if "vflutter" in rhythms else 0.45), np.array([0.5, 0.7, 0.3])
    elif "aflutter" in rhythms:
        size, direction = 0.14, np.array([0.1, 0.8, -0.55])
    else:
        size, direction = 0.065, np.array([0.25, 0.6, -0.75])
    tilted = direction + 0.25 * rng.standard_normal(3)
    return np.asarray(size * np.exp(0.4 * rng.standard_normal()) * tilted / np.linalg.norm(tilted))


def oscillating(plan: Plan, vector: Array, rng: np.random.Generator) -> Array:
    """f waves, flutter saw teeth or ventricular fibrillation [3, n_samples] in mV from the plan's phase."""
    out = np.zeros((3, plan.n_samples))
    for episode in plan.episodes:
        span = slice(episode.start, episode.stop)
        amplitude = plan.osc_amplitude[span].astype(np.float64)
        if amplitude.any():
            turn = 2 * np.pi * plan.osc_phase[span].astype(np.float64)
            out[:, span] = _OSCILLATORS[str(episode.rhythm)](turn, amplitude, vector, rng)
    return out


def _f_waves(turn: Array, amplitude: Array, vector: Array, rng: np.random.Generator) -> Array:
    """Two wavefronts that drift against each other, so leads disagree as in AF."""
    n = len(turn)
    drift = 0.9 * slow_wander(n, 0.5, rng)
    main = np.cos(turn) + 0.3 * np.cos(2 * turn + rng.uniform(0, 6.28))
    other = np.cos(turn + 1.6 + drift) * (0.6 + 0.3 * slow_wander(n, 0.7, rng))
    side = 0.5 * np.linalg.norm(vector) * rng.standard_normal(3)
    return np.asarray((vector[:, None] * main + side[:, None] * other) * amplitude)


def _flutter_waves(turn: Array, amplitude: Array, vector: Array, rng: np.random.Generator) -> Array:
    """Saw teeth: slow fall, quick rise, as in II, III and aVF; five harmonics."""
    side = 0.35 * np.linalg.norm(vector) * rng.standard_normal(3)
    lag = rng.uniform(0.6, 1.6)
    saw = sum(np.cos(k * turn + (k - 1) * 1.1) / k**1.3 for k in range(1, 6))
    shifted = np.cos(turn + lag) + 0.4 * np.cos(2 * turn + lag)
    return np.asarray((vector[:, None] * saw + side[:, None] * shifted) * amplitude)


def _vf_waves(turn: Array, amplitude: Array, vector: Array, rng: np.random.Generator) -> Array:
    """Fibrillation: a wandering main wave, a slower and a faster partner, and a dipole that turns."""
    n = len(turn)
    main = np.cos(turn) + 0.25 * np.cos(2 * turn + 2.0 * slow_wander(n, 0.6, rng))
    slow = 0.5 * np.cos(0.61 * turn + 2.5 * slow_wander(n, 0.8, rng)) * (1 + 0.5 * slow_wander(n, 1.0, rng))
    fast = 0.3 * np.cos(1.43 * turn + 2.0 * slow_wander(n, 0.5, rng)) * (1 + 0.5 * slow_wander(n, 0.8, rng))
    other = np.linalg.norm(vector) * rng.standard_normal(3) * 0.6
    wobble = np.stack([slow_wander(n, 1.2, rng) for _ in range(3)])
    pointing = vector[:, None] * (1 + 0.35 * wobble)
    return np.asarray((pointing * (main + slow) + other[:, None] * (fast + 0.9 * np.sin(turn))) * amplitude)


def _vflutter_waves(turn: Array, amplitude: Array, vector: Array, rng: np.random.Generator) -> Array:
    """Ventricular flutter: a large, almost sinusoidal wave of steady shape."""
    phase = rng.uniform(0, 6.28, 2)
    main = np.cos(turn) + 0.3 * np.cos(2 * turn + phase[0]) + 0.08 * np.cos(3 * turn + phase[1])
    side = 0.4 * np.linalg.norm(vector) * rng.standard_normal(3)
    return np.asarray((vector[:, None] * main + side[:, None] * np.sin(turn)) * amplitude)


_OSCILLATORS = {"afib": _f_waves, "aflutter": _flutter_waves, "vf": _vf_waves, "vflutter": _vflutter_waves}
