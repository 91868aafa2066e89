"""Human marks of wave boundaries are read as written, and found points scored as they deserve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecgsynth.fidelity.delineation_marks import (
    WaveMarks,
    better_of,
    marked_intervals,
    pairs,
    read_marked,
    read_wave_marks,
    score_waves,
    tuning_half,
)


def marks_at(p: list[float], qrs: list[float], t: list[float]) -> WaveMarks:
    return WaveMarks(
        *(np.array([[x - 0.04, x, x + 0.04] for x in wave]).reshape(-1, 3) for wave in (p, qrs, t))
    )


def test_pairs_are_each_others_nearest() -> None:
    assert pairs(np.array([1.0, 2.0]), np.array([1.1, 0.95, 2.3])).tolist() == [[0, 1]]
    assert pairs(np.array([1.0]), np.empty(0)).shape == (0, 2)


def test_scores_count_hits_misses_and_extra_waves() -> None:
    marks = marks_at([1.84, 2.84], [1.0, 2.0, 3.0], [1.3, 2.3])
    points = np.full((4, 9), np.nan)
    points[:, 3:6] = np.array([[1.0], [2.01], [2.5], [3.0]]) + np.array([-0.05, 0.0, 0.05])
    points[1, :3] = np.array([1.80, 1.85, 1.87])
    points[2, :3] = np.array([2.40, 2.45, 2.48])
    scores = score_waves(marks, points)
    assert (scores["p"].hits, scores["p"].missed, scores["p"].extra) == (1, 1, 1)
    assert (scores["qrs"].hits, scores["qrs"].missed, scores["qrs"].extra) == (3, 0, 1)
    assert (scores["t"].hits, scores["t"].missed, scores["t"].extra) == (0, 2, 0)
    np.testing.assert_allclose(scores["p"].errors, [[0.0, 10.0, -10.0]], atol=1e-9)


def test_the_better_lead_is_taken_mark_by_mark() -> None:
    marks = marks_at([], [1.0, 2.0], [])
    first, second = np.full((2, 9), np.nan), np.full((1, 9), np.nan)
    first[:, 3:6] = np.array([[1.1], [2.0]]) + np.array([-0.04, 0.0, 0.04])
    second[:, 3:6] = np.array([[1.01]]) + np.array([-0.04, 0.0, 0.04])
    best = better_of([score_waves(marks, first), score_waves(marks, second)], marks)["qrs"]
    assert (best.hits, best.missed) == (2, 0)
    np.testing.assert_allclose(best.errors[:, 1], [10.0, 0.0], atol=1e-9)


def test_marked_intervals_pair_waves_of_one_beat() -> None:
    intervals = marked_intervals(marks_at([0.84, 1.84], [1.0, 2.0], [1.3]))
    assert intervals == pytest.approx({"p_ms": 80, "pr_ms": 160, "qrs_ms": 80, "qt_ms": 380})


def test_wave_marks_are_read_as_they_were_written(tmp_path: Path) -> None:
    from ecgsynth.wfdb_io import encode_annotations

    marks = [(90, "(", ""), (100, "p", ""), (110, ")", ""), (150, "N", ""), (170, ")", ""), (230, "t", "")]
    (tmp_path / "a.q1c").write_bytes(encode_annotations(marks))
    read = read_wave_marks(tmp_path / "a", "q1c", 250.0)
    np.testing.assert_allclose(read.p, [[0.36, 0.40, 0.44]])
    np.testing.assert_allclose(read.qrs, [[np.nan, 0.60, 0.68]])
    np.testing.assert_allclose(read.t, [[np.nan, 0.92, np.nan]])
    assert read.span == (0.36, 0.92)


def test_halves_are_fixed_by_the_name_alone() -> None:
    names = [f"ludb/{i}" for i in range(200)]
    assert 80 < sum(map(tuning_half, names)) < 120
    assert [tuning_half(f"ludb/{i}") for i in (1, 8, 45, 101)] == [True, True, True, False]


@pytest.mark.realdata
def test_marks_of_both_databases_are_read(data_root: Path) -> None:
    seen = {}
    for record, marks in read_marked(data_root):
        seen[record.source] = seen.get(record.source, 0) + 1
        assert len(marks) == len(record.leads)
    assert seen["ludb"] >= 100 and seen["qtdb"] >= 100
