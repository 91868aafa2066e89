"""What sdmetrics' distance-to-closest-record scores say of a set. Used by leaks.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ecgsynth.fidelity.features import FEATURES
from ecgsynth.privacy.samples import Sample

#: Rows of each side that sdmetrics compares: its time grows with the square.
DCR_ROWS = 200


def dcr(
    train: Sequence[Sample], holdout: Sequence[Sample], samples: Sequence[Sample], rng: np.random.Generator
) -> dict[str, float]:
    """sdmetrics' distance-to-closest-record scores on the feature table; 1 is said to be private."""
    import pandas as pd
    from sdmetrics.single_table import DCRBaselineProtection, DCROverfittingProtection

    def table(side: Sequence[Sample]) -> Any:
        rows = np.array([s.features for s in side])
        return pd.DataFrame(np.where(np.isfinite(rows), rows, 0.0), columns=FEATURES)

    metadata = {"columns": {name: {"sdtype": "numerical"} for name in FEATURES}}
    sides = (train, holdout, samples)
    size = min(DCR_ROWS, *map(len, sides))
    real, other, synthetic = (table([side[i] for i in rng.permutation(len(side))[:size]]) for side in sides)
    baseline = DCRBaselineProtection.compute(real, synthetic, metadata, "strips")
    over = DCROverfittingProtection.compute(real, synthetic, other, metadata, "strips")
    return {"dcr_baseline": float(baseline), "dcr_overfitting": float(over)}
