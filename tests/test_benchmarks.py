"""The two-sample machinery finds differences that are there, and none that are not; the benchmarks run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgsynth.fidelity.two_sample import boosting_judge, cnn_judge, feature_gaps, two_sample_auc

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
pytest.importorskip("sklearn", reason="scikit-learn (extra dev) judges the two-sample tests")


def _people(rng: np.random.Generator, n: int, each: int, shift: float = 0.0) -> tuple[np.ndarray, list[str]]:
    """Features of ``n`` people with ``each`` records; records of a person lie close together."""
    centre = rng.standard_normal((n, 1, 6))
    rows = (centre + 0.1 * rng.standard_normal((n, each, 6))).reshape(n * each, 6)
    rows[:, 0] += shift
    return rows, [f"{shift}-{i}" for i in range(n) for _ in range(each)]


def test_same_population_is_not_told_apart_although_people_repeat() -> None:
    aucs = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        (a, who_a), (b, who_b) = _people(rng, 40, 3), _people(rng, 40, 3)
        outcome = two_sample_auc(a, who_a, b, [f"b{w}" for w in who_b], boosting_judge, resamples=50)
        assert outcome.low <= outcome.auc <= outcome.high
        assert (outcome.n_first, outcome.people_first) == (120, 40)
        aucs.append(outcome.auc)
    assert 0.35 < np.mean(aucs) < 0.65


def test_a_judge_that_says_nothing_scores_one_half() -> None:
    rng = np.random.default_rng(0)
    (a, who_a), (b, who_b) = _people(rng, 8, 3), _people(rng, 8, 3, shift=1.0)
    outcome = two_sample_auc(a, who_a, b, who_b, lambda train, y, test, seed: np.zeros(len(test)), folds=4)
    assert outcome.auc == outcome.low == outcome.high == 0.5


def test_shifted_population_is_told_apart_and_the_give_away_named() -> None:
    rng = np.random.default_rng(1)
    (a, who_a), (b, who_b) = _people(rng, 40, 3), _people(rng, 40, 3, shift=4.0)
    outcome = two_sample_auc(a, who_a, b, who_b, boosting_judge, resamples=100)
    assert outcome.auc > 0.9 and outcome.low > 0.8
    assert next(iter(feature_gaps(a, b, list("abcdef")))) == "a"


def test_interval_is_wider_with_fewer_people() -> None:
    rng = np.random.default_rng(2)
    widths = []
    for n in (8, 80):
        (a, who_a), (b, who_b) = _people(rng, n, 4), _people(rng, n, 4, shift=0.8)
        outcome = two_sample_auc(a, who_a, b, who_b, lambda train, y, test, seed: test[:, 0], resamples=200)
        widths.append(outcome.high - outcome.low)
    assert widths[0] > 1.5 * widths[1]


def test_no_person_is_on_both_sides_of_a_fold() -> None:
    rng = np.random.default_rng(3)
    a, who_a = _people(rng, 10, 4)
    b, who_b = _people(rng, 10, 4, shift=1.0)
    a[:, 5], b[:, 5] = np.repeat(np.arange(10), 4), 100 + np.repeat(np.arange(10), 4)

    def judge(train: np.ndarray, labels: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        assert not set(train[:, 5]) & set(test[:, 5])
        assert len(set(labels)) == 2
        return test[:, 0]

    two_sample_auc(a, who_a, b, who_b, judge, resamples=0)


def test_too_few_people_is_an_error() -> None:
    rows = np.zeros((4, 2))
    with pytest.raises(ValueError, match="2 people on one side"):
        two_sample_auc(rows, list("aabb"), rows, list("cdef"), boosting_judge, folds=3)


def test_cnn_sees_a_waveform_difference_and_repeats_itself() -> None:
    rng = np.random.default_rng(4)
    t = np.arange(250) / 250
    phase = rng.uniform(0, 6, (40, 1))
    a = np.sin(2 * np.pi * 5 * t + phase) + 0.1 * rng.standard_normal((40, 250))
    b = np.sign(np.sin(2 * np.pi * 5 * t + phase)) + 0.1 * rng.standard_normal((40, 250))
    rows, labels = np.concatenate([a, b]), np.r_[np.zeros(40, int), np.ones(40, int)]
    chosen = rng.permutation(80)
    train, test = chosen[:60], chosen[60:]
    scores = cnn_judge(rows[train], labels[train], rows[test], 0)
    assert scores[labels[test] == 1].mean() > scores[labels[test] == 0].mean() + 1
    assert np.array_equal(scores, cnn_judge(rows[train], labels[train], rows[test], 0))


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=BENCHMARKS.parent)


def test_speed_measures_or_says_not_installed(tmp_path: Path) -> None:
    done = _run("speed.py", "--records", "4", "--only", "physiokit-1", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert ("cpu_s" in row and row["cpu_s"] > 0) == (row["status"] == "ok")
    assert row["status"] in ("ok", "not installed")
    assert row["title"] in (tmp_path / "speed.md").read_text(encoding="utf-8")
    assert (tmp_path / "speed.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("speed.py", ("--only", "abacus"), "unknown contender abacus"),
        ("speed.py", ("--records", "0"), "allowed is 1 or more"),
        ("realism.py", ("--data", ".", "--judge", "horoscope"), "horoscope"),
        ("realism.py", ("--data", ".", "--synthetic", "folder"), "NAME=FOLDER"),
    ],
)
def test_wrong_options_are_refused(
    script: str, arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = _run(script, *arguments, "--out", str(tmp_path))
    assert done.returncode == 2 and said in done.stderr


def test_both_sides_go_through_the_same_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from realism import same_chain

    t = np.arange(2500) / 250.0
    signal = np.sin(2 * np.pi * 5 * t) + np.sin(2 * np.pi * 80 * t) + 3.0
    low, high = same_chain(np.stack([signal, signal]), np.array([50.0, 100.0]))
    assert np.std(low) == pytest.approx(np.sqrt(0.5), abs=0.02)
    assert np.std(high) == pytest.approx(1.0, abs=0.02)
    assert abs(np.median(low)) < 1e-3 and np.allclose(low * 1000, np.round(low * 1000))


def test_the_strip_that_is_told_is_the_one_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from realism import Strips
    from realism_sets import ks_beside_real, surest

    import ecgsynth

    drawn = ecgsynth.load_generator("parametric").sample(rhythm="nsr", n=40, seed=3, seconds=5)
    signals = np.stack([record.signal[0] for record in drawn]).astype(np.float64)
    people = tuple(f"p{i}" for i in range(20))
    sides = [Strips(x, people, ("mitdb",) * 20, ("II",) * 20) for x in (signals[:20], 3.0 * signals[20:])]
    fake = surest("nsr", *sides, seed=0)
    assert fake.auc > 0.8 and any((fake.strip == strip).all() for strip in sides[1].signals)
    values = np.random.default_rng(0).normal(size=(2, 20))
    far, near = (
        ks_beside_real(values[0], people, values[1] + 5.0),
        ks_beside_real(values[0], people, values[1]),
    )
    assert far[0] == 1.0 and near[0] < 0.8 and far[1] == near[1]
