"""Beat alignment: jittered marks come back, true ones stay, and nothing is reordered."""

from __future__ import annotations

import numpy as np
import pytest

from ecgsynth.alignment import align_beats

FS = 250.0


def strip(times: np.ndarray, seconds: float = 12.0) -> np.ndarray:
    t = np.arange(int(seconds * FS)) / FS
    signal = np.zeros_like(t)
    for beat in times:
        signal += np.exp(-0.5 * ((t - beat) / 0.012) ** 2) - 0.3 * np.exp(
            -0.5 * ((t - beat - 0.03) / 0.01) ** 2
        )
        signal += 0.25 * np.exp(-0.5 * ((t - beat - 0.25) / 0.05) ** 2)
    return signal


def test_jittered_marks_come_back_to_a_fraction_of_a_sample() -> None:
    rng = np.random.default_rng(0)
    true = np.arange(1.0, 11.0, 0.83) + rng.uniform(0, 0.01, 13)[: len(np.arange(1.0, 11.0, 0.83))]
    noisy = true + rng.uniform(-0.016, 0.016, len(true))
    noise = 0.01 * rng.standard_normal(int(12 * FS))
    found = align_beats(strip(true) + noise, noisy, np.zeros(len(true), np.int64), FS)
    error = (found - true) - np.median(found - true)
    before = (noisy - true) - np.median(noisy - true)
    assert np.abs(error).max() < 0.0025 < np.abs(before).max()


def test_marks_keep_their_place_on_the_qrs() -> None:
    true = np.arange(1.0, 11.0, 0.8)
    late = true + 0.02
    found = align_beats(strip(true), late, np.zeros(len(true), np.int64), FS)
    assert np.median(found - true) == pytest.approx(0.02, abs=0.003)


def test_classes_of_fewer_than_three_beats_and_edges_stay() -> None:
    times = np.array([0.05, 2.0, 4.0, 6.0, 8.0, 9.0])
    classes = np.array([0, 0, 0, 0, 1, 1])
    found = align_beats(strip(times), times + 0.004, classes, FS)
    assert np.array_equal(found[[0, 4, 5]], (times + 0.004)[[0, 4, 5]])


def test_order_is_kept_on_noise() -> None:
    rng = np.random.default_rng(3)
    times = np.sort(rng.uniform(1, 10, 60))
    found = align_beats(rng.standard_normal(2750), times, np.zeros(60, np.int64), FS)
    assert np.all(np.diff(found) > 0)


def test_no_beats_is_fine() -> None:
    assert len(align_beats(np.zeros(1000), np.zeros(0), np.zeros(0, np.int64), FS)) == 0
