"""Trees in numpy say what scikit-learn's say."""

from __future__ import annotations

import numpy as np
import pytest

from ecgsynth.fidelity.trees import (
    ABSENT,
    DEPTH,
    FEATURE_SHARE,
    SHRUNK,
    Trees,
    binned,
    fit_trees,
    join,
)

pytest.importorskip("sklearn")
NAMES = ("a", "b", "c", "d")


def data(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((400, 4)).astype(np.float32)
    rows[rng.random((400, 4)) < 0.05] = ABSENT
    labels = np.clip(np.digitize(rows[:, 0] + 0.3 * rows[:, 1], [-0.5, 0.5])[: len(rows)], 0, classes - 1)
    return rows, labels


def scores(trees: Trees, rows: np.ndarray) -> np.ndarray:
    return trees.scores([dict(zip(NAMES, row, strict=True)) for row in rows.tolist()])


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_those_of_the_fitted_model(classes: int) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, labels = data(classes)
    weights = np.ones(len(rows))
    trees = fit_trees(rows, labels, weights, NAMES, rounds=20, seed=3, name="odd")
    same = HistGradientBoostingClassifier(
        max_iter=20, learning_rate=0.1, max_depth=DEPTH, max_leaf_nodes=None, max_features=FEATURE_SHARE,
        min_samples_leaf=10, l2_regularization=SHRUNK, early_stopping=False, random_state=3,
    )  # fmt: skip
    codes, edges = binned(rows)
    assert np.array_equal(codes[:, 0], (rows[:, :1] > edges[0]).sum(axis=1))
    expected = same.fit(codes, labels, sample_weight=weights).decision_function(codes[:50])
    assert trees.outputs == (("odd",) if classes == 2 else ("0", "1", "2"))
    assert np.allclose(scores(trees, rows[:50]).reshape(expected.shape), expected, atol=1e-4)


def test_absent_numbers_are_inputs_too() -> None:
    rows, labels = data(2)
    trees = fit_trees(rows, labels, np.ones(len(rows)), NAMES, rounds=5)
    some = trees.scores([{"a": 1.0, "d": 2.0, "unknown": 3.0}])
    assert some == scores(trees, np.array([[1.0, ABSENT, ABSENT, 2.0]]))
    assert trees.scores([]).shape == (0, 1)


def test_joined_trees_keep_their_scores_apart() -> None:
    rows, labels = data(2)
    one, two = (fit_trees(rows, labels, np.ones(400), NAMES, rounds=8, seed=k, name=str(k)) for k in (0, 1))
    both = join([one, two])
    apart = np.concatenate([scores(one, rows), scores(two, rows)], axis=1)
    assert np.allclose(scores(both, rows), apart)
    assert np.allclose(scores(both, rows)[7], scores(both, rows[7:8])[0])


def test_a_stump_that_ends_early_is_filled_up() -> None:
    rows = np.array([[0, 0, 0, 0]] * 30 + [[1, 0, 0, 0]] * 30, dtype=np.float32)
    labels = np.repeat([0, 1], 30)
    trees = fit_trees(rows, labels, np.ones(60), NAMES, rounds=40, name="x")
    low, high = scores(trees, rows[[0, -1]])[:, 0]
    assert low < 0 < high
