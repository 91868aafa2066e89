"""Classifier two-sample tests: can a judge tell one set of records from another? 0.5 means it cannot.

The judge is trained and tested on different people, and the interval comes from resampling people.
See Lopez-Paz and Oquab, Revisiting classifier two-sample tests, ICLR 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Judge = Callable[[Array, NDArray[np.int64], Array, int], Array]


@dataclass(frozen=True)
class TwoSample:
    """Outcome of a two-sample test.

    Attributes
    ----------
    auc : float
        Area under the ROC curve of out-of-fold scores, 0 to 1.
    low, high : float
        95 % interval from resampling people of both sides.
    n_first, n_second : int
        Records of each side.
    people_first, people_second : int
        People (or synthetic records) of each side.
    """

    auc: float
    low: float
    high: float
    n_first: int
    n_second: int
    people_first: int
    people_second: int


def two_sample_auc(
    first: Array,
    first_people: Sequence[str],
    second: Array,
    second_people: Sequence[str],
    judge: Judge,
    *,
    folds: int = 5,
    resamples: int = 500,
    seed: int = 0,
) -> TwoSample:
    """How well ``judge`` tells ``second`` from ``first`` on people it did not train on.

    Parameters
    ----------
    first, second : float64 array [records, ...]
        Features or signals of each side.
    first_people, second_people : sequence of str
        Whose record each row is; all rows of a person share a fold. A synthetic record is its own person.
    judge : callable
        ``judge(train, labels, test, seed) -> scores [test records]``, such as :func:`boosting_judge`.
    folds, resamples, seed : int
        Cross-validation folds, bootstrap resamples, and the seed of both.

    Returns
    -------
    TwoSample

    Raises
    ------
    ValueError
        If a side has fewer people than folds.
    """
    rng = np.random.default_rng(seed)
    a, b, owner_a, owner_b = _out_of_fold(first, first_people, second, second_people, judge, folds, seed, rng)
    auc = [_auc(a, b)]
    for _ in range(resamples):
        auc.append(_auc(a[_resample(owner_a, rng)], b[_resample(owner_b, rng)]))
    low, high = np.quantile(auc[1:], (0.025, 0.975)) if resamples else (auc[0], auc[0])
    counts = (int(owner_a.max()) + 1, int(owner_b.max()) + 1)
    return TwoSample(float(auc[0]), float(low), float(high), len(a), len(b), *counts)


def out_of_fold_scores(
    first: Array,
    first_people: Sequence[str],
    second: Array,
    second_people: Sequence[str],
    judge: Judge,
    *,
    folds: int = 5,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Scores [records] of both sides by judges that did not train on the person; higher is more like second.

    Parameters and errors are those of :func:`two_sample_auc`. Scores are ranks within a fold, 0 to 1.
    """
    rng = np.random.default_rng(seed)
    return _out_of_fold(first, first_people, second, second_people, judge, folds, seed, rng)[:2]


def _out_of_fold(
    first: Array,
    first_people: Sequence[str],
    second: Array,
    second_people: Sequence[str],
    judge: Judge,
    folds: int,
    seed: int,
    rng: np.random.Generator,
) -> tuple[Array, Array, NDArray[np.int64], NDArray[np.int64]]:
    """Scores of both sides, and the number of each row's person."""
    rows = np.concatenate([first, second])
    labels = np.r_[np.zeros(len(first), dtype=np.int64), np.ones(len(second), dtype=np.int64)]
    owner_a, fold_a = _folds(first_people, folds, rng)
    owner_b, fold_b = _folds(second_people, folds, rng)
    fold = np.r_[fold_a, fold_b]
    scores = np.empty(len(rows))
    for k in range(folds):
        inside = fold != k
        raw = judge(rows[inside], labels[inside], rows[~inside], seed + k)
        scores[~inside] = _share_below(raw)
    return scores[: len(first)], scores[len(first) :], owner_a, owner_b


