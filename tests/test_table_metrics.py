"""Metrics on tables: against scipy and sdmetrics, and what each record contributes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp
from sdmetrics.column_pairs import CorrelationSimilarity
from sdmetrics.single_column import BoundaryAdherence, KSComplement, RangeCoverage

from ecgsynth.fidelity.halves import Outcome
from ecgsynth.fidelity.table_metrics import ks, mean_gap, mean_ks, pairs_of, sdmetrics_outcomes

NAMES = ("one", "two", "three", "four")


def tables(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(4, 4))
    a, b = rng.normal(size=(n, 4)) @ mix, rng.normal(0.3, 1.2, size=(n, 4)) @ (mix + 0.5)
    a[3, 0] = b[5, 1] = np.nan
    return a, b


def test_ks_is_scipys() -> None:
    a, b = np.random.default_rng(0).normal(size=50), np.random.default_rng(1).normal(0.4, 1.0, size=70)
    outcome = ks(a, b, np.arange(50), np.arange(70), (50, 70))
    assert outcome.value == pytest.approx(ks_2samp(a, b).statistic)
    assert outcome.first is not None and outcome.first.mean() == pytest.approx(0.0, abs=1e-12)


def test_sdmetrics_numbers_are_its_own() -> None:
    a, b = tables()
    found = sdmetrics_outcomes(a, b, NAMES, seed=0)
    first, second = pd.DataFrame(a, columns=NAMES), pd.DataFrame(b, columns=NAMES)
    for name, metric in (
        ("column_shapes", KSComplement),
        ("boundary_coverage", BoundaryAdherence),
        ("range_coverage", RangeCoverage),
    ):
        wanted = np.mean([metric.compute(first[column], second[column]) for column in NAMES])
        assert found[name].value == pytest.approx(float(wanted))
    pairs = [(i, j) for k, i in enumerate(NAMES) for j in NAMES[k + 1 :]]
    wanted = np.mean([CorrelationSimilarity.compute(first[[i, j]], second[[i, j]]) for i, j in pairs])
    assert found["column_pairs"].value == pytest.approx(float(wanted))
    assert 0.0 <= found["logistic_detection"].value <= 1.0


def test_detection_repeats_and_leaves_the_global_random_state_alone() -> None:
    a, b = tables()
    np.random.seed(5)
    wanted = np.random.random()
    np.random.seed(5)
    first = sdmetrics_outcomes(a, b, NAMES, seed=1)["logistic_detection"].value
    assert np.random.random() == wanted
    assert sdmetrics_outcomes(a, b, NAMES, seed=1)["logistic_detection"].value == first


def test_columns_without_values_or_spread_are_left_out() -> None:
    a, b = tables()
    wide_a = np.column_stack([a, np.full(60, np.nan), np.ones(60)])
    wide_b = np.column_stack([b, np.ones(60), np.ones(60)])
    found = sdmetrics_outcomes(wide_a, wide_b, (*NAMES, "empty", "flat"), seed=0)
    assert found["column_shapes"].value == sdmetrics_outcomes(a, b, NAMES, seed=0)["column_shapes"].value
    assert sdmetrics_outcomes(wide_a[:, 4:], wide_b[:, 4:], ("empty", "flat"), seed=0) == {}


def test_a_collapsed_column_is_not_left_out() -> None:
    a, b = tables()
    whole = sdmetrics_outcomes(a, b, NAMES, seed=0)["column_shapes"].value
    b[:, 2] = 0.0
    assert sdmetrics_outcomes(a, b, NAMES, seed=0)["column_shapes"].value < whole - 0.05


def gap_of_means(a: np.ndarray, b: np.ndarray) -> Outcome:
    return mean_gap(a[:, 2:], b[:, 2:])


def column_pairs(a: np.ndarray, b: np.ndarray) -> Outcome:
    return sdmetrics_outcomes(a[:, 2:], b[:, 2:], NAMES[2:], seed=0)["column_pairs"]


@pytest.mark.parametrize("metric", [gap_of_means, column_pairs])
def test_influences_say_what_each_record_does(
    metric: Callable[[np.ndarray, np.ndarray], Outcome],
) -> None:
    a, b = tables(40)
    whole = metric(a, b)
    assert whole.first is not None and whole.second is not None
    without = [whole.value - metric(np.delete(a, i, axis=0), b).value for i in range(20)]
    assert np.corrcoef(without, whole.first[:20])[0, 1] > 0.9
    assert np.std(without) * len(a) == pytest.approx(np.std(whole.first[:20]), rel=0.25)


def test_what_cannot_be_compared_is_none() -> None:
    assert mean_ks(np.full((9, 2), np.nan), np.zeros((9, 2))) is None


def test_pairs_of_leads() -> None:
    matrices = np.arange(18.0).reshape(2, 3, 3)
    assert pairs_of(matrices).tolist() == [[1.0, 2.0, 5.0], [10.0, 11.0, 14.0]]
