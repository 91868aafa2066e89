"""Detected R peaks: where a made beat is, there and nowhere else, however the strip is scaled or turned."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgsynth import rpeaks
from ecgsynth.rpeaks import bridge_gaps, detect_r_peaks

FS = 250.0


def strip(
    times: NDArray[np.float64], fs: float = FS, seconds: float = 10.0, noise: float = 0.01
) -> NDArray[np.float64]:
    """P, QRS and T as Gaussian bumps at ``times`` (R peaks, s), in mV, with a little noise and wander."""
    t = np.arange(round(seconds * fs)) / fs
    x = 0.2 * np.sin(2 * np.pi * 0.3 * t) + noise * np.random.default_rng(1).standard_normal(len(t))
    for height, shift, width in (
        (0.12, -0.16, 0.02),
        (1.0, 0.0, 0.01),
        (-0.2, 0.028, 0.01),
        (0.3, 0.28, 0.05),
    ):
        x += height * np.exp(-0.5 * ((t[:, None] - times - shift) / width) ** 2).sum(axis=1)
    return x


TIMES = np.cumsum(np.full(10, 0.9)) - 0.3 + np.random.default_rng(0).uniform(-0.08, 0.08, 10)


def found_at(signal: NDArray[np.float64], fs: float, tolerance: float = 0.012) -> None:
    peaks = detect_r_peaks(signal, fs) / fs
    assert len(peaks) == len(TIMES)
    assert np.abs(peaks - TIMES).max() <= tolerance


@pytest.mark.parametrize("fs", [100.0, 250.0, 360.0, 500.0, 1000.0])
def test_every_beat_is_found_at_its_peak(fs: float) -> None:
    found_at(strip(TIMES, fs), fs, tolerance=max(0.006, 1.01 / fs))


@pytest.mark.parametrize("scale", [0.2, 5.0, -1.0])
def test_scale_and_polarity_do_not_matter(scale: float) -> None:
    found_at(scale * strip(TIMES), FS)


def test_dtype_is_int64_and_order_is_strict() -> None:
    peaks = detect_r_peaks(strip(TIMES).astype(np.float32), FS)
    assert peaks.dtype == np.int64
    assert (np.diff(peaks) > 0).all()


def test_several_leads_agree_with_the_clearest_one() -> None:
    clear = strip(TIMES)
    noise = 0.05 * np.random.default_rng(2).standard_normal((2, len(clear)))
    found_at(np.vstack([noise[0], -0.7 * clear, noise[1]]), FS)


def test_marks_stay_on_one_side_when_deflections_are_biphasic() -> None:
    """QRS of nearly equal R and S: marks must not hop between the two."""
    t = np.arange(2500) / FS
    x = np.zeros(len(t))
    for i, at in enumerate(TIMES):
        x += (1.0 + 0.05 * (-1) ** i) * np.exp(-0.5 * ((t - at) / 0.01) ** 2)
        x -= (1.0 - 0.05 * (-1) ** i) * np.exp(-0.5 * ((t - at - 0.03) / 0.01) ** 2)
    levels = x[detect_r_peaks(x, FS)]
    assert len(levels) == len(TIMES)
    assert (levels > 0).all() or (levels < 0).all()


def test_gap_has_no_peaks_and_costs_none_outside() -> None:
    signal = strip(TIMES)
    low, high = round((TIMES[4] - 0.3) * FS), round((TIMES[4] + 0.3) * FS)
    signal[low:high] = np.nan
    peaks = detect_r_peaks(signal, FS)
    assert not ((peaks >= low) & (peaks < high)).any()
    outside = np.delete(TIMES, 4)
    assert all(np.abs(peaks / FS - at).min() < 0.02 for at in outside)


@pytest.mark.parametrize(
    "signal", [np.zeros(2500), np.full(2500, np.nan), np.full((3, 2500), 0.7), np.ones(40), np.empty(0)]
)
def test_nothing_to_find_gives_an_empty_array(signal: NDArray[np.float64]) -> None:
    peaks = detect_r_peaks(signal, FS)
    assert peaks.dtype == np.int64
    assert len(peaks) == 0


def test_bridge_gaps_draws_straight_lines() -> None:
    leads = np.array([[0.0, np.nan, np.nan, 3.0], [np.nan] * 4])
    assert bridge_gaps(leads).tolist() == [[0.0, 1.0, 2.0, 3.0], [0.0] * 4]
    assert np.isnan(leads[0, 1]), "the input is left alone"


@pytest.mark.parametrize("fs", [100.0, 250.0, 257.0, 500.0])
@pytest.mark.parametrize("flat", [0, 300])
def test_marks_are_those_of_sleepecg(fs: float, flat: int) -> None:
    """We call its C functions with its filter done anew, which saves a second of imports."""
    from scipy.signal import butter, sosfiltfilt
    from sleepecg.heartbeats import detect_heartbeats

    rng = np.random.default_rng(5)
    for noise in (0.0, 0.05, 0.3):
        trace = strip(TIMES, fs) + noise * np.cumsum(rng.standard_normal(round(10 * fs)))
        trace[:flat] = trace[flat]
        assert rpeaks._detect(trace, fs).tolist() == detect_heartbeats(trace, fs).tolist()
        wanted = sosfiltfilt(butter(2, (5, 30), "bandpass", output="sos", fs=fs), trace)
        error = np.abs(rpeaks._band_passed(trace, fs) - wanted).max()
        assert error < 1e-11 * np.abs(wanted).max()


def test_long_traces_and_sleepecg_without_its_c_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = strip(TIMES)
    marks = rpeaks._detect(trace, FS).tolist()
    with monkeypatch.context() as patch:
        patch.setattr(rpeaks, "_LONG", 100)
        assert rpeaks._detect(trace, FS).tolist() == marks
    monkeypatch.setattr(rpeaks, "_own_functions", lambda: None)
    assert rpeaks._detect(trace, FS).tolist() == marks


def test_a_signal_that_begins_at_the_very_end_has_no_peaks() -> None:
    signal = np.zeros(2500)
    signal[-10:] = 1.0
    assert len(detect_r_peaks(signal, FS)) == 0


def test_beats_as_fast_as_the_detector_can_count_do_no_harm() -> None:
    """sleepecg has room for one RR interval every 0.2 s; one more, and it wrote into what lies behind."""
    fs, time = 100.0, np.arange(150) / 100.0
    most = 0
    for gap in (0.1, 0.13, 0.15, 0.2, 0.205, 0.21, 0.215, 0.22):
        at = np.arange(0.05, 1.5, gap)[:, None]
        heights = np.where(np.arange(len(at)) % 2, 1.0, 0.95)[:, None]
        for width in (0.004, 0.006, 0.012, 0.02):
            pulses = (np.exp(-0.5 * ((time - at) / width) ** 2) * heights).sum(axis=0)
            peaks = detect_r_peaks(pulses, fs)
            assert (np.diff(peaks) > 0).all() and (peaks < len(time)).all()
            most = max(most, len(peaks))
    assert most == 7
