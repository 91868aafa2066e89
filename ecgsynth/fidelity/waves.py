"""P, PR, QRS, ST, T and QT of a stretch, by the project's delineator on the median beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import BeatShape
from ecgsynth.fidelity.delineation import POINTS, Delineation, delineate_many, intervals_ms
from ecgsynth.fidelity.delineation_presence import pooled_odds

Array = NDArray[np.float64]

#: Beats in a row, from the middle of a stretch, that the median beat is made of: more cost more time than
#: they add.
MOST_BEATS = 6
#: Fewest beats: the delineator says nothing of P waves with fewer.
FEWEST_BEATS = 3
#: ST level is the mean over this time after the end of the QRS, in seconds (J + 60 ms is where it is read).
ST_S = (0.04, 0.06)
#: Samples at the QRS onset that are the level which heights are measured from.
LEVEL_SAMPLES = 3
#: Log-odds are held to this: the delineator says -inf where it has too few alike beats to ask.
MOST_ODDS = 15.0
_QRS_ON, _QRS_OFF, _P, _T = (POINTS.index(name) for name in ("qrs_on", "qrs_off", "p_peak", "t_peak"))


def median_waves(
    leads: Sequence[Array], peaks: Sequence[NDArray[np.int64]], fs: float
) -> list[Delineation | None]:
    """Delineate up to `MOST_BEATS` beats of each stretch; None with fewer than `FEWEST_BEATS`.

    Parameters
    ----------
    leads : sequence of float64 arrays [leads, samples]
        In mV, finite.
    peaks : sequence of int64 arrays [beats]
        R peaks in samples.
    fs : float
        In Hz.
    """
    enough = [i for i, own in enumerate(peaks) if len(own) >= FEWEST_BEATS]
    found = delineate_many([leads[i] for i in enough], fs, [_middle(peaks[i]) for i in enough])
    out: list[Delineation | None] = [None] * len(leads)
    for i, one in zip(enough, found, strict=True):
        out[i] = one
    return out


def _middle(peaks: NDArray[np.int64]) -> NDArray[np.int64]:
    start = max(0, (len(peaks) - MOST_BEATS) // 2)
    return peaks[start : start + MOST_BEATS]


def wave_numbers(found: Delineation, shape: BeatShape) -> dict[str, float]:
    """Intervals over all leads that were delineated, heights in the lead of ``shape``, the first one.

    ``p_ms``, ``pr_ms``, ``qrs_ms``, ``qt_ms``, and ``qtc_ms`` over the cube root of RR (Fridericia 1920);
    ``p_odds`` log-odds that the median beat has a P wave; ``p_mv``, ``t_mv`` and ``st_mv`` signed heights of
    P and T and the level 40 to 60 ms after the QRS, from the level at the QRS onset; ``t_share`` height of T
    over that of the QRS. What is absent is left out.
    """
    numbers = {name: float(value) for name, value in intervals_ms(found.median_combined, found.fs).items()}
    numbers["qtc_ms"] = numbers["qt_ms"] / max(shape.rr, 0.2) ** (1 / 3)
    odds = float(pooled_odds(np.maximum(found.p_log_odds, -MOST_ODDS)[:, None])[0])
    numbers["p_odds"] = min(odds, MOST_ODDS)
    points = found.median[0]
    if np.isfinite(points[[_QRS_ON, _QRS_OFF]]).all():
        numbers |= _heights(points, shape)
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _heights(points: Array, shape: BeatShape) -> dict[str, float]:
    median, centre, n = shape.median, shape.centre, len(shape.median)

    def at(sample: float) -> int:
        return int(min(max(centre + round(float(sample)), 0), n - 1))

    onset, offset = at(points[_QRS_ON]), at(points[_QRS_OFF])
    level = median - float(median[max(0, onset - LEVEL_SAMPLES + 1) : onset + 1].mean())
    qrs = level[onset : offset + 1]
    first, last = (at(points[_QRS_OFF] + seconds * shape.fs) for seconds in ST_S)
    numbers: dict[str, Any] = {"st_mv": float(level[first : last + 1].mean())}
    if np.isfinite(points[_P]):
        numbers["p_mv"] = float(level[at(points[_P])])
    if np.isfinite(points[_T]):
        numbers["t_mv"] = float(level[at(points[_T])])
        numbers["t_share"] = numbers["t_mv"] / max(float(np.ptp(qrs)), 1e-3)
    return numbers
