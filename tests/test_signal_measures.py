"""Signal quality, morphology, changes and leads: numbers mean what they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ecgsynth.fidelity.beatshape import beat_shape, remove_baseline
from ecgsynth.fidelity.change import change_point, split_numbers
from ecgsynth.fidelity.leads import PAIRS, lead_numbers, rows_of_eight
from ecgsynth.fidelity.measures import FS, at_common_rate, measure
from ecgsynth.fidelity.morphology import morphology_numbers
from ecgsynth.fidelity.quality import (
    mirror_numbers,
    quality_numbers,
    repetition,
    second_detector,
    spectral_numbers,
)
from ecgsynth.fidelity.waves import median_waves, wave_numbers
from ecgsynth.records import INDEPENDENT_LEADS, Episode, Record


def lead(seed: int = 0, t_at: float = 0.28, r: float = 1.1, noise: float = 0.01, seconds: float = 10.0):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    n = round(seconds * FS)
    time = np.arange(n) / FS
    at = np.cumsum(0.8 + 0.02 * rng.standard_normal(int(seconds / 0.8) + 2))
    at = at[at < seconds - 0.5]
    signal = noise * rng.standard_normal(n)
    for centre, height, width in (
        (-0.16, 0.15, 0.02),
        (0, r, 0.011),
        (0.03, -0.25, 0.011),
        (t_at, 0.3, 0.05),
    ):
        for beat in at:
            signal += height * np.exp(-0.5 * ((time - beat - centre) / width) ** 2)
    return signal, np.rint(at * FS).astype(np.int64)


def test_quality_falls_with_noise_and_detectors_agree_on_clean_beats() -> None:
    clean, peaks = lead()
    rng = np.random.default_rng(1)
    noisy = clean + 0.6 * rng.standard_normal(len(clean))
    good, bad = (
        quality_numbers(x, remove_baseline(x, FS), peaks, second_detector(remove_baseline(x, FS), FS), FS)
        for x in (clean, noisy)
    )
    assert good["bsqi"] == 1.0 and good["bsqi"] > bad["bsqi"]
    assert good["fine_uv"] + 1 < bad["fine_uv"]
    found = second_detector(clean, FS)
    assert len(found) == len(peaks) and np.abs(found - peaks).max() <= 0.05 * FS
    wander = clean + 0.5 * np.sin(2 * np.pi * 0.2 * np.arange(len(clean)) / FS)
    assert spectral_numbers(wander, remove_baseline(wander, FS), FS)["bassqi"] < good["bassqi"] - 0.3


def test_bands_are_shares_of_the_power() -> None:
    tone = np.sin(2 * np.pi * 10 * np.arange(2500) / FS)
    numbers = spectral_numbers(tone, tone, FS)
    assert numbers["band_8"] == pytest.approx(0.0, abs=0.01) and numbers["band_20"] < -3
    assert numbers["psqi"] == pytest.approx(1.0, abs=0.01)


def test_mirrors() -> None:
    signal, _ = lead()
    forward, back, over = (
        mirror_numbers(signal, FS),
        mirror_numbers(signal[::-1], FS),
        mirror_numbers(-signal, FS),
    )
    for name in forward:
        assert back[name] == pytest.approx(-forward[name], rel=1e-6, abs=1e-9)
        sign = -1 if name.startswith("turn") else 1
        assert over[name] == pytest.approx(sign * forward[name], rel=1e-6, abs=1e-9)


def test_repetition_needs_copies_not_likeness() -> None:
    signal, _ = lead(noise=0.01)
    assert repetition(signal, FS) < 2.5
    assert repetition(np.tile(signal[300:500], 12), FS) > 5
    assert repetition(signal[:60], FS) == 0.0


def test_waves_are_where_they_were_drawn() -> None:
    signal, peaks = lead()
    clean = remove_baseline(signal, FS)
    shape, upside = beat_shape(clean, FS, peaks), beat_shape(-clean, FS, peaks)
    assert shape is not None and upside is not None
    found = median_waves([clean[None], -clean[None], clean[None]], [peaks, peaks, peaks[:2]], FS)
    assert found[0] is not None and found[1] is not None and found[2] is None
    numbers, over = wave_numbers(found[0], shape), wave_numbers(found[1], upside)
    assert numbers["p_odds"] > 2 and numbers["p_mv"] == pytest.approx(0.15, abs=0.04)
    assert numbers["pr_ms"] == pytest.approx(175, abs=30) and 60 <= numbers["p_ms"] <= 140
    assert 50 <= numbers["qrs_ms"] <= 110 and numbers["t_mv"] == pytest.approx(0.3, abs=0.06)
    assert numbers["t_share"] == pytest.approx(0.3 / 1.3, abs=0.06) and abs(numbers["st_mv"]) < 0.06
    assert 330 < numbers["qt_ms"] < 460 and numbers["qtc_ms"] > numbers["qt_ms"]
    assert over["t_mv"] == pytest.approx(-numbers["t_mv"], abs=0.03) and over["t_share"] < 0
    assert over["qt_ms"] == pytest.approx(numbers["qt_ms"], abs=12)


def test_a_beat_without_p_wave_has_none() -> None:
    signal, peaks = lead()
    time = np.arange(len(signal)) / FS
    for beat in peaks / FS:
        signal = signal - 0.15 * np.exp(-0.5 * ((time - beat + 0.16) / 0.02) ** 2)
    clean = remove_baseline(signal, FS)
    shape = beat_shape(clean, FS, peaks)
    (found,) = median_waves([clean[None]], [peaks], FS)
    assert shape is not None and found is not None
    numbers = wave_numbers(found, shape)
    assert numbers["p_odds"] < 0 and "p_mv" not in numbers and "pr_ms" not in numbers


def test_the_outline_follows_the_beat() -> None:
    signal, peaks = lead()
    clean = remove_baseline(signal, FS)
    shape, upside = beat_shape(clean, FS, peaks), beat_shape(-clean, FS, peaks)
    assert shape is not None and upside is not None
    numbers = morphology_numbers(clean, peaks, shape)
    assert numbers["at_-5"] > 0.6 and abs(numbers["at_-80"]) < 0.1
    assert 10 ** numbers["qrs_mv"] == pytest.approx(1.3, abs=0.1)
    assert numbers["pp_ms"] == pytest.approx(125, abs=30)
    assert numbers["p_high"] == pytest.approx(0.15, abs=0.04)
    assert morphology_numbers(-clean, peaks, upside)["r_share"] < 0.4 < numbers["r_share"]


def test_a_change_is_found_where_it_is() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((14, 5))
    rows[9:] += 4.0
    f, at = change_point(rows)
    assert at == 9 and f > 1.0
    assert change_point(rows[:9])[0] < f - 0.5
    assert change_point(rows[:3]) == (0.0, 1)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda x: lead(5, t_at=0.2, r=0.6)[0], "split_beats"),
        (lambda x: x + 0.03 * np.random.default_rng(9).standard_normal(len(x)), "split_noise"),
    ],
)
def test_the_second_half_of_somebody_else_shows(
    change: Callable[[np.ndarray], np.ndarray], name: str
) -> None:
    from ecgsynth.rpeaks import detect_r_peaks

    one, _ = lead()
    two = np.concatenate([one[:1250], change(one)[1250:]])
    found = []
    for signal in (one, two):
        clean, peaks = remove_baseline(signal, FS), np.asarray(detect_r_peaks(signal, FS))
        found.append(split_numbers(clean[None], beat_shape(clean, FS, peaks), peaks, FS)[name])
    assert found[1] > found[0] + 0.3


def test_leads_tell_who_they_are() -> None:
    signal, peaks = lead()
    gains = np.array([0.7, 1.0, -0.6, -0.3, 0.4, 0.9, 1.1, 0.8])
    eight = gains[:, None] * signal
    numbers = lead_numbers(eight, peaks, FS)
    assert numbers["like_I_V6"] == pytest.approx(1.0, abs=1e-6)
    assert numbers["like_I_V1"] == pytest.approx(-1.0, abs=1e-6)
    assert numbers["r_V5"] > 0.7 and numbers["r_V1"] < numbers["r_V5"] and numbers["s_V1"] < -0.3
    assert {f"like_{a}_{b}" for a, b in PAIRS} <= set(numbers)
    assert lead_numbers(eight, peaks[:2], FS) == {}
    assert rows_of_eight(("v1", "I", "ii", "V2", "V3", "V4", "V5", "V6")) == [1, 2, 0, 3, 4, 5, 6, 7]
    assert rows_of_eight(INDEPENDENT_LEADS[:-1]) is None


@pytest.mark.parametrize("fs", [100.0, 128.0, 360.0, 1000.0])
def test_numbers_do_not_depend_on_the_sampling_rate(fs: float) -> None:
    signal, _ = lead(noise=0.004)
    n = round(10 * fs)
    moved = np.interp(np.arange(n) / fs, np.arange(2500) / FS, signal)
    record, other = (
        Record("r", x[None].astype(np.float32), rate, ("II",), "p", "s", (Episode(0, len(x), "nsr"),))
        for x, rate in ((signal, FS), (moved, fs))
    )
    assert at_common_rate(other.signal, fs).shape == (1, 2500)
    first, second = measure([(r, 0, r.n_samples) for r in (record, other)])
    for name, near in (("rate", 0.5), ("qrs_ms", 16), ("p_share", 0.1), ("qt_ms", 20), ("band_8", 0.15)):
        assert second.numbers[name] == pytest.approx(first.numbers[name], abs=near), name
    assert np.abs(second.peaks / fs - first.peaks / FS).max() < 0.02


def test_a_fast_pulse_train_does_not_harm_the_detector() -> None:
    time = np.arange(890)
    train = sum(np.exp(-0.5 * ((time - at) / 2.7) ** 2) for at in range(20, 880, 52))
    record = Record("r", train[None].astype(np.float32), FS, ("II",), "p", "s", (Episode(0, 890, "vt"),))
    for _ in range(20):
        assert measure([(record, 0, 890)])[0].numbers["rate"] == pytest.approx(60 * FS / 52, rel=0.02)
