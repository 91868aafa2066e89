"""Beat times to a fraction of a sample.

Human and detected marks jitter by 5-20 ms around the same point of the QRS. A network that is told such
times learns a QRS as blurred as the jitter is wide, so marks are moved to where each beat fits the
median beat best.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_HALF_S = 0.08
_REACH_S = 0.032


def align_beats(
    signal: NDArray[np.floating], times: NDArray[np.float64], classes: NDArray[np.int64], fs: float
) -> NDArray[np.float64]:
    """Beat times [beats] in s, moved by at most 32 ms to the best fit with the median beat of their class.

    Parameters
    ----------
    signal : float array [samples] or [leads, samples]
        In mV, without wander. Several leads are fitted together.
    times : float64 array [beats]
        In s from the start; beats too near the ends, and classes of fewer than three beats, stay.
    classes : int64 array [beats]
    fs : float
        Hz.

    Notes
    -----
    Correlation of first differences (which weigh the steep QRS, not the T wave) at whole-sample lags, then a
    parabola through the maximum. The median move of a class is taken out: marks keep their place on the QRS.
    """
    slopes = np.diff(np.atleast_2d(np.asarray(signal, np.float64)), axis=1, append=0.0)
    half, reach = round(_HALF_S * fs), round(_REACH_S * fs)
    moved = times.copy()
    for kind in np.unique(classes):
        mine = np.flatnonzero(classes == kind)
        at = np.rint(times[mine] * fs).astype(np.int64)
        inside = (at >= half + 2 * reach + 1) & (at < slopes.shape[1] - half - 2 * reach - 1)
        if inside.sum() < 3:
            continue
        base = at[inside]
        shift = _lags(slopes, base, np.zeros(len(base)), half, reach)
        shift = _lags(slopes, base, np.clip(np.rint(shift), -reach, reach), half, reach)
        shift = np.clip(shift, -reach, reach)
        moved[mine[inside]] = (base + shift - np.median(shift)) / fs
    # Two beats never change places: a move that would do so means that one of them is not this kind of beat.
    return moved if np.all(np.diff(moved) > 0) else times


def _lags(
    slopes: NDArray[np.float64], base: NDArray[np.int64], shift: NDArray[np.float64], half: int, reach: int
) -> NDArray[np.float64]:
    """Shift [beats] in samples that fits the median of the beats taken at ``base + shift``."""
    window = np.arange(-half, half + 1)
    centre = base + shift.astype(np.int64)
    template = np.median(slopes[:, centre[:, None] + window], axis=1)
    wide = slopes[:, base[:, None] + np.arange(-half - reach, half + reach + 1)]
    views = np.lib.stride_tricks.sliding_window_view(wide, len(window), axis=2)
    fit = np.einsum("lbkw,lw->bk", views, template)
    fit /= np.sqrt(np.einsum("lbkw,lbkw->bk", views, views)) + 1e-9
    best = np.clip(fit.argmax(1), 1, 2 * reach - 1)
    rows = np.arange(len(best))
    left, mid, right = fit[rows, best - 1], fit[rows, best], fit[rows, best + 1]
    bend = left - 2 * mid + right
    part = np.where(bend < -1e-12, 0.5 * (left - right) / np.where(bend < -1e-12, bend, 1), 0.0)
    return best + np.clip(part, -0.5, 0.5) - reach
