"""Noise that comes and goes: muscle and contact noise of a real recording swells and fades.

The decoder says how loud noise is on average at a moment of a beat. Around that, the log power of three
bands sways from hop to hop as a first-order autoregression, with an SD and a memory measured on each source.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.rr_basics import autoregressive

#: First coefficient of the lapped transform (3.125 Hz each) of each band: below 12.5 Hz, to 40.6 Hz, above.
SWAY_FROM = (0, 4, 13)
#: Samples between the knots of bursts: 40 ms.
BURST = 10


def draw_sway(
    hops: int, table: NDArray[np.floating], bins: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Factors ``[hops, bins]`` on the amplitude of noise.

    Parameters
    ----------
    hops, bins : int
        Hops and coefficients per hop of the lapped transform.
    table : float array [bands, 2]
        SD of the log power (natural log) and its correlation between neighbouring hops, per band.
    rng : Generator
        Gives ``3 * hops`` normal numbers, always as many.
    """
    out = np.empty((hops, bins), np.float32)
    edges = (*SWAY_FROM, bins)
    for band, (sd, memory) in enumerate(np.asarray(table, np.float64)):
        log_power = sd * autoregressive(hops, float(memory), rng)
        # Half, because amplitude is the root of power; bounded, because a rare draw should not bury a strip.
        out[:, edges[band] : edges[band + 1]] = np.exp(np.clip(log_power, -4, 4) / 2)[:, None]
    return out


def draw_bursts(n: int, sd: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float32]:
    """Factors ``[bands, n]`` on noise, mean square 1: short log-normal bursts, forgotten in 40 ms.

    `sd` ``[bands]`` is that of the log amplitude, from 12 to 40 Hz and above: the bursts are the same, as a
    contact that crackles is heard at all frequencies, most at the high ones.
    """
    knots = np.clip(rng.standard_normal(n // BURST + 2), -2.5, 2.5)
    # Eased, not straight, from knot to knot: corners would carry noise into bands that have next to none.
    eased = (0.5 - 0.5 * np.cos(np.pi * np.arange(BURST) / BURST))[None]
    course = (knots[:-1, None] + np.diff(knots)[:, None] * eased).ravel()[:n]
    factors = np.exp(np.asarray(sd, np.float64)[:, None] * course)
    return (factors / np.sqrt(np.square(factors).mean(1, keepdims=True))).astype(np.float32)


def band_means(values: NDArray[np.floating], starts: Sequence[int]) -> NDArray[np.float64]:
    """Means ``[bands, hops]`` of `values` ``[channels, hops, bins]`` over bands that begin at `starts`."""
    edges = (*starts, values.shape[2])
    return np.stack([values[:, :, a:b].mean((0, 2)) for a, b in pairwise(edges)])


def measure_sway(
    log_ratio: NDArray[np.floating], known: NDArray[np.bool_], starts: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariances of the log power of one strip's noise at lags of zero to two hops, per band.

    Parameters
    ----------
    log_ratio : float array [channels, hops, bins]
        Log of squared coefficients over their expected power.
    known : bool array [hops]
        Hops whose noise could be told from the waves.
    starts : sequence of int
        First bin of each band.

    Returns
    -------
    covariance : float64 array [bands, 3]
        Sums of products over pairs of known hops, lags 0, 1 and 2, the strip's own level taken off.
    pairs : float64 array [3]
        Number of pairs behind each.
    """
    bands = band_means(log_ratio, starts)
    level = bands[:, known].mean(1, keepdims=True) if known.any() else 0.0
    rest = np.where(known, bands - level, 0.0)
    lags = range(3)
    sums = np.array([[float(x[: len(x) - k] @ x[k:]) for k in lags] for x in rest])
    return sums, np.array([float((known[: len(known) - k] & known[k:]).sum()) for k in lags])
