"""Noise, drift and wander of recordings: measured as they were put in, drawn as they are measured."""

from __future__ import annotations

import numpy as np
import pytest

from ecgsynth.generators.hiss import (
    PROFILE_S,
    WINDOW_HZ,
    beat_profile,
    burstiness,
    flank_power,
    hiss_numbers,
    hiss_spectrum,
    noise_power,
)
from ecgsynth.generators.noise_sway import draw_bursts
from ecgsynth.generators.oscillation import middle_beat, noise_of
from ecgsynth.generators.wander import (
    DRIFT_HZ,
    draw_drift,
    drift_spectrum,
    split_drift,
    split_wander,
    wander_level,
)
from ecgsynth.training.trim import _drift_line

FS, N = 250, 2500
T = np.arange(N) / FS
BEATS = np.arange(0.5, 9.9, 0.9)
KINDS = np.zeros(len(BEATS), np.int64)


def beating(heights: np.ndarray | float = 1.0) -> np.ndarray:
    """P, QRS and T [1, N] in mV at `BEATS`."""
    waves = ((-0.16, 0.02, 0.1), (0.0, 0.012, 1.0), (0.03, 0.012, -0.2), (0.26, 0.05, 0.25))
    scale = np.broadcast_to(heights, BEATS.shape)
    strip = sum(
        h * size * np.exp(-0.5 * ((T - beat - at) / width) ** 2)
        for beat, h in zip(BEATS, scale, strict=True)
        for at, width, size in waves
    )
    return np.asarray(strip)[None]


def test_noise_is_measured_beside_beats_as_it_was_put_in() -> None:
    rng = np.random.default_rng(0)
    spectra = []
    for _ in range(20):
        hiss = 0.01 * rng.standard_normal((1, N))
        strip = (beating(1 + 0.1 * rng.standard_normal(len(BEATS))) + hiss).astype(np.float32)
        power, quiet, _ = noise_power(strip, BEATS, KINDS, "nsr")
        assert 6 <= quiet.sum() < 40
        spectra.append(hiss_spectrum(power, quiet)[0])
    # Without the last bin, whose power has another distribution.
    found = np.exp(np.mean(spectra, 0) / 2)[WINDOW_HZ > 12][:-1]
    assert np.abs(found / 0.01 - 1).max() < 0.15
    level, low, middle, high = hiss_numbers(np.mean(spectra, 0)[None])
    assert level == pytest.approx(np.log(0.01), abs=0.1) and abs(middle) < 0.1 and abs(high) < 0.1
    assert low > -0.2, "what differs from beat to beat may be louder below 12 Hz, never quieter"


def test_drift_does_not_raise_the_noise_of_a_good_recording() -> None:
    """A median over drifting beats is jagged; the middle half's mean is not."""
    rng = np.random.default_rng(1)
    drift = draw_drift(N, 1, np.ones(len(DRIFT_HZ)), np.zeros(2), rng)
    levels = []
    for size in (0.0, 0.08):
        rng = np.random.default_rng(2)
        strip = (beating() + 0.002 * rng.standard_normal((1, N)) + size * drift).astype(np.float32)
        power, quiet, _ = noise_power(strip, BEATS, KINDS, "nsr")
        levels.append(hiss_numbers(hiss_spectrum(power, quiet))[0])
    assert abs(levels[1] - levels[0]) < 0.15


def test_middle_beat_ignores_an_odd_one() -> None:
    beats = np.ones((1, 8, 5))
    beats[0, 3] = 100.0
    assert np.array_equal(middle_beat(beats), np.ones((1, 5)))
    three = np.array([0.0, 1.0, 9.0])[None, :, None]
    assert middle_beat(three)[0, 0] == 1.0


def test_no_step_is_left_between_beats_on_a_high_baseline() -> None:
    rest, known = noise_of(beating().astype(np.float32) + 0.5, BEATS, KINDS, "nsr", FS)
    between = known & (np.abs(T[:, None] - BEATS).min(1) > 0.3)
    assert np.ptp(rest[0, between]) < 0.02


def test_profile_finds_where_noise_is_louder() -> None:
    rng = np.random.default_rng(3)
    offset = T[:, None] - BEATS
    near = ((offset > -0.18) & (offset < -0.12)).any(1)
    fast = 0.01 * rng.standard_normal((1, N)) * np.where(near, 3.0, 1.0)
    profile = beat_profile(fast, BEATS, np.ones(N, bool))
    at = int(np.argmin(np.abs(PROFILE_S + 0.15)))
    assert profile[at] == pytest.approx(np.log(3), abs=0.25)
    others = np.delete(profile, at)
    assert np.abs(others).max() < 0.3 and profile[0] == profile[-1] == 0
    assert np.isnan(beat_profile(fast, np.arange(0, 10, 0.3), np.ones(N, bool))).all()


