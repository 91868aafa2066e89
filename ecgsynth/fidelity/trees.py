"""Boosted trees that need nothing but numpy: all trees of all outputs are walked down at once.

They are fitted with scikit-learn (Friedman, Ann Stat 29:1189-1232, 2001) and kept as full binary trees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Stands for a number that is absent: below everything that is measured.
ABSENT = -1e3
#: Rows that go down the trees together: more would leave the cache.
_AT_ONCE = 16
#: Splits from the root to a leaf, share of the inputs that each split may ask for, and L2 weight on leaves.
DEPTH, FEATURE_SHARE, SHRUNK = 4, 0.15, 5.0
#: Most values of an input that splits can lie between.
BINS = 255


@dataclass(frozen=True)
class Trees:
    """Sums of trees, one sum per output.

    Attributes
    ----------
    inputs, outputs : tuple of str
    feature : int16 array [trees, 2**depth - 1]
        Input that each inner node asks for, breadth first.
    threshold : float32 array [trees, 2**depth - 1]
        Right if the input is larger; infinite where a tree is not full.
    leaf : float32 array [trees, 2**depth]
    owner : int16 array [trees]
        Output to which each tree adds.
    base : float64 array [outputs]
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    leaf: NDArray[np.float32]
    owner: NDArray[np.int16]
    base: Array

    def scores(self, rows: Sequence[Mapping[str, float]]) -> Array:
        """The sum of every output [rows, outputs] for rows of named numbers.

        With two classes it is the log-odds of the second. A number that a row lacks counts as `ABSENT`.
        """
        table = np.array([[row.get(name, ABSENT) for name in self.inputs] for row in rows], dtype=np.float32)
        return np.concatenate(
            [np.empty((0, len(self.outputs)))]
            + [self._walked(table[k : k + _AT_ONCE]) for k in range(0, len(table), _AT_ONCE)]
        )

    def _walked(self, table: NDArray[np.float32]) -> Array:
        """Scores of rows [rows, inputs]: every row goes down every tree, one level at a time."""
        inner = self.feature.shape[1]
        trees = np.arange(len(self.feature)) * inner
        feature, threshold = self.feature.ravel().astype(np.int64), self.threshold.ravel()
        base = (np.arange(len(table)) * table.shape[1])[:, None]
        flat = table.ravel()
        node = np.zeros((len(table), len(trees)), dtype=np.int64)
        for _ in range(int(np.log2(inner + 1))):
            place = trees + node
            node = 2 * node + 1 + (flat[base + feature[place]] > threshold[place])
        values = self.leaf.ravel()[np.arange(len(trees)) * (inner + 1) + node - inner]
        order = np.argsort(self.owner, kind="stable")
        starts = np.searchsorted(self.owner[order], np.arange(len(self.outputs)))
        return np.asarray(self.base + np.add.reduceat(values[:, order].astype(np.float64), starts, axis=1))


def join(models: Sequence[Trees]) -> Trees:
    """Several sums over the same inputs as one."""
    owner, at = [], 0
    for model in models:
        owner.append(model.owner + at)
        at += len(model.outputs)
    return Trees(
        models[0].inputs,
        tuple(name for model in models for name in model.outputs),
        np.concatenate([model.feature for model in models]),
        np.concatenate([model.threshold for model in models]),
        np.concatenate([model.leaf for model in models]),
        np.concatenate(owner).astype(np.int16),
        np.concatenate([model.base for model in models]),
    )


def fit_trees(
    rows: NDArray[np.float32],
    labels: NDArray[Any],
    weights: Array,
    inputs: tuple[str, ...],
    *,
    rounds: int = 100,
    rate: float = 0.1,
    seed: int = 0,
    name: str = "",
) -> Trees:
    """Boosting of `DEPTH` splits on rows [records, inputs] (`ABSENT` for absent); needs scikit-learn.

    Two classes give one output called ``name``, the log-odds of the larger label; more give one per label.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=rounds, learning_rate=rate, max_depth=DEPTH, max_leaf_nodes=None, max_features=FEATURE_SHARE,
        min_samples_leaf=10, l2_regularization=SHRUNK, early_stopping=False, random_state=seed,
    )  # fmt: skip
    codes, edges = binned(rows)
    model.fit(codes, labels, sample_weight=weights)
    # scikit-learn offers no public way to its trees; tests/test_trees.py compares ours with its scores.
    fitted = [tree for one_round in model._predictors for tree in one_round]
    columns = len(model._predictors[0])
    parts = [_full(tree.nodes, edges) for tree in fitted]
    return Trees(
        inputs,
        (name,) if columns == 1 else tuple(str(label) for label in model.classes_),
        np.stack([part[0] for part in parts]),
        np.stack([part[1] for part in parts]),
        np.stack([part[2] for part in parts]),
        np.tile(np.arange(columns), rounds).astype(np.int16),
        np.asarray(model._baseline_prediction, dtype=np.float64).ravel(),
    )


def binned(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """Rows [records, inputs] as numbers of bins, and the edges of each input's bins, ascending.

    Bin ``k`` holds what is over ``k`` of the edges. scikit-learn bins too, but with sample weights takes a
    dozen times longer for that than for the trees.
    """
    edges = []
    for column in rows.T:
        values = np.unique(column)
        if len(values) > BINS - 1:
            values = np.unique(np.quantile(column, np.linspace(0.0, 1.0, BINS), method="nearest"))
        edges.append(np.asarray((values[1:] + values[:-1]) / 2, dtype=np.float32))
    codes = [np.searchsorted(own, column) for own, column in zip(edges, rows.T, strict=True)]
    return np.array(codes, dtype=np.float32).T, edges


def _full(
    nodes: NDArray[Any], edges: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32]]:
    """One tree fitted on numbers of bins as a full one: features, thresholds as values, leaves."""
    inner = 2**DEPTH - 1
    feature = np.zeros(inner, dtype=np.int16)
    threshold = np.full(inner, np.inf, dtype=np.float32)
    leaf = np.zeros(inner + 1, dtype=np.float32)
    pending = [(0, 0)]
    while pending:
        at, place = pending.pop()
        node = nodes[at]
        if place >= inner:
            leaf[place - inner] = node["value"]
        elif node["is_leaf"]:  # ends early: with a threshold of infinity all go left, to the same leaf
            pending.append((at, 2 * place + 1))
        else:
            own = edges[int(node["feature_idx"])]
            feature[place], threshold[place] = node["feature_idx"], own[int(node["num_threshold"])]
            pending += [(int(node["left"]), 2 * place + 1), (int(node["right"]), 2 * place + 2)]
    return feature, threshold, leaf
