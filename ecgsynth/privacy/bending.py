"""Fitting a strip to a recording whose time axis is bent: a few smooth knots, moved until both agree.

The method is that of Lucas and Kanade (An iterative image registration technique, IJCAI 1981) on a time axis:
the difference between both signals is explained by small moves of the knots, solved as least squares,
coarse to fine.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Knots over a strip; between them the time axis is stretched evenly.
KNOTS: Final = 8
#: Standard deviations of the Gaussians that both signals are smoothed with in turn, in samples of 1/64 s.
_COARSE_TO_FINE: Final = (4.0, 2.0, 1.0, 0.0)
#: Weight of bends against the difference between the signals, per knot.
_STIFFNESS: Final = 0.03
#: Largest local stretch that counts: 6 % and what the fit may be off.
LARGEST: Final = 0.075
#: Pieces of 2 s around the knots are moved by up to 0.19 s, and what a step of their shifts costs: 8
#: samples from one knot to the next are 9 % of the time between them.
_PIECE, _REACH, _STEP_COST = 64, 12, 0.002

#: Shifts in samples and stretches that a fit is polished by.
_FINE_SHIFTS: Final = np.array([-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75])
_FINE_STRETCHES: Final = np.array([-0.006, -0.003, 0.0, 0.003, 0.006])


class Bent(NamedTuple):
    """A strip fitted with a bent time axis.

    ``ncc`` signed, over the samples that both signals have; ``rates`` [knots - 1], how much longer each
    piece of the strip had to be played.
    """

    ncc: float
    rates: Floats


def bend(strip: Floats, trace: Floats, middle: float, stretch: float) -> Bent:
    """Fit ``strip`` [n] into ``trace`` [samples], starting at the place of its middle and its stretch there.

    Returns
    -------
    Bent
        With the NCC of the start where the time axis left the allowed range.
    """
    n = len(strip)
    hats = _hats(n)
    knots = np.linspace(0, n - 1, KNOTS) - (n - 1) / 2
    place = middle + stretch * knots
    start = int(np.floor(place[0])) - n // 8
    stop = int(np.ceil(place[-1])) + n // 8 + 1
    window = _window(trace, start, stop)
    place = place - start
    place = place + _path(strip, window, place)
    for sigma in _COARSE_TO_FINE:
        moved = place + _step(_smooth(strip, sigma), _smooth(window, sigma), hats, place)
        rates = np.diff(moved) / np.diff(knots)
        place = moved if np.abs(rates - 1).max() < LARGEST + 0.05 else place
    rates = np.diff(place) / np.diff(knots)
    if np.abs(rates - 1).max() > LARGEST:
        return Bent(0.0, rates)
    return Bent(_ncc(strip, window, hats @ place), rates)


def _path(strip: Floats, window: Floats, place: Floats) -> Floats:
    """Shifts [KNOTS] in samples that take the pieces around the knots to where they fit, changing smoothly.

    Pieces are correlated one by one and the best path through their shifts is found by dynamic programming,
    so that a strip whose time swings by more than a QRS complex lasts still falls into place.
    """
    n, reach = len(strip), _REACH
    knots = np.rint(np.linspace(0, n - 1, KNOTS)).astype(np.int64)
    shifts = np.arange(-reach, reach + 1)
    values = np.zeros((KNOTS, len(shifts)))
    for k, knot in enumerate(knots):
        first, last = max(0, knot - _PIECE), min(n, knot + _PIECE)
        piece = strip[first:last]
        start = round(float(place[k])) - (knot - first) - reach
        part = _window(window, start, start + len(piece) + 2 * reach)
        sums = np.concatenate([[0.0], np.cumsum(part**2)])
        energy = (sums[len(piece) :] - sums[: -len(piece)]) * float(piece @ piece)
        values[k] = np.correlate(part, piece) / np.sqrt(np.maximum(energy, 1e-12))
    return _smoothest(values * np.sign(values.flat[np.abs(values).argmax()]), shifts)


def _smoothest(values: Floats, shifts: NDArray[np.int64]) -> Floats:
    """The path through ``values`` [knots, shifts] with the largest sum less the cost of its steps."""
    cost = _STEP_COST * (shifts[:, None] - shifts[None]) ** 2.0
    total, back = values[0], []
    for row in values[1:]:
        reached = total[:, None] - cost
        back.append(reached.argmax(axis=0))
        total = reached.max(axis=0) + row
    at = [int(total.argmax())]
    for step in back[::-1]:
        at.append(int(step[at[-1]]))
    return shifts[at[::-1]].astype(np.float64)


def polish(
    strip: Floats, trace: Floats, middle: float, stretch: float, first: int, last: int
) -> tuple[float, float, float]:
    """The best NCC, middle and stretch near a fit of samples ``first`` to ``last`` of a strip.

    The search steps by whole samples (16 ms) and 1.5 %; a narrow QRS that is half a sample off loses 4 % of
    its correlation.
    """
    at = np.arange(first, last) - (len(strip) - 1) / 2
    piece = strip[first:last]
    stretches, middles = stretch + _FINE_STRETCHES, middle + _FINE_SHIFTS
    reach = len(at)
    start = int(np.floor(middle + at[0] * stretch)) - reach // 8 - 2
    window = _window(trace, start, start + round(reach * (stretch + 0.01)) + reach // 4 + 4)
    where = middles[None, :, None] + stretches[:, None, None] * at[None, None, :] - start
    values = _valued(window, where)
    energy = np.sqrt((values**2).sum(axis=2) * float(piece @ piece))
    found = np.where(energy > 1e-9, values @ piece / np.maximum(energy, 1e-12), 0.0)
    row, column = np.unravel_index(int(np.abs(found).argmax()), found.shape)
    return float(found[row, column]), float(middles[column]), float(stretches[row])


def played(trace: Floats, middle: float, stretch: float, n: int) -> Floats:
    """The ``n`` samples of a trace under a strip whose middle and stretch there are known; 0 outside it."""
    at: Floats = middle + stretch * (np.arange(n, dtype=np.float64) - (n - 1) / 2)
    start = int(np.floor(at[0])) - 2
    return _valued(_window(trace, start, int(np.ceil(at[-1])) + 4), at - start)


@lru_cache(maxsize=64)
def _hats(n: int) -> Floats:
    """Hat functions [n, KNOTS] of a piecewise linear time axis."""
    at = np.linspace(0, KNOTS - 1, n)[:, None]
    return np.maximum(0.0, 1 - np.abs(at - np.arange(KNOTS)))


@lru_cache(maxsize=1)
def _roughness() -> Floats:
    second = np.diff(np.eye(KNOTS), 2, axis=0)
    return second.T @ second


def _window(trace: Floats, start: int, stop: int) -> Floats:
    """Samples ``start`` to ``stop`` of a trace, zeros outside it."""
    out = np.zeros(stop - start)
    first, last = max(0, start), min(len(trace), stop)
    if last > first:
        out[first - start : last - start] = trace[first:last]
    return out


def _smooth(signal: Floats, sigma: float) -> Floats:
    if sigma == 0:
        return np.asarray(signal, dtype=np.float64)
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(np.asarray(signal, dtype=np.float64), sigma))


def _sampled(signal: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Value and slope of a signal between its samples, by a cubic through four neighbours (Catmull-Rom)."""
    t, parts = _cubic(signal, at)
    zero, one, two, three = parts
    return zero + t * (one + t * (two + t * three)), one + t * (2 * two + 3 * t * three)