def test_profile_passes_over_slow_movement_beside_beats() -> None:
    fast = 0.005 * np.random.default_rng(4).standard_normal((1, N))
    moved = fast + 0.01 * np.exp(-0.5 * ((T[:, None] - BEATS + 0.15) / 0.03) ** 2).sum(1)
    change = beat_profile(moved, BEATS, np.ones(N, bool)) - beat_profile(fast, BEATS, np.ones(N, bool))
    assert np.abs(change).max() < 0.1


@pytest.mark.parametrize("sd", [(0.0, 0.0), (0.0, 0.5), (0.4, 0.9)])
def test_bursts_are_drawn_as_they_are_measured(sd: tuple[float, float]) -> None:
    rng = np.random.default_rng(4)
    hz = np.fft.rfftfreq(N, 1 / FS)
    found = []
    for _ in range(20):
        bursts = draw_bursts(N, np.array(sd), rng)
        assert np.mean(np.square(bursts), axis=1) == pytest.approx([1, 1], rel=1e-3)
        white = np.fft.rfft(rng.standard_normal(N))
        parts = (np.fft.irfft(white * band, N) for band in ((hz >= 12) & (hz < 60), hz >= 60))
        noise = sum(burst * part for burst, part in zip(bursts, parts, strict=True))
        found.append(burstiness(np.asarray(noise)[None], np.ones(N // 40 + 1, bool)))
    # Straight lines between the knots take something off; each measure hears a little of the other band.
    for k, mean in enumerate(np.mean(found, axis=0)):
        assert 0.4 * sd[k] ** 2 - 0.02 <= mean <= sd[k] ** 2 + 0.06


def test_bursts_of_both_bands_come_at_the_same_moments() -> None:
    low, high = draw_bursts(N, np.array([0.3, 0.9]), np.random.default_rng(6))
    assert np.corrcoef(np.log(low), np.log(high))[0, 1] > 0.999


def test_flanks_of_the_qrs_show_what_no_median_beat_holds() -> None:
    offset = np.abs(T[:, None] - BEATS).min(1)
    noise = 0.002 * np.random.default_rng(7).standard_normal((1, N))
    before, after, far = flank_power(beating() + noise, BEATS)
    notched = noise + 0.01 * np.sin(2 * np.pi * 75 * T) * (offset < 0.08)
    louder = flank_power(beating() + notched, BEATS)
    assert louder[0] > 5 * before and louder[1] > 5 * after
    assert louder[2] == pytest.approx(far, rel=0.1)
    assert np.isnan(flank_power(noise, np.empty(0))[:2]).all()


def test_drift_is_drawn_as_it_is_measured() -> None:
    rng = np.random.default_rng(5)
    power = np.array([4.0, 3.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.2])
    drawn = np.concatenate([draw_drift(N, 1, power, np.array([1.0, 0.4]), rng) for _ in range(60)])
    scale = np.median(np.abs(drawn), axis=1) / 0.6745
    assert scale == pytest.approx(np.ones(60), rel=1e-3)
    found = np.mean([drift_spectrum(row[None]) for row in drawn], 0)
    assert np.abs(found - power / power.sum()).max() < 0.06
    fast, slow = split_drift(drawn[:1])
    assert slow.std() > 10 * fast.std()


def test_split_of_drift_from_noise() -> None:
    fast, slow = split_drift((np.sin(2 * np.pi * 1.5 * T) + 0.1 * np.sin(2 * np.pi * 20 * T))[None])
    assert slow[0, 500:2000] == pytest.approx(np.sin(2 * np.pi * 1.5 * T)[500:2000], abs=0.03)
    assert fast[0, 500:2000] == pytest.approx(0.1 * np.sin(2 * np.pi * 20 * T)[500:2000], abs=0.03)


def test_a_beat_at_the_end_does_not_bend_the_baseline() -> None:
    strip = beating()[:, : int((BEATS[-1] + 0.002) * FS)].astype(np.float32)
    fast, slow = split_wander(strip)
    assert np.allclose(fast + slow, strip, atol=1e-6)
    assert np.ptp(slow) < 0.15 and wander_level(slow[None])[0] < 0.04


def test_drift_that_is_measured_where_there_is_none_is_told_from_drift() -> None:
    real = np.exp(np.random.default_rng(6).normal(-2, 0.8, 200))
    slope, floor = _drift_line(real.tolist(), np.sqrt((1.1 * real) ** 2 + 0.08**2).tolist())
    assert slope == pytest.approx(1.1, abs=0.051) and floor == pytest.approx(0.08, abs=0.011)
