"""How the leads of a twelve-lead record go together: what tells that electrodes or names were exchanged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import AFTER, BEFORE, detrend, middle
from ecgsynth.records import INDEPENDENT_LEADS

Array = NDArray[np.float64]

#: Pairs of leads whose QRS-T is compared: neighbours on the chest, and leads that look at the same wall.
PAIRS = (
    ("I", "II"), ("I", "V5"), ("I", "V6"), ("II", "V5"), ("II", "V6"), ("I", "V1"), ("V1", "V2"),
    ("V2", "V3"), ("V3", "V4"), ("V4", "V5"), ("V5", "V6"), ("V1", "V6"), ("V1", "V3"), ("V3", "V5"),
    ("V4", "V6"),
)  # fmt: skip
#: QRS, P and T in seconds from R.
_QRS, _P, _T = (-0.06, 0.08), (-0.22, -0.07), (0.14, 0.4)


def rows_of_eight(leads: tuple[str, ...]) -> list[int] | None:
    """Rows of the eight independent leads, in any case of spelling; None if one is not there."""
    at = {lead.casefold(): i for i, lead in enumerate(leads)}
    rows = [at.get(lead.casefold(), -1) for lead in INDEPENDENT_LEADS]
    return None if min(rows) < 0 else rows


def lead_numbers(eight: Array, peaks: NDArray[np.int64], fs: float) -> dict[str, float]:
    """Heights of the waves per lead, and likeness of leads, on median beats.

    Parameters
    ----------
    eight : float64 array [8, samples]
        The independent leads in mV, baseline removed, in the order of `INDEPENDENT_LEADS`.
    peaks : int64 array [beats]
    fs : float
        In Hz.

    Returns
    -------
    dict
        Per lead ``net_``, ``r_``, ``s_`` (sum, top and bottom of the QRS), ``p_``, ``t_`` (mean of the P and
        T window against its ends), all over the largest QRS of the eight; ``span_`` log10 of the lead's QRS
        over the median one; ``like_<a>_<b>`` correlation of the QRS-T of two leads; ``p_share_best`` and
        ``p_share_mean`` share of the PR window that repeats from beat to beat (best and mean lead). Empty
        with fewer than three whole beats.
    """
    before, after = round(BEFORE * fs), round(AFTER * fs)
    inside = peaks[(peaks >= before) & (peaks < eight.shape[1] - after)]
    if len(inside) < 3:
        return {}
    beats = eight[:, inside[:, None] + np.arange(-before, after)]
    median = middle(beats, 1)

    def part(window: tuple[float, float]) -> slice:
        return slice(before + round(window[0] * fs), before + round(window[1] * fs))

    level = median - middle(median[:, part((-0.1, -0.05))])[:, None]
    qrs = level[:, part(_QRS)]
    spans = np.maximum(np.ptp(qrs, axis=1), 1e-3)
    top, usual = float(spans.max()), float(middle(spans))
    numbers: dict[str, float] = {}
    for i, lead in enumerate(INDEPENDENT_LEADS):
        numbers[f"net_{lead}"] = float(qrs[i].mean()) / top
        numbers[f"r_{lead}"] = float(qrs[i].max()) / top
        numbers[f"s_{lead}"] = float(qrs[i].min()) / top
        numbers[f"p_{lead}"] = _bulge(level[i, part(_P)]) / top
        numbers[f"t_{lead}"] = _bulge(level[i, part(_T)]) / top
        numbers[f"span_{lead}"] = float(np.log10(spans[i] / usual))
    whole = level[:, part((-0.08, 0.36))]
    whole = whole - whole.mean(axis=1, keepdims=True)
    whole = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-9)
    like = whole @ whole.T
    index = {lead: i for i, lead in enumerate(INDEPENDENT_LEADS)}
    numbers |= {f"like_{a}_{b}": float(like[index[a], index[b]]) for a, b in PAIRS}
    shares = _repeating(beats[:, :, part((-0.24, -0.06))])
    return numbers | {"p_share_best": float(shares.max()), "p_share_mean": float(shares.mean())}


def _bulge(wave: Array) -> float:
    """Mean of a wave above the straight line between its ends."""
    edge = max(1, len(wave) // 8)
    return float(wave.mean() - (wave[:edge].mean() + wave[-edge:].mean()) / 2)


def _repeating(rows: Array) -> Array:
    """Share of variance [leads] of detrended rows [leads, beats, samples] that repeats from beat to beat."""
    level = detrend(rows)
    n = rows.shape[1]
    power = np.mean(level**2, axis=(1, 2))
    mean = np.mean(level.mean(axis=1) ** 2, axis=1)
    return np.asarray((n * mean - power) / ((n - 1) * np.maximum(power, 1e-9)))
