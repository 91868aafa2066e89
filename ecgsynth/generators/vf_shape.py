"""What a wave in a band cannot show of ventricular fibrillation: spikes, fine spells, pointed waves.

Wavefronts that collide and break leave sharp deflections, and so do shocks, pacing and compressions; half of
the strips on tapes of fibrillation show some. What is fast comes and goes, and in some people the waves are
pointed on one side and round on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.plan import PLAN_FS, Plan
from ecgsynth.generators.plan_parts import slow_process
from ecgsynth.generators.rhythm_process import fitted

Array = NDArray[np.float64]

#: What is faster than this, in Hz, comes and goes; spikes stand out over the second. Edges are 4 Hz wide.
FAST_HZ, SPIKE_HZ = 10.0, 12.0
#: A transient stands out of the fast part by this many robust SDs, within `_REACH_S`.
STANDS_OUT = 6.0
_REACH_S = 0.024
#: Where the filter rings, at the ends of a strip, in s.
_EDGE_S = 0.3


def find_transients(signal: NDArray[np.floating], fs: float) -> Array:
    """Heights [transients] of the spikes of one strip of fibrillation, in SDs of the strip.

    Parameters
    ----------
    signal : float array [samples]
        Finite, in any unit.
    fs : float
        Hz.
    """
    level = np.asarray(signal, np.float64) - float(np.mean(signal))
    n, edge, reach = len(level), int(_EDGE_S * fs), int(_REACH_S * fs)
    height = np.abs(_over(SPIKE_HZ, level, fs))
    usual = 1.4826 * float(np.median(height))
    near = np.max([np.roll(height, k) for k in range(-reach, reach + 1)], axis=0)
    over = near > STANDS_OUT * usual
    over[:edge] = over[n - edge :] = False
    steps = np.diff(np.concatenate([[0], over.astype(np.int8), [0]]))
    spans = zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
    found = [near[start:stop].max() for start, stop in spans]
    return np.array(found, np.float64) / max(float(level.std()), 1e-9)


def draw_transients(n: int, fit: Mapping[str, Any], rng: np.random.Generator) -> Array:
    """Spikes of a strip [n] at `PLAN_FS` in SDs of its wave: sharp beginnings that ring down.

    `fit` has ``strips``: share of strips with any; ``log_rate``: mean and SD over them of the log of how many
    come in a second; ``log_size``: mean and SD of the log of their heights. They last 30 to 150 ms and ring
    at 12 to 35 Hz.
    """
    out = np.zeros(n)
    if rng.uniform() >= fit["strips"]:
        return out
    rate = np.exp(rng.normal(*fit["log_rate"]))
    count = int(min(rate, 3.0) * n / PLAN_FS + rng.uniform())
    reach = int(0.25 * PLAN_FS)
    for start in np.sort(rng.integers(0, n, count)).tolist():
        t = np.arange(min(reach, n - start)) / PLAN_FS
        ring, decay = np.exp(rng.uniform(np.log([12.0, 0.012]), np.log([35.0, 0.05])))
        shape = np.sin(2 * np.pi * ring * t) * np.exp(-t / decay)
        size = np.exp(rng.normal(*fit["log_size"])) * rng.choice([-1.0, 1.0])
        out[start : start + len(t)] += min(max(size, -5.0), 5.0) * shape / max(np.abs(shape).max(), 1e-3)
    return out


def with_vf_shape(
    plan: Plan,
    pair: tuple[NDArray[np.float32], NDArray[np.float32]],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Signal and heart ``[leads, samples]``, shaped where the plan has ventricular fibrillation.

    The heart is bent by ``(exp(b x) - 1) / b`` with x in its SDs and b normal over people (SD ``bend``);
    what is fast in the signal is multiplied by a log-normal swing of unit mean square, whose SD is itself
    log-normal over people (``swing``), with the time constant ``swing_tau_s``; then come the spikes.
    """
    if all(episode.rhythm != "vf" for episode in plan.episodes):
        return pair
    fit = fitted()["rhythms"]["vf"]["shape"]
    signal, heart = pair[0].astype(np.float64), pair[1].astype(np.float64)
    bend = float(np.clip(fit["bend"] * rng.standard_normal(), -0.5, 0.5))
    sway = float(np.exp(rng.normal(*fit["swing"])))
    for episode in plan.episodes:
        if episode.rhythm != "vf":
            continue
        part = slice(episode.start, episode.stop)
        n = episode.stop - episode.start
        wave = heart[:, part]
        size = np.maximum(wave.std(1, keepdims=True), 1e-6)
        more = _bent(wave / size, bend) * size - wave + size * draw_transients(n, fit, rng)
        swing = np.exp(min(sway, 1.0) * slow_process(n, fit["swing_tau_s"], rng))
        loose = _over(FAST_HZ, signal[:, part], PLAN_FS) * (swing / np.sqrt(np.mean(swing**2)) - 1.0)
        heart[:, part] += more
        signal[:, part] += more + loose
    return signal.astype(np.float32), heart.astype(np.float32)


def _bent(wave: Array, bend: float) -> Array:
    """`wave` ``[leads, n]`` of SD 1, pointed on one side and flat on the other, of SD 1 and the same mean."""
    if abs(bend) < 1e-3:
        return wave
    level = wave.mean(1, keepdims=True)
    curved = np.expm1(bend * np.clip(wave - level, -4.0, 4.0)) / bend
    curved -= curved.mean(1, keepdims=True)
    return np.asarray(curved / np.maximum(curved.std(1, keepdims=True), 1e-6) + level)


def _over(edge: float, signal: Array, fs: float) -> Array:
    """What is faster than `edge` Hz in ``[..., n]``."""
    n = signal.shape[-1]
    hz = np.fft.rfftfreq(n, 1 / fs)
    return np.asarray(np.fft.irfft(np.fft.rfft(signal) * np.clip((hz - edge + 2.0) / 4.0, 0.0, 1.0), n))
