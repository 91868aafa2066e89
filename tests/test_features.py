"""Features mean what their names say, on signals whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from ecgsynth.fidelity.beatshape import aligned_beats, beat_shape, p_wave, qrs_edges, remove_baseline
from ecgsynth.fidelity.features import FEATURES, feature_table, record_features

FS = 250.0


def strip(
    p: float = 0.15, width: float = 0.011, fs: float = FS, seed: int = 0, noise: float = 0.01
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(round(10 * fs)) / fs
    signal = noise * rng.standard_normal(len(t))
    for beat in np.arange(0.4, 9.8, 0.8):
        for centre, height, w in ((-0.16, p, 0.022), (0.0, 1.0, width), (0.28, 0.3, 0.05)):
            signal += height * np.exp(-0.5 * ((t - beat - centre) / w) ** 2)
    return signal


def test_every_feature_is_there_and_known_ones_are_right() -> None:
    values = record_features(strip(), FS)
    assert tuple(values) == FEATURES and 40 <= len(FEATURES) <= 70
    assert all(np.isfinite(v) for v in values.values())
    assert values["rate"] == pytest.approx(75, abs=0.5)
    assert values["nrmssd"] < 0.02
    assert values["p_at_ms"] == pytest.approx(-160, abs=8)
    assert values["t_at_ms"] == pytest.approx(280, abs=12)
    assert values["t_height"] == pytest.approx(0.3, abs=0.05)
    assert values["r_height"] == pytest.approx(1.0, abs=0.1)
    assert values["likeness"] > 0.98 and values["qrs_cv"] < 0.1


def test_p_wave_score_needs_a_p_wave() -> None:
    with_p, without = record_features(strip(0.15), FS), record_features(strip(0.0, noise=0.02), FS)
    assert with_p["p_score"] > 4 > without["p_score"]
    assert with_p["p_share"] > 0.6 > 0.3 > without["p_share"]


def test_wide_qrs_is_wider() -> None:
    assert record_features(strip(width=0.03), FS)["qrs_ms"] > 1.6 * record_features(strip(), FS)["qrs_ms"]


def test_shape_does_not_depend_on_gain_or_wander() -> None:
    base = record_features(strip(), FS)
    t = np.arange(2500) / FS
    drifting = record_features(strip() + 0.5 * np.sin(2 * np.pi * 0.2 * t), FS)
    louder = record_features(2 * strip(), FS)
    for name in ("rate", "p_at_ms", "qrs_ms"):
        assert drifting[name] == pytest.approx(base[name], abs=12)
        assert louder[name] == pytest.approx(base[name], abs=12)
    assert drifting["wander_rms"] > 5 * base["wander_rms"]
    assert louder["qrs_span"] == pytest.approx(2 * base["qrs_span"], rel=0.05)


def test_times_do_not_depend_on_the_sampling_rate() -> None:
    slow, fast = record_features(strip(), 250.0), record_features(strip(fs=500.0), 500.0)
    assert fast["rate"] == pytest.approx(slow["rate"], abs=1)
    assert fast["p_at_ms"] == pytest.approx(slow["p_at_ms"], abs=12)
    assert fast["qrs_ms"] == pytest.approx(slow["qrs_ms"], abs=16)


def test_spectrum_finds_added_noise_where_it_is() -> None:
    t = np.arange(2500) / FS
    clean = record_features(strip(), FS)
    hum = record_features(strip() + 0.1 * np.sin(2 * np.pi * 61.3 * t), FS)
    waves = record_features(strip() + 0.1 * np.sin(2 * np.pi * 6.3 * t), FS)
    assert hum["band_50_125"] > clean["band_50_125"] + 1
    assert hum["residual_tp_high"] > clean["residual_tp_high"]
    assert waves["fwave_power"] > clean["fwave_power"] + 1


@pytest.mark.parametrize("signal", [np.zeros(2500), np.full(2500, 0.3), np.linspace(-1, 1, 2500)])
def test_signals_without_beats_give_nan_not_errors(signal: np.ndarray) -> None:
    values = record_features(signal, FS)
    assert np.isnan(values["qrs_ms"]) and np.isnan(values["rate"])
    assert np.isfinite(values["spectral_entropy"])


def test_short_strip_and_given_peaks() -> None:
    values = record_features(strip()[:500], FS, np.array([100, 300]))
    assert np.isnan(values["p_score"]) and np.isfinite(values["span"])


def test_table_has_a_row_per_record() -> None:
    table = feature_table([strip(seed=1), strip(seed=2)], FS)
    assert table.shape == (2, len(FEATURES))
    assert not np.array_equal(table[0], table[1])


def test_baseline_goes_and_beats_stay() -> None:
    t = np.arange(2500) / FS
    signal = strip(noise=0.0)
    left = remove_baseline(signal + 1.5 + 0.4 * t, FS)
    assert abs(np.median(left)) < 0.1 and np.ptp(left) == pytest.approx(np.ptp(signal), rel=0.1)


def test_alignment_undoes_jitter_of_the_marks() -> None:
    clean = remove_baseline(strip(), FS)
    peaks = np.rint(np.arange(0.4, 9.8, 0.8) * FS).astype(np.int64)
    jittered = peaks + np.random.default_rng(0).integers(-4, 5, len(peaks))
    beats, centre = aligned_beats(clean, FS, jittered)
    assert np.ptp(np.abs(beats[:, centre - 12 : centre + 12]).argmax(axis=1)) <= 2
    assert aligned_beats(clean, FS, peaks[:0])[0].shape[0] == 0
    assert beat_shape(clean, FS, peaks[:3]) is None


def test_p_window_too_short_at_extreme_rates() -> None:
    clean = remove_baseline(strip(), FS)
    shape = beat_shape(clean, FS, np.arange(200, 2200, 55))
    assert shape is not None and shape.rr == pytest.approx(0.22)
    assert np.isnan(p_wave(shape)[0])
    onset, offset = qrs_edges(shape)
    assert onset < offset
