"""KID, Frechet distance and metrics of neighbours, against slow formulas and against what they must see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import sqrtm

from ecgsynth.fidelity import distances, neighbours
from ecgsynth.fidelity.distances import frechet, kid
from ecgsynth.fidelity.halves import Outcome
from ecgsynth.fidelity.neighbours import (
    alpha_precision,
    authenticity,
    beta_recall,
    density_coverage,
    meeting,
    surroundings,
)


def cloud(n: int, seed: int, shift: float = 0.0, width: int = 6) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, width)) + shift).astype(np.float32)


def slow_kid(a: np.ndarray, own_a: np.ndarray, b: np.ndarray, own_b: np.ndarray) -> float:
    def mean(x: np.ndarray, y: np.ndarray, allowed: Callable[[int, int], bool]) -> float:
        pairs = [(i, j) for i in range(len(x)) for j in range(len(y)) if allowed(i, j)]
        return float(np.mean([(float(x[i] @ y[j]) / x.shape[1] + 1) ** 3 for i, j in pairs]))

    within = [mean(x, x, lambda i, j, o=o: o[i] != o[j]) for x, o in ((a, own_a), (b, own_b))]
    return sum(within) - 2 * mean(a, b, lambda i, j: True)


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small sets already need several blocks."""
    monkeypatch.setattr(distances, "_BLOCK", 100)
    monkeypatch.setattr(neighbours, "_BLOCK", 100)


def test_kid_is_its_formula(tiny_blocks: None) -> None:
    a, b = cloud(23, 0), cloud(17, 1, 0.4)
    own_a, own_b = np.arange(23) // 3, np.arange(17)
    assert kid(a, own_a, b, own_b).value == pytest.approx(slow_kid(a, own_a, b, own_b), rel=1e-4)


def test_kid_of_people_with_several_records_each_is_zero_on_average() -> None:
    """Records of one person are alike: with their pairs left in, two halves of one crowd would seem apart."""
    values = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        people = rng.normal(size=(20, 6))
        rows = (np.repeat(people, 5, axis=0) + 0.1 * rng.normal(size=(100, 6))).astype(np.float32)
        owner = np.repeat(np.arange(10), 5)
        values.append(kid(rows[:50], owner, rows[50:], owner).value)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_frechet_is_its_formula() -> None:
    a, b = cloud(300, 0), cloud(300, 1, 0.5) * np.float32(1.3)
    cov_a, cov_b = np.cov(a.T, bias=True), np.cov(b.T, bias=True)
    gap = a.mean(axis=0) - b.mean(axis=0)
    wanted = gap @ gap + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert frechet(a, b).value == pytest.approx(float(wanted), rel=1e-4)
    assert frechet(a, a).value == pytest.approx(0.0, abs=1e-6)


def moved_by(metric: Callable[[np.ndarray, np.ndarray], Outcome], a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of influences with what leaving each record out does to the value."""
    whole = metric(a, b)
    assert whole.first is not None and whole.second is not None
    without_a = [whole.value - metric(np.delete(a, i, axis=0), b).value for i in range(len(a))]
    without_b = [whole.value - metric(a, np.delete(b, i, axis=0)).value for i in range(len(b))]
    found = [np.corrcoef(without_a, whole.first)[0, 1], np.corrcoef(without_b, whole.second)[0, 1]]
    scale = np.std(np.array(without_a) * len(a)) / np.std(whole.first)
    assert scale == pytest.approx(1.0, abs=0.25)
    return float(min(found))


def test_influences_say_what_each_record_does() -> None:
    a, b = cloud(80, 0), cloud(80, 1, 0.6)
    assert moved_by(frechet, a, b) > 0.97
    assert moved_by(lambda x, y: kid(x, np.arange(len(x)), y, np.arange(len(y))), a, b) > 0.97


def all_of(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    around = surroundings(a, np.arange(len(a)))
    near = meeting(a, around, b)
    found = density_coverage(near) | {
        "alpha_precision": alpha_precision(a, b),
        "beta_recall": beta_recall(near, around, b),
        "authenticity": authenticity(near, around),
    }
    return {name: outcome.value for name, outcome in found.items()}


def test_neighbours_are_those_of_a_full_matrix(tiny_blocks: None) -> None:
    a, b, owner = cloud(40, 0), cloud(30, 1), np.arange(40) // 2
    among = np.linalg.norm(a[:, None] - a[None], axis=2)
    among[owner[:, None] == owner[None]] = np.inf
    across = np.linalg.norm(a[:, None] - b[None], axis=2)
    around = surroundings(a, owner)
    np.testing.assert_allclose(around.nearest, np.sort(among, axis=1)[:, 0], rtol=1e-4)
    np.testing.assert_allclose(around.radius, np.sort(among, axis=1)[:, 4], rtol=1e-4)
    near = meeting(a, around, b)
    inside = across <= np.sort(among, axis=1)[:, 4, None]
    assert near.inside_a.tolist() == inside.sum(axis=1).tolist()
    assert near.inside_b.tolist() == inside.sum(axis=0).tolist()
    assert near.at_a.tolist() == across.argmin(axis=1).tolist()
    assert near.at_b.tolist() == across.argmin(axis=0).tolist()
    np.testing.assert_allclose(near.nearest_b, across.min(axis=0), rtol=1e-4)
    outcomes = density_coverage(near)
    assert outcomes["density"].value == pytest.approx(inside.sum() / (5 * 30))
    assert outcomes["coverage"].value == pytest.approx(inside.any(axis=1).mean())


def test_the_same_crowd_covers_itself() -> None:
    found = all_of(cloud(400, 0), cloud(400, 1))
    assert found["density"] == pytest.approx(1.0, abs=0.15)
    assert found["coverage"] > 0.93
    assert min(found["alpha_precision"], found["beta_recall"]) > 0.8
    assert 0.4 < found["authenticity"] < 0.65


def test_each_fault_is_seen_by_the_metric_for_it() -> None:
    real = cloud(300, 0)
    few_kinds = np.repeat(cloud(5, 1), 60, axis=0) + cloud(300, 2) * np.float32(0.01)
    far_off = cloud(300, 3, 6.0)
    copies = real + cloud(300, 4) * np.float32(0.01)
    assert all_of(real, few_kinds)["coverage"] < 0.5
    assert all_of(real, few_kinds)["beta_recall"] < 0.5
    assert all_of(real, far_off)["density"] < 0.05
    assert all_of(real, far_off)["alpha_precision"] < 0.1
    assert all_of(real, copies)["authenticity"] < 0.02
    centre_only = cloud(300, 5) * np.float32(0.3)
    assert all_of(real, centre_only)["density"] > 1.5
    assert all_of(real, centre_only)["alpha_precision"] < 0.5


def test_surroundings_of_very_few() -> None:
    around = surroundings(cloud(4, 0), np.array([0, 0, 1, 2]))
    assert np.isfinite(around.radius).all()
