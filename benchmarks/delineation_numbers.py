"""Numbers of the delineation benchmark, with intervals from resampling people."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.delineation_marks import WAVES, WaveScore

Array = NDArray[np.float64]
Scores = dict[str, WaveScore]

RESAMPLES = 1000


def summary(scored: list[tuple[str, Scores]], rng: np.random.Generator) -> dict[str, Any]:
    """Numbers of one protocol and method: per wave, with 95 % intervals from resampling people."""
    people = sorted({person for person, _ in scored})
    out: dict[str, Any] = {"people": len(people), "leads": len(scored)}
    draws = rng.integers(len(people), size=(RESAMPLES, len(people)))
    for wave in WAVES:
        counts = np.zeros((len(people), 3))
        for person, scores in scored:
            one = scores[wave]
            counts[people.index(person)] += (one.hits, one.missed, one.extra)
        drawn = np.concatenate([counts.sum(0)[None], counts[draws].sum(1)])
        share = (
            100
            * drawn[:, :1]
            / np.maximum(np.stack([drawn[:, 0] + drawn[:, 1], drawn[:, 0] + drawn[:, 2]], 1), 1)
        )
        errors = np.concatenate([scores[wave].errors for _, scores in scored])
        within = [_spread(scores[wave].errors) for _, scores in scored if scores[wave].hits >= 4]
        known = np.isfinite(errors).any(0)
        out[wave] = {
            "marked": int(counts[:, :2].sum()),
            "found": int(counts[:, [0, 2]].sum()),
            "se": interval(share[:, 0]),
            "ppv": interval(share[:, 1]),
            "edges": {
                edge: {
                    "n": int(np.isfinite(errors[:, k]).sum()),
                    "mean": round(float(np.nanmean(errors[:, k])), 1),
                    "sd": round(float(np.nanstd(errors[:, k])), 1),
                    "sd_within": round(float(np.nanmean([w[k] for w in within])), 1),
                }
                for k, edge in enumerate(("on", "peak", "off"))
                if known[k]
            },
        }
    return out


def _spread(errors: Array) -> Array:
    """SD [3] of the errors [hits, 3] of one lead; NaN with fewer than four of an edge."""
    count = np.isfinite(errors).sum(0)
    return np.array([np.nanstd(errors[:, k]) if count[k] >= 4 else np.nan for k in range(3)])


def interval(values: Array) -> list[float]:
    """The first value, and the 2.5th and 97.5th percentile of the others."""
    return [round(float(v), 2) for v in (values[0], *np.quantile(values[1:], (0.025, 0.975)))]


def share_of(found: list[tuple[str, Array]], rng: np.random.Generator) -> dict[str, Any]:
    """Share of beats with a P wave, in per cent, with an interval from resampling people."""
    people = sorted({person for person, _ in found})
    counts = np.zeros((len(people), 2))
    for person, points in found:
        counts[people.index(person)] += (np.isfinite(points[:, 1]).sum(), len(points))
    draws = rng.integers(len(people), size=(RESAMPLES, len(people)))
    drawn = np.concatenate([counts.sum(0)[None], counts[draws].sum(1)])
    share = interval(100 * drawn[:, 0] / np.maximum(drawn[:, 1], 1))
    return {"people": len(people), "beats": int(counts[:, 1].sum()), "share": share}
