"""The delineator finds the waves that are there, where they are, and says when one is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgsynth.errors import OptionError
from ecgsynth.fidelity.delineation import POINTS, delineate, delineate_many, fitted, intervals_ms

ROOT = Path(__file__).resolve().parent.parent
#: Centre, standard deviation and height of the waves of a made beat, in s and mV, from R.
P, Q, R, S, T = (
    (-0.16, 0.020, 0.12),
    (-0.03, 0.008, -0.1),
    (0.0, 0.010, 1.0),
    (0.03, 0.009, -0.2),
    (0.28, 0.040, 0.3),
)


def made(
    fs: float = 250.0, seconds: float = 10.0, waves: tuple[tuple[float, float, float], ...] = (P, Q, R, S, T),
    rr: np.ndarray | None = None, noise: float = 0.01, seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A lead [samples] of Gaussian waves in mV and the R peaks in s."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * fs)) / fs
    beats = 0.6 + np.concatenate([[0.0], np.cumsum(np.full(40, 0.85) if rr is None else rr)])
    beats = beats[beats < seconds - 0.7]
    signal = noise * rng.standard_normal(len(t))
    for beat in beats:
        for centre, width, height in waves:
            signal += height * np.exp(-0.5 * ((t - beat - centre) / width) ** 2)
    return signal, beats


def fibrillating(seed: int, seconds: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Irregular beats without P waves on a wandering 6 Hz oscillation."""
    rng = np.random.default_rng(seed)
    rr = np.clip(rng.lognormal(np.log(0.7), 0.25, 60), 0.4, 1.4)
    signal, beats = made(seconds=seconds, waves=(Q, R, S, T), rr=rr, seed=seed)
    phase = np.cumsum(2 * np.pi * (6 + 0.8 * np.cumsum(rng.standard_normal(len(signal))) / 40) / 250)
    return signal + 0.07 * np.sin(phase), beats


@pytest.mark.parametrize("fs", [100.0, 250.0, 360.0, 500.0, 1000.0])
def test_peaks_are_found_at_any_rate(fs: float) -> None:
    signal, beats = made(fs)
    found = delineate(signal, fs)
    assert found.points.shape == (1, len(beats), len(POINTS)) and found.fs == fs
    np.testing.assert_allclose(found.r_peaks / fs, beats, atol=0.012)
    for column, wave in ((1, P), (4, R), (7, T)):
        np.testing.assert_allclose(found.points[0, :, column] / fs, beats + wave[0], atol=0.016)


def test_edges_lie_one_and_a_half_to_three_and_a_half_widths_from_the_peak() -> None:
    signal, beats = made(noise=0.003)
    points = delineate(signal, 250.0).points[0] / 250.0 - beats[:, None]
    for on, off, (centre, width, _) in ((0, 2, P), (6, 8, T)):
        for edge in (centre - points[:, on], points[:, off] - centre):
            assert np.all((edge > 1.5 * width) & (edge < 3.5 * width))
    assert np.all((points[:, 3] < -0.035) & (points[:, 3] > -0.075))
    assert np.all((points[:, 5] > 0.035) & (points[:, 5] < 0.085))


@pytest.mark.parametrize("rr", [0.85, 0.5, 0.38])
def test_points_come_in_order_and_within_the_recording(rr: float) -> None:
    signal, _ = made(noise=0.03, rr=np.full(40, rr))
    leads = np.stack([signal, -0.5 * signal, np.roll(signal, 3)])
    found = delineate(leads, 250.0)
    for points in (*found.points, found.combined):
        whole = points[np.isfinite(points).all(1)]
        assert np.all(np.diff(whole, axis=1) >= 0)
        for waves in np.split(points, 3, axis=1):
            assert np.isfinite(waves).all(1).tolist() == np.isfinite(waves).any(1).tolist()
        known = points[np.isfinite(points)]
        assert known.min() >= 0 and known.max() <= len(signal) - 1


