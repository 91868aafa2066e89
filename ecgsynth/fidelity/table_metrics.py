"""Metrics on features, RR intervals, spectra and lead correlations, with what each record contributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.halves import Outcome

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Index = NDArray[np.int64]

#: Features that sdmetrics gets: few enough for all pairs, and each means something to a reader.
COLUMNS: Final = (
    "rate",
    "nrmssd",
    "p_score",
    "p_height",
    "p_at_ms",
    "qrs_ms",
    "q_depth",
    "r_height",
    "s_depth",
    "st_level",
    "t_height",
    "qt_ms",
    "likeness",
    "residual_tp",
    "wander_rms",
    "kurtosis",
    "band_0.5_4",
    "band_4_8",
    "band_13_20",
    "band_35_50",
)
#: Features behind ``interval_ks`` and ``amplitude_ks``.
INTERVALS: Final = ("p_at_ms", "qrs_ms", "qt_ms")
AMPLITUDES: Final = ("p_height", "q_depth", "r_height", "s_depth", "st_level", "t_height", "qrs_span")
#: Fewest values of a feature on each side for it to be compared.
FEWEST: Final = 4


def ks(a: Array, b: Array, record_a: Index, record_b: Index, records: tuple[int, int]) -> Outcome:
    """Two-sample Kolmogorov-Smirnov statistic, largest gap of the distribution functions.

    Parameters
    ----------
    a, b : float64 array [values]
        Finite.
    record_a, record_b : int64 array [values]
        Which record each value is of.
    records : (int, int)
        Records of each side, so that influences have a row per record.
    """
    places = np.sort(np.concatenate([a, b]))
    below_a = np.searchsorted(np.sort(a), places, "right") / len(a)
    below_b = np.searchsorted(np.sort(b), places, "right") / len(b)
    widest = int(np.abs(below_a - below_b).argmax())
    gap, at = float(below_a[widest] - below_b[widest]), places[widest]
    side = float(np.sign(gap))
    return Outcome(
        abs(gap),
        side * _share_influence((a <= at) - below_a[widest], record_a, records[0]),
        -side * _share_influence((b <= at) - below_b[widest], record_b, records[1]),
    )


def _share_influence(level: Array, record: Index, records: int) -> Array:
    """Influence of each record on a share over values, ``level`` being each value's own."""
    shares = np.bincount(record, weights=level, minlength=records) * (records / len(level))
    return np.asarray(shares, dtype=np.float64)


def mean_ks(a: Array, b: Array) -> Outcome | None:
    """Mean of `ks` over the columns of two tables [records, features]; None if none can be compared."""
    found = []
    for x, y in zip(a.T, b.T, strict=True):
        in_x, in_y = np.flatnonzero(np.isfinite(x)), np.flatnonzero(np.isfinite(y))
        if min(len(in_x), len(in_y)) >= FEWEST:
            found.append(ks(x[in_x], y[in_y], in_x, in_y, (len(x), len(y))))
    return mean_outcome(found)


def mean_outcome(found: Sequence[Outcome]) -> Outcome | None:
    """The mean of several outcomes on the same records."""
    if not found:
        return None
    first = [outcome.first for outcome in found if outcome.first is not None]
    second = [outcome.second for outcome in found if outcome.second is not None]
    return Outcome(
        float(np.mean([outcome.value for outcome in found])),
        np.sum(first, axis=0) / len(found) if first else None,
        np.sum(second, axis=0) / len(found) if second else None,
    )


