"""Waves without beats: their phase and amplitude in strips made to hold them."""

from __future__ import annotations

import numpy as np
import pytest

from ecgsynth.generators.conditions import make_conditions
from ecgsynth.generators.oscillation import BANDS, beat_bend_sd, cancel_beats, measure_oscillation
from ecgsynth.generators.wander import draw_wander, split_wander, wander_level, wander_spectrum

FS = 250.0
T = np.arange(int(10 * FS)) / FS


def qrst(beats: np.ndarray) -> np.ndarray:
    out = np.zeros_like(T)
    for beat in beats / FS:
        out += np.exp(-0.5 * ((T - beat) / 0.012) ** 2) + 0.3 * np.exp(-0.5 * ((T - beat - 0.25) / 0.05) ** 2)
    return out


def irregular_beats() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.cumsum(rng.integers(130, 260, 13))[:12].astype(np.int64)


@pytest.mark.parametrize(("rhythm", "hz"), [("afib", 6.0), ("aflutter", 4.6), ("vf", 5.0), ("vflutter", 4.0)])
def test_frequency_of_a_wave_is_found(rhythm: str, hz: float) -> None:
    beats = irregular_beats() if rhythm in ("afib", "aflutter") else np.zeros(0, np.int64)
    signal = qrst(beats) * (len(beats) > 0) + 0.15 * np.cos(2 * np.pi * hz * T)
    phase, amplitude = measure_oscillation(signal, beats, rhythm, FS)
    inner = slice(250, 2250)
    assert np.polyfit(T[inner], phase[inner], 1)[0] == pytest.approx(hz, rel=0.04)
    assert amplitude.mean() == pytest.approx(1.0, abs=0.01)


def test_phase_is_whole_where_the_wave_peaks() -> None:
    phase, _ = measure_oscillation(np.cos(2 * np.pi * 5 * T), np.zeros(0, np.int64), "vf", FS)
    at_peaks = phase[250:2250:50]
    assert np.abs(at_peaks - np.rint(at_peaks)).max() < 0.02


def test_rhythms_without_a_wave_have_none() -> None:
    phase, amplitude = measure_oscillation(qrst(irregular_beats()), irregular_beats(), "nsr", FS)
    assert not phase.any() and not amplitude.any()
    assert "nsr" not in BANDS


def test_beats_go_and_the_wave_stays() -> None:
    beats = irregular_beats()
    wave = 0.1 * np.cos(2 * np.pi * 6 * T)
    rest = cancel_beats(qrst(beats) + wave, beats, FS)
    covered = np.zeros(len(T), bool)
    for beat in beats[(beats > 60) & (beats < 2380)]:
        covered[beat - 40 : beat + 100] = True
    assert rest[covered].std() < 0.4 * (qrst(beats))[covered].std()
    assert np.corrcoef(rest[covered], wave[covered])[0, 1] > 0.6


def test_wander_and_waveform_add_up_and_part_at_half_a_hertz() -> None:
    slow = 0.3 * np.sin(2 * np.pi * 0.2 * T)
    fast = 0.2 * np.sin(2 * np.pi * 3.0 * T)
    x = (slow + fast).astype(np.float32)[None]
    got_fast, got_slow = split_wander(x)
    assert np.allclose(got_fast + got_slow, x, atol=1e-6)
    inner = slice(300, 2200)
    assert np.abs(got_slow[0, inner] - slow[inner]).max() < 0.04
    assert np.abs(got_fast[0, inner] - fast[inner]).max() < 0.04


def test_drawn_wander_has_the_spectrum_it_was_given() -> None:
    rng = np.random.default_rng(1)
    power = np.array([0.1, 0.1, 0.6, 0.1, 0.1])
    drawn = draw_wander(2560, 400, power, rng)
    assert drawn.std() == pytest.approx(1.0, abs=0.25)
    found = wander_spectrum(drawn)
    assert found.argmax() == 2 and found[2] > 0.3


@pytest.mark.parametrize("power", [[0.96, 0.01, 0.01, 0.01, 0.01], [0.01, 0.01, 0.01, 0.01, 0.96]])
def test_drawn_wander_is_measured_as_loud_as_it_was_drawn(power: list[float]) -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        assert wander_level(draw_wander(2560, 3, np.array(power), rng)[None])[0] == pytest.approx(1, rel=1e-3)
    hour = draw_wander(20 * 2560, 1, np.array(power), rng)
    levels = wander_level(hour.reshape(20, 1, 2560))
    assert np.sqrt(np.square(levels).mean()) == pytest.approx(1, rel=1e-3) and levels.std() > 0.1
    assert wander_level(draw_wander(1250, 200, np.array(power), rng)[None])[0] < 1.06


def test_wander_of_the_same_seed_is_the_same() -> None:
    a, b = (draw_wander(500, 2, np.full(5, 0.2), np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(a, b)


@pytest.mark.parametrize("bend", [0.0, 0.2, 0.5])
def test_how_blunt_beats_are_is_measured_wherever_their_labels_lie(bend: float) -> None:
    rng = np.random.default_rng(0)
    times = 0.5 + np.arange(12) * 0.78 + 0.001 * rng.integers(0, 4, 12)
    bends = np.clip(bend * rng.standard_normal(12), -0.9, 0.9)
    still = np.zeros(2600, np.float32)
    rhythm = np.zeros(260, np.int64)
    classes = np.zeros(12, np.int64)
    bumps = make_conditions(times, classes, still, still, rhythm, None, bends).fine[0].astype(float)
    assert bumps.sum() == pytest.approx(12 * 2.5066, rel=1e-3), "a bend moves a beat about, it adds nothing"
    qrs = np.exp(-0.5 * (np.arange(-15, 16) / 3.0) ** 2)
    signal = np.convolve(bumps, qrs, mode="same")[None] + 1e-4 * rng.standard_normal((1, 2600))
    off = times + rng.uniform(-0.008, 0.008, 12)
    found = beat_bend_sd(signal, off, classes, 250)
    spread = 1.4826 * np.median(np.abs(bends - np.median(bends)))
    assert found == pytest.approx(spread, rel=0.35, abs=0.06)
    mixed = classes.copy()
    mixed[::2] = 4
    assert np.isnan(beat_bend_sd(signal, off, mixed, 250))
