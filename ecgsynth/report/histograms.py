"""Distributions of a feature, real and synthetic, in the same bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.report.words import FAMILIAR

if TYPE_CHECKING:
    from ecgsynth.fidelity.distribution import SetComparison

BINS: Final = 24
#: Features shown besides the familiar ones: those that give the set away most.
GIVE_AWAY: Final = 7
#: Share of the values of either side beyond which bins do not reach: a few wild ones would flatten the rest.
TAIL: Final = 0.01


def distributions(comparison: SetComparison) -> dict[str, dict[str, Any]]:
    """RR intervals, features that a clinician reads off a strip, and those that give the set away most."""
    pairs = {name: comparison.features[name] for name in _names(comparison)}
    if min(len(side) for side in comparison.rr) >= 2:
        pairs = {"rr": comparison.rr, **pairs}
    return {name: distribution(*pair) for name, pair in pairs.items()}


def _names(comparison: SetComparison) -> list[str]:
    names: list[str] = [name for name in FAMILIAR if name in comparison.features]
    ranked = sorted(comparison.give_away.items(), key=lambda item: -item[1])
    names += [name for name, _ in ranked if name not in names and name in comparison.features][:GIVE_AWAY]
    return [name for name in names if _finite(comparison.features[name][0]).size >= 2]


def distribution(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> dict[str, Any]:
    """Edges of the bins, and the share of each side's measured values in each.

    Values beyond the bins count in the outermost ones. ``unmeasured`` is the share of each side where the
    feature cannot be measured, such as the P wave where there is none.
    """
    sides = [_finite(real), _finite(synthetic)]
    both = [values for values in sides if values.size]
    low = min(float(np.quantile(values, TAIL)) for values in both)
    high = max(float(np.quantile(values, 1 - TAIL)) for values in both)
    if not high > low:
        low, high = low - 0.5, low + 0.5
    edges = np.linspace(low, high, BINS + 1)
    shares = [np.histogram(np.clip(values, low, high), edges)[0] / max(1, values.size) for values in sides]
    missing = [
        1 - values.size / max(1, len(all_)) for values, all_ in zip(sides, (real, synthetic), strict=True)
    ]
    return {
        "edges": edges,
        "real": shares[0],
        "synthetic": shares[1],
        "unmeasured": {"real": missing[0], "synthetic": missing[1]},
    }


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    return values[np.isfinite(values)]
