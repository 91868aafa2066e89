"""What all beats of a strip show together: P in noise, drifts, speed of the QRS, changes against chance."""

from __future__ import annotations

import numpy as np
import pytest

from ecgsynth.fidelity.atrial import p_fit_numbers, p_slope_numbers, scatter_numbers
from ecgsynth.fidelity.bandwidth import bandwidth_numbers
from ecgsynth.fidelity.beatshape import BeatShape, beat_shape, remove_baseline
from ecgsynth.fidelity.steadiness import FEWEST, noise_steadiness, steadiness_numbers

FS = 250.0
PEAKS = np.rint((0.5 + 0.9 * np.arange(11)) * FS).astype(np.int64)


def strip(
    p: float = 0.1, drift: float = 0.0, width: float = 0.011, noise: float = 0.02, seed: int = 0
) -> np.ndarray:
    """Eleven beats; P 160 ms before R, moved by ``drift`` seconds in all."""
    time = np.arange(2600) / FS
    signal = noise * np.random.default_rng(seed).standard_normal(len(time))
    for k, at in enumerate(PEAKS / FS):
        early = -0.17 + drift * (k / (len(PEAKS) - 1) - 0.5)
        waves = ((early, p, 0.022), (0.0, 1.0, width), (0.3, 0.2, 0.05))
        for centre, height, wide in waves:
            signal += height * np.exp(-0.5 * ((time - at - centre) / wide) ** 2)
    return signal


def shape_of(signal: np.ndarray, peaks: np.ndarray = PEAKS) -> BeatShape:
    shape = beat_shape(remove_baseline(signal, FS), FS, peaks)
    assert shape is not None
    return shape


def test_a_small_p_wave_stands_out_of_all_beats_and_its_absence_shows() -> None:
    found = p_fit_numbers(shape_of(strip(p=0.06, noise=0.04)))
    assert found["fit_z"] > 4 and found["fit_ms"] == pytest.approx(170, abs=16)
    assert found["fit_mv"] == pytest.approx(0.06, abs=0.03) and found["fit_over"] > 1
    none = [abs(p_fit_numbers(shape_of(strip(p=0.0, seed=k)))["fit_z"]) for k in range(8)]
    assert np.median(none) < 4
    assert p_fit_numbers(shape_of(strip(p=-0.1)))["fit_z"] < -4


def test_a_drifting_p_wave_agrees_where_it_is_let_drift() -> None:
    still, moving = (p_slope_numbers(shape_of(strip(drift=d))) for d in (0.0, 0.08))
    assert still["slope_ms"] <= 20 and still["slope_gain"] < 0.05
    assert moving["slope_ms"] == pytest.approx(80, abs=20) and moving["slope_gain"] > 0.2


def test_scatter_tells_many_small_changes_from_few_large_ones() -> None:
    rng = np.random.default_rng(0)
    regular = np.cumsum(200 + rng.integers(-2, 3, 24))
    ectopic = regular.copy()
    ectopic[6] -= 60
    irregular = np.cumsum(200 * rng.uniform(0.6, 1.4, 24)).astype(np.int64)
    one, two, three = (scatter_numbers(peaks) for peaks in (regular, ectopic, irregular))
    assert two["rr_25"] < 0.05 and two["rr_75"] < 0.1 < three["rr_75"]
    assert one["rr_mad"] < 0.02 < three["rr_mad"]
    assert scatter_numbers(regular[:4]) == {}


def test_a_qrs_twice_as_wide_is_half_as_fast() -> None:
    one, two = (bandwidth_numbers(shape_of(strip(width=w, noise=0.001))) for w in (0.011, 0.022))
    for name in ("fast_50_ms", "fast_80_ms", "crest_ms"):
        assert two[name] == pytest.approx(2 * one[name], rel=0.12), name
    assert two["qrs_hz_50"] == pytest.approx(one["qrs_hz_50"] / 2, rel=0.12)
    assert two["rise"] == pytest.approx(one["rise"] - np.log10(2), abs=0.05)


def test_a_change_of_beats_stands_out_of_other_orders() -> None:
    one, other = strip(seed=1), strip(seed=2, width=0.016, p=0.2)
    whole = [steadiness_numbers(shape_of(strip(seed=k))) for k in range(6)]
    at = int(PEAKS[5] - 0.35 * FS)
    spliced = steadiness_numbers(shape_of(np.r_[one[:at], other[at:]]))
    for name in ("steady_qrs", "steady_all", "steady_form"):
        assert spliced[name] > 2 and np.median([numbers[name] for numbers in whole]) < 1.6, name
    assert spliced["jump_qrs"] > 0.5
    assert spliced == steadiness_numbers(shape_of(np.r_[one[:at], other[at:]]))
    assert steadiness_numbers(shape_of(one, PEAKS[: FEWEST - 1])) == {}


def test_a_change_of_noise_stands_out() -> None:
    rng = np.random.default_rng(0)
    quiet = rng.standard_normal(2500)
    louder = np.where(np.arange(2500) < 1200, 1.0, 3.0) * quiet
    same, changed = noise_steadiness(0.01 * quiet, FS), noise_steadiness(0.01 * louder, FS)
    assert changed["steady_floor"] > 2 > same["steady_floor"]
    assert changed["jump_bands"] > same["jump_bands"]
    assert noise_steadiness(quiet[:700], FS) == {}
