"""Halving real people again and again, and intervals from resampling them."""

from __future__ import annotations

import numpy as np
import pytest

from ecgsynth.fidelity.halves import Outcome, draw_people, halvings, number_people, spread

PEOPLE = [f"p{i % 11}" for i in range(50)]


def test_numbers_are_per_person() -> None:
    assert number_people(["b", "a", "b"]).tolist() == [1, 0, 1]


@pytest.mark.parametrize("synthetic", [9, 30, 400])
def test_no_person_is_on_both_sides_and_all_parts_are_of_one_size(synthetic: int) -> None:
    owner = number_people(PEOPLE)
    for half in halvings(owner, np.arange(synthetic), 5, np.random.default_rng(0)):
        assert not set(owner[half.first]) & set(owner[half.second])
        assert len(half.first) == len(half.second) == len(half.synthetic) <= synthetic
        for rows in (half.first, half.second, half.synthetic):
            assert (np.diff(rows) > 0).all()


def test_synthetic_people_stay_whole() -> None:
    """With another real set in place of the synthetic one, whole people are taken, not a bit of each."""
    owner = number_people(PEOPLE)
    twenty = np.repeat(np.arange(20), 10)
    half = halvings(owner, twenty, 1, np.random.default_rng(0))[0]
    assert len(set(twenty[half.synthetic])) <= -(-len(half.first) // 10) + 1


def mean_difference(a: np.ndarray, b: np.ndarray) -> Outcome:
    return Outcome(a.mean() - b.mean(), a - a.mean(), -(b - b.mean()))


def test_the_interval_of_a_mean_is_that_of_statistics_and_not_that_of_records() -> None:
    """Ten records of each of 40 people, all alike: the error is that of 40 values."""
    rng = np.random.default_rng(1)
    widths = []
    for _ in range(20):
        of_person = rng.normal(size=40)
        owner = np.repeat(np.arange(40), 10)
        fixed = np.zeros(400)
        rows = np.arange(400)
        outcome = mean_difference(of_person[owner], fixed)
        sides = (draw_people(owner, 400, rng), draw_people(np.arange(400), 400, rng))
        found = spread([outcome], sides, [(rows, rows)], rng, single=False)
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    assert np.mean(widths) == pytest.approx(2 * 1.96 / np.sqrt(40), rel=0.15)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        real, made = rng.normal(size=60), rng.normal(0.5, 1.0, size=60)
        owner = np.arange(60)
        halves = halvings(owner, owner, 6, rng)
        outcomes = [mean_difference(real[h.first], made[h.synthetic]) for h in halves]
        sides = (draw_people(owner, 100, rng), draw_people(owner, 100, rng))
        found = spread(outcomes, sides, [(h.first, h.synthetic) for h in halves], rng, single=False)
        hits += found.low <= -0.5 <= found.high
    assert hits >= 88


def test_without_influences_the_spread_over_halvings_is_the_interval() -> None:
    rng = np.random.default_rng(3)
    owner = np.arange(20)
    sides = (draw_people(owner, 500, rng), draw_people(owner, 500, rng))
    outcomes = [Outcome(value) for value in rng.normal(2.0, 0.1, size=8)]
    found = spread(outcomes, sides, [(owner, owner)] * 8, rng, single=True)
    assert 0.2 < found.high - found.low < 1.0
    still = spread([Outcome(2.0)] * 8, sides, [(owner, owner)] * 8, rng, single=False)
    assert (still.low, still.value, still.high) == (2.0, 2.0, 2.0)