def _folds(
    people: Sequence[str], folds: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Person number and fold of each row; people are dealt out so that folds have about equal rows."""
    names, owner = np.unique(np.asarray(people), return_inverse=True)
    if len(names) < folds:
        raise ValueError(f"two-sample test: {len(names)} people on one side, at least {folds} are needed.")
    rows = np.bincount(owner)
    fold_of, load = np.zeros(len(names), dtype=np.int64), np.zeros(folds)
    shuffled = rng.permutation(len(names))
    for person in shuffled[np.argsort(-rows[shuffled], kind="stable")]:
        fold_of[person] = int(load.argmin())
        load[fold_of[person]] += rows[person]
    return owner, fold_of[owner]


def _resample(owner: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Row numbers of as many people drawn with replacement as there are."""
    order = np.argsort(owner, kind="stable")
    edges = np.r_[0, np.cumsum(np.bincount(owner))]
    drawn = rng.integers(0, len(edges) - 1, len(edges) - 1)
    return np.concatenate([order[edges[p] : edges[p + 1]] for p in drawn])


def _share_below(scores: Array) -> Array:
    """Rank of each score among the scores, 0 to 1, ties at their mean: folds become comparable."""
    ordered = np.sort(scores)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (
        2 * len(scores)
    )


def _auc(first: Array, second: Array) -> float:
    """Probability that a score of ``second`` is above one of ``first``, ties counted half."""
    ordered = np.sort(first)
    below = np.searchsorted(ordered, second, "left")
    not_above = np.searchsorted(ordered, second, "right")
    return float((below + not_above).mean() / (2 * len(first)))


def boosting_judge(train: Array, labels: NDArray[np.int64], test: Array, seed: int) -> Array:
    """Gradient boosting on features [records, features]; NaN is a value of its own.

    Each side weighs the same however many records it has.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    weights = _balance(labels)
    # with weights, scikit-learn takes seven times as long, and those of folds of equal sets are 1.00
    needed = float(np.ptp(weights)) > 0.05

    model = HistGradientBoostingClassifier(
        max_iter=150,
        learning_rate=0.08,
        max_leaf_nodes=15,
        min_samples_leaf=int(np.clip(len(train) // 20, 2, 20)),
        l2_regularization=1.0,
        random_state=seed,
    )
    model.fit(train, labels, sample_weight=weights if needed else None)
    return np.asarray(model.predict_proba(test)[:, 1], dtype=np.float64)


def feature_gaps(first: Array, second: Array, names: Sequence[str]) -> dict[str, float]:
    """What gives a set away: AUC of each feature alone as ``max(AUC, 1 - AUC)``, largest first."""
    gaps = {}
    for name, a, b in zip(names, first.T, second.T, strict=True):
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        if len(a) and len(b):
            value = _auc(a, b)
            gaps[name] = max(value, 1.0 - value)
    return dict(sorted(gaps.items(), key=lambda item: -item[1]))


def cnn_judge(train: Array, labels: NDArray[np.int64], test: Array, seed: int) -> Array:
    """A small convolutional network on signals [records, samples] in mV.

    Four strided convolutions, average and maximum over time, one linear layer; 12 passes of AdamW
    with random gain, shift and crops of 80 % so that it cannot learn records by heart.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _small_cnn()
        scale = float(np.median(np.std(train, axis=-1))) or 1.0
        x = torch.as_tensor(train / scale, dtype=torch.float32)
        y = torch.as_tensor(labels, dtype=torch.float32)
        weight = torch.as_tensor(_balance(labels), dtype=torch.float32)
        batch, passes = 32, max(12, -(-400 * 32 // len(x)))
        passes = min(passes, 40)
        optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
        steps = passes * -(-len(x) // batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        crop = int(0.8 * x.shape[-1])
        for _ in range(passes):
            for rows in torch.randperm(len(x)).split(batch):
                start = int(torch.randint(0, x.shape[-1] - crop + 1, (1,)))
                view = x[rows, start : start + crop] * (1 + 0.1 * torch.randn(len(rows), 1))
                loss = binary_cross_entropy_with_logits(model(view[:, None])[:, 0], y[rows], weight[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        model.eval()
        with torch.no_grad():
            z = torch.as_tensor(test / scale, dtype=torch.float32)[:, None]
            return np.concatenate([model(part)[:, 0].numpy() for part in z.split(64)]).astype(np.float64)


def _small_cnn():  # type: ignore[no-untyped-def]
    from torch import cat, nn

    class TimePool(nn.Module):
        def forward(self, x):  # type: ignore[no-untyped-def]
            return cat([x.mean(-1), x.amax(-1)], dim=1)

    layers: list[nn.Module] = []
    widths = (1, 16, 32, 48, 64)
    for k, (a, b) in enumerate(pairwise(widths)):
        kernel = 15 if k == 0 else 9
        layers += [nn.Conv1d(a, b, kernel, stride=3 if k == 0 else 2, padding=kernel // 2)]
        layers += [nn.GroupNorm(4, b), nn.GELU()]
    return nn.Sequential(*layers, TimePool(), nn.Dropout(0.2), nn.Linear(2 * widths[-1], 1))


def _balance(labels: NDArray[np.int64]) -> Array:
    """Weights [records] that give both labels the same total."""
    share = np.bincount(labels, minlength=2) / len(labels)
    return 0.5 / np.maximum(share[labels], 1e-9)


JUDGES: dict[str, Judge] = {"boosting": boosting_judge, "cnn": cnn_judge}