def _valued(signal: Floats, at: Floats) -> Floats:
    """The value alone of `_sampled`."""
    t, (zero, one, two, three) = _cubic(signal, at)
    return zero + t * (one + t * (two + t * three))


def _cubic(signal: Floats, at: Floats) -> tuple[Floats, tuple[Floats, Floats, Floats, Floats]]:
    base = np.minimum(np.maximum(at.astype(np.int64), 1), len(signal) - 3)
    a, b, c, d = signal[base - 1], signal[base], signal[base + 1], signal[base + 2]
    return at - base, (b, (c - a) / 2, a - 2.5 * b + 2 * c - d / 2, (d - a) / 2 + 1.5 * (b - c))


def _step(strip: Floats, window: Floats, hats: Floats, place: Floats) -> Floats:
    """How far the knots should move, in samples."""
    value, slope = _sampled(window, hats @ place)
    gain = float(strip @ value) / max(float(value @ value), 1e-12)
    jacobian = gain * slope[:, None] * hats
    normal = jacobian.T @ jacobian
    weight = _STIFFNESS * float(np.trace(normal)) / KNOTS
    bends = _roughness()
    right = jacobian.T @ (strip - gain * value) - weight * (bends @ place)
    move = np.linalg.solve(
        normal + weight * bends + 1e-6 * weight * np.eye(KNOTS) + 1e-12 * np.eye(KNOTS), right
    )
    return np.asarray(np.minimum(np.maximum(move, -6.0), 6.0))


def _ncc(strip: Floats, window: Floats, at: Floats) -> float:
    value = _valued(window, at)
    scale = np.sqrt(float(strip @ strip) * float(value @ value))
    return float(strip @ value) / scale if scale > 1e-9 else 0.0