def mean_gap(a: Array, b: Array) -> Outcome:
    """Mean absolute difference of the column means of two tables [records, columns]."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    pull = np.sign(mean_a - mean_b) / a.shape[1]
    return Outcome(float(np.abs(mean_a - mean_b).mean()), (a - mean_a) @ pull, -(b - mean_b) @ pull)


def pairs_of(correlation: Array) -> Array:
    """The entries above the diagonal [records, pairs] of matrices [records, leads, leads]."""
    i, j = np.triu_indices(correlation.shape[1], 1)
    return np.asarray(correlation[:, i, j])


def sdmetrics_outcomes(a: Array, b: Array, names: Sequence[str], seed: int) -> dict[str, Outcome]:
    """sdmetrics' metrics on two feature tables [records, features], as that package computes them.

    Column metrics are averaged over columns and pair metrics over pairs, as its quality report does.
    """
    import pandas as pd

    usable = [i for i in range(len(names)) if _varies(a[:, i]) and np.isfinite(b[:, i]).sum() >= FEWEST]
    if len(usable) < 2:
        return {}
    columns = [names[i] for i in usable]
    a, b = a[:, usable], b[:, usable]
    first, second = pd.DataFrame(a, columns=columns), pd.DataFrame(b, columns=columns)
    shape = mean_ks(a, b)
    pairs = _correlation_influence(a, b)
    inside = _inside_influence(a, b)
    return {
        "column_shapes": Outcome(
            _mean_of(_metric("single_column:KSComplement"), first, second, columns),
            None if shape is None or shape.first is None else -shape.first,
            None if shape is None or shape.second is None else -shape.second,
        ),
        "column_pairs": Outcome(_pair_mean(first, second, columns), *pairs),
        "boundary_coverage": Outcome(
            _mean_of(_metric("single_column:BoundaryAdherence"), first, second, columns), None, inside
        ),
        "range_coverage": Outcome(_mean_of(_metric("single_column:RangeCoverage"), first, second, columns)),
        "logistic_detection": Outcome(_detection(first, second, seed)),
    }


def _varies(column: Array) -> bool:
    known = column[np.isfinite(column)]
    return len(known) >= FEWEST and bool(np.ptp(known) > 1e-9)


def _metric(place: str) -> Callable[..., float]:
    from pkgutil import resolve_name

    compute: Callable[..., float] = resolve_name(f"sdmetrics.{place}").compute
    return compute


def _mean_of(
    metric: Callable[..., float], first: pd.DataFrame, second: pd.DataFrame, columns: Sequence[str]
) -> float:
    return float(np.nanmean([metric(first[name], second[name]) for name in columns]))


def _pair_mean(first: pd.DataFrame, second: pd.DataFrame, columns: Sequence[str]) -> float:
    metric = _metric("column_pairs:CorrelationSimilarity")
    tables = [(table, np.isfinite(table.to_numpy())) for table in (first, second)]
    scores = []
    for i, j in combinations(range(len(columns)), 2):
        # columns that vary may not do so on the rows that have both; sdmetrics has no score for that
        both = [table.to_numpy()[known[:, i] & known[:, j]] for table, known in tables]
        if all(_varies(rows[:, k]) for rows in both for k in (i, j)):
            pair = [columns[i], columns[j]]
            scores.append(metric(first[pair], second[pair]))
    return float(np.nanmean(scores)) if scores else float("nan")


def _correlation_influence(a: Array, b: Array) -> tuple[Array, Array]:
    """Influence of each record on the mean of ``1 - |r_a - r_b| / 2``; a gap counts as the average."""
    filled = []
    for table in (a, b):
        level = table - np.nanmean(table, axis=0)
        filled.append(np.nan_to_num(level / np.maximum(np.nanstd(table, axis=0), 1e-12)))
    count = a.shape[1] * (a.shape[1] - 1)
    r_a, r_b = (z.T @ z / len(z) for z in filled)
    out = []
    for z, r, side in zip(filled, (r_a, r_b), (-1.0, 1.0), strict=True):
        # of a correlation: z1 z2 - r (z1^2 + z2^2) / 2 (Devlin et al., Biometrika 62:531-545, 1975)
        sign = side * np.sign(r_a - r_b) / 2.0
        np.fill_diagonal(sign, 0.0)
        both = ((z @ sign) * z).sum(axis=1) - np.square(z) @ (sign * r).sum(axis=1)
        out.append((both - both.mean()) / count)
    return out[0], out[1]


def _inside_influence(a: Array, b: Array) -> Array:
    """Influence of each record of b on the mean share of its values within the range of a."""
    with np.errstate(invalid="ignore"):
        inside = (b >= np.nanmin(a, axis=0)) & (b <= np.nanmax(a, axis=0))
    level = np.where(np.isfinite(b), inside - inside.mean(axis=0), 0.0)
    return np.asarray((level - level.mean(axis=0)).mean(axis=1))


def _detection(first: pd.DataFrame, second: pd.DataFrame, seed: int) -> float:
    from sdmetrics.errors import IncomputableMetricError
    from sdmetrics.single_table import LogisticDetection

    with _seeded(seed):
        try:
            return float(LogisticDetection.compute(first, second))
        except IncomputableMetricError:
            return float("nan")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """NumPy's global random state set for a library that draws from nothing else, and put back after."""
    state: Any = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(state)