@pytest.mark.parametrize("seed", range(4))
def test_sinus_has_p_waves_and_fibrillation_has_none(seed: int) -> None:
    with_p = delineate(made(noise=0.02, seed=seed, seconds=20.0)[0], 250.0)
    without = delineate(fibrillating(seed)[0], 250.0)
    assert np.isfinite(with_p.points[0, :, 1]).all() and np.isfinite(with_p.median[0, :3]).all()
    assert np.isnan(without.points[0, :, :3]).all() and np.isnan(without.median[0, :3]).all()
    assert with_p.p_log_odds[0] > 2 and without.p_log_odds[0] < 0
    assert np.isfinite(without.points[0, :, 3:]).mean() > 0.95


def test_a_single_missing_p_wave_is_said_to_be_missing() -> None:
    signal, beats = made(noise=0.005)
    t = np.arange(len(signal)) / 250.0
    signal -= P[2] * np.exp(-0.5 * ((t - beats[5] - P[0]) / P[1]) ** 2)
    found = np.isfinite(delineate(signal, 250.0).points[0, :, 1])
    assert not found[5] and found.sum() == len(beats) - 1


def test_a_ventricular_beat_is_of_another_kind_without_p_and_wide() -> None:
    signal, beats = made(noise=0.005)
    t = np.arange(len(signal)) / 250.0
    for centre, width, height in (P, Q, R, S, T):
        signal -= height * np.exp(-0.5 * ((t - beats[6] - centre) / width) ** 2)
    for centre, width, height in ((0.0, 0.030, 1.1), (0.08, 0.030, -0.5), (0.32, 0.05, -0.4)):
        signal += height * np.exp(-0.5 * ((t - beats[6] - centre) / width) ** 2)
    found = delineate(signal, 250.0)
    assert found.kinds.tolist() == [1 if i == 6 else 0 for i in range(len(beats))]
    assert np.isnan(found.points[0, 6, 0])
    width = intervals_ms(found.points[0], 250.0)["qrs_ms"]
    assert width[6] > 130 > 1.1 * np.median(width)


def test_inverted_signal_has_the_same_waves() -> None:
    signal, beats = made()
    peaks = np.rint(beats * 250).astype(np.int64)
    upright, inverted = delineate(signal, 250.0, peaks), delineate(-signal, 250.0, peaks)
    np.testing.assert_allclose(upright.points, inverted.points, atol=1e-6)


def test_gain_and_offset_do_not_matter() -> None:
    signal, _ = made()
    one, other = delineate(signal, 250.0), delineate(3.0 * signal + 5.0, 250.0)
    np.testing.assert_allclose(one.points, other.points, atol=1e-6)


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    signals = [
        made(seed=1)[0],
        made(seed=2, seconds=8.0)[0],
        np.zeros(2500),
        fibrillating(3)[0],
        made(seed=4)[0],
    ]
    for single, many in zip(
        (delineate(s, 250.0) for s in signals), delineate_many(signals, 250.0), strict=True
    ):
        np.testing.assert_array_equal(single.r_peaks, many.r_peaks)
        np.testing.assert_allclose(single.points, many.points, atol=1e-9)
        np.testing.assert_allclose(single.median, many.median, atol=1e-9)


def test_leads_are_held_together_and_combined() -> None:
    signal, beats = made(noise=0.005)
    rng = np.random.default_rng(0)
    gains = np.array([1.0, 0.8, 0.6, -0.5, 1.2, 0.9, 0.4, -1.0])
    leads = gains[:, None] * signal + 0.005 * rng.standard_normal((8, len(signal)))
    found = delineate(leads, 250.0)
    assert found.points.shape == (8, len(beats), 9) and found.combined.shape == (len(beats), 9)
    assert found.median.shape == (8, 9) and found.p_log_odds.shape == (8,)
    assert np.isfinite(found.combined).all()
    spread = found.points.max(0) - found.points.min(0)
    assert spread[:, [0, 3, 5, 8]].max() < 0.15 * 250
    assert np.all(found.combined >= found.points.min(0) - 1e-9)
    assert np.all(found.combined <= found.points.max(0) + 1e-9)
    np.testing.assert_allclose(found.combined[:, 1] / 250.0, beats + P[0], atol=0.016)


def test_a_gap_hides_only_what_touches_it() -> None:
    signal, beats = made()
    signal[round((beats[4] + 0.15) * 250) : round((beats[4] + 0.45) * 250)] = np.nan
    found = delineate(signal, 250.0)
    assert len(found.r_peaks) == len(beats)
    assert np.isnan(found.points[0, 4, 6:]).all()
    assert np.isfinite(np.delete(found.points[0], 4, axis=0)[:, 3:]).all()
    assert np.isfinite(found.points[0, 4, 3:6]).all()


@pytest.mark.parametrize(
    "signal", [np.zeros(2500), np.full((3, 2500), np.nan), np.zeros(100), np.zeros((2, 0))]
)
def test_nothing_to_find_is_no_beats(signal: np.ndarray) -> None:
    found = delineate(signal, 250.0)
    leads = len(np.atleast_2d(signal))
    assert found.r_peaks.size == 0 and found.points.shape == (leads, 0, 9) and np.isnan(found.median).all()
    assert found.combined.shape == (0, 9) and np.isneginf(found.p_log_odds).all()


@pytest.mark.parametrize(
    ("signal", "fs", "peaks", "said"),
    [
        (np.zeros(500), 50.0, None, "fs is 50"),
        (np.zeros(500), float("nan"), None, "fs is nan"),
        (np.zeros((13, 500)), 250.0, None, "1 to 12 leads"),
        (np.zeros((2, 3, 500)), 250.0, None, "shape"),
        (np.zeros(500), 250.0, np.array([30, 20]), "increasing"),
        (np.zeros(500), 250.0, np.array([20, 500]), "0 to 499"),
    ],
)
def test_what_cannot_be_done_is_refused(
    signal: np.ndarray, fs: float, peaks: np.ndarray | None, said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        delineate(signal, fs, peaks)


def test_as_many_peaks_as_signals() -> None:
    with pytest.raises(OptionError, match="1 sets of R peaks for 2"):
        delineate_many([np.zeros(500), np.zeros(500)], 250.0, [np.array([100])])


def test_input_is_left_alone_and_output_repeats_itself() -> None:
    signal, _ = made()
    before = signal.copy()
    first, second = delineate(signal, 250.0), delineate(signal, 250.0)
    np.testing.assert_array_equal(signal, before)
    np.testing.assert_array_equal(first.points, second.points)


def test_intervals_are_the_differences_they_claim() -> None:
    points = np.array(
        [[0.0, 10, 20, 40, 50, 60, 80, 100, 120], [np.nan, np.nan, np.nan, 40, 50, 60, 80, 100, 120]]
    )
    intervals = intervals_ms(points, 500.0)
    assert {name: values[0] for name, values in intervals.items()} == {
        "p_ms": 40, "pr_ms": 80, "qrs_ms": 40, "qt_ms": 160,
    }  # fmt: skip
    assert np.isnan(intervals["pr_ms"][1]) and intervals["qt_ms"][1] == 160


def test_fitted_numbers_are_there_and_sane() -> None:
    weights, odds = fitted()
    assert sorted(weights) == ["p_off", "p_on", "qrs_off", "qrs_on", "t_off", "t_on"]
    assert {len(w) for name, w in weights.items() if "qrs" in name} == {5}
    assert {len(w) for name, w in weights.items() if "qrs" not in name} == {8}
    assert len(odds) == 3 and odds[1] > 0


def test_the_benchmark_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    line = [sys.executable, str(ROOT / "benchmarks" / "delineation.py"), "--data", str(tmp_path)]
    done = subprocess.run([*line, "--only", "abacus"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "unknown method abacus" in done.stderr


@pytest.mark.realdata
@pytest.mark.slow
def test_published_accuracy_on_people_it_was_not_tuned_on(data_root: Path, tmp_path: Path) -> None:
    line = [sys.executable, str(ROOT / "benchmarks" / "delineation.py"), "--data", str(data_root)]
    line += ["--only", "ecgsynth", "--people", "12", "--out", str(tmp_path)]
    subprocess.run(line, check=True, capture_output=True)
    protocols = json.loads((tmp_path / "delineation.json").read_text(encoding="utf-8"))["protocols"]
    for protocol in ("LUDB, 12 leads", "QTDB, better lead"):
        numbers = protocols[protocol]["ecgsynth"]
        assert numbers["qrs"]["se"][0] > 99 and numbers["p"]["se"][0] > 95 and numbers["t"]["se"][0] > 95
        assert (
            numbers["qrs"]["edges"]["on"]["sd_within"] < 14 and numbers["t"]["edges"]["off"]["sd_within"] < 26
        )
